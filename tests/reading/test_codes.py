"""The table of codes holds every code that reading uses."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = (ROOT / "medseg/reading", ROOT / "medseg/dicom")
TABLE = ROOT / "docs/reference/findings.md"


def used_codes() -> set[str]:
    text = "\n".join(path.read_text() for room in ROOMS for path in room.glob("*.py"))
    before = r"(?:Refused\(|Finding\(\s*(?:level|\"\w+\"),|return)"  # or a pair for a Finding
    named = re.findall(before + r"\s*\"([a-z0-9]+(?:-[a-z0-9]+)*)\",", text)
    return {*named, *re.findall(r"\"(rtstruct-[a-z-]+)\"", text)}  # those stand in a table


@pytest.mark.skipif(not TABLE.exists(), reason="docs are not installed with the package")
def test_every_code_of_reading_is_in_the_table():
    documented = set(re.findall(r"^\| `([a-z0-9-]+)` \|", TABLE.read_text(), re.MULTILINE))
    assert len(used_codes()) > 50
    assert used_codes() <= documented


def test_importing_the_room_loads_neither_pydicom_nor_nibabel():
    code = "import sys, medseg.reading; print({'pydicom', 'nibabel'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
