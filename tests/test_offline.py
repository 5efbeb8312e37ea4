"""Nothing here talks to a network: opening a socket ends the test."""

import os
import subprocess
import sys
import textwrap

# urllib3, which TensorFlow imports, binds a socket to its own machine to learn whether there is
# IPv6; that reaches nobody and is let through. Whatever looks up, connects or sends is not.
GUARD = """
import os, sys
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname",
                 "socket.sendto", "socket.sendmsg"):
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
