"""The README says what works: its Python examples run, its commands exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from medseg.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=["read", "segment", "network"])
def test_an_example_runs_as_it_stands(tmp_path, example):
    (tmp_path / "data_samples").symlink_to(ROOT / "data_samples")
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-800:]
    assert done.stdout


def test_every_command_stands_in_the_table():
    assert set(re.findall(r"^\| `medseg ([\w-]+)", README, re.MULTILINE)) == set(COMMANDS)


def test_every_file_that_is_shown_or_named_exists():
    named = re.findall(r"\]\(([^)]+)\)", README) + re.findall(r"data_samples/[\w./-]+", README)
    assert all((ROOT / name).exists() for name in named)
