"""Nothing here talks to a network: opening a socket ends the test."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.datasets.test_dataset import make_msd
from tests.training.test_train import CONFIG

SAMPLES = Path(__file__).parent.parent / "data_samples"

GUARD = """
import os, sys
allowed = set()
def refuse(event, args):
    if event.startswith("socket.") and event not in allowed:
        os.write(2, f"a socket was used: {event}".encode())
        os._exit(9)
sys.addaudithook(refuse)
"""


def guarded(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", GUARD + textwrap.dedent(code)],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_the_guard_does_catch_a_socket():
    told = guarded("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')")
    assert told.returncode != 0
    assert "a socket was used" in told.stderr


def test_importing_every_module_opens_no_socket():
    # urllib3, which pydicom and TensorFlow import, binds one to its own machine to find out about
    # IPv6. The command line prevents it; inside another program that would take IPv6 from it.
    told = guarded("""
        import importlib, os, pkgutil
        allowed.update(("socket.__new__", "socket.bind"))
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
        import medseg
        for found in pkgutil.walk_packages(medseg.__path__, "medseg."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
    """)
    assert told.returncode == 0, told.stderr[-800:]


def medseg_guarded(*arguments, cache):
    code = f"from medseg.cli.main import main; main({[str(one) for one in arguments]!r})"
    return guarded(code, MEDSEG_CACHE=str(cache))


def test_the_demo_opens_no_socket(tmp_path):
    told = medseg_guarded("demo", "--out", tmp_path / "demo", "--json", cache=tmp_path / "cache")
    assert told.returncode == 0, told.stderr[-800:]


def test_segmenting_opens_no_socket(tmp_path):
    told = medseg_guarded("segment", SAMPLES / "ct_tumor_phantom", "-m", "phantom-tumor-ct",
                          "-o", tmp_path / "out", cache=tmp_path / "cache")  # fmt: skip
    assert told.returncode == 0, told.stderr[-800:]


def test_training_opens_no_socket(tmp_path):
    (tmp_path / "data").mkdir()
    make_msd(tmp_path / "data", cases=6)
    config = tmp_path / "tiny.yaml"
    config.write_text(CONFIG)
    told = medseg_guarded("train", config, "--out", tmp_path / "run", cache=tmp_path / "cache")
    assert told.returncode == 0, told.stderr[-800:]
