"""Nothing here talks to a network: opening a socket ends the test."""

import os
import subprocess
import sys
import textwrap

GUARD = """
import socket, sys
def refuse(*args, **kwargs):
    raise SystemExit(f"a socket was opened: {args}")
class Guarded(socket.socket):
    def __init__(self, family=socket.AF_INET, *args, **kwargs):
        if family != socket.AF_UNIX:
            refuse(family)
        super().__init__(family, *args, **kwargs)
    def connect(self, *args):
        refuse(*args)
socket.socket = Guarded
socket.create_connection = socket.getaddrinfo = refuse
sys.addaudithook(lambda event, args: refuse(event) if event in (
    "socket.connect", "socket.getaddrinfo", "socket.sendto") else None)
"""


def guarded(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", GUARD + textwrap.dedent(code)],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_the_guard_does_catch_a_socket():
    told = guarded("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')")
    assert told.returncode != 0
    assert "a socket was opened" in told.stderr


def test_importing_every_module_opens_no_socket():
    told = guarded("""
        import importlib, os, pkgutil
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
        import medseg
        for found in pkgutil.walk_packages(medseg.__path__, "medseg."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
    """)
    assert told.returncode == 0, told.stderr[-800:]


def test_the_demo_opens_no_socket(tmp_path):
    told = guarded(
        f"""
        import sys
        from medseg.cli.main import main
        main(["demo", "--out", {str(tmp_path / "demo")!r}, "--json"])
        """,
        MEDSEG_CACHE=str(tmp_path / "cache"),
    )
    assert told.returncode == 0, told.stderr[-800:]


def test_training_opens_no_socket(tmp_path):
    told = guarded(
        f"""
        from pathlib import Path
        from tests.datasets.test_dataset import make_msd
        from tests.training.test_train import CONFIG
        from medseg.cli.main import main
        folder = Path({str(tmp_path)!r})
        (folder / "data").mkdir()
        make_msd(folder / "data", cases=6)
        (folder / "tiny.yaml").write_text(CONFIG)
        main(["train", str(folder / "tiny.yaml"), "--out", str(folder / "run")])
        """,
        MEDSEG_CACHE=str(tmp_path / "cache"),
    )
    assert told.returncode == 0, told.stderr[-800:]
