"""The pages as a browser shows them: whole without a network and without a script."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from medseg.evaluation import compare, evaluate
from tests.evaluation.factory import SHAPE, cube, folders

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed here")
LOADING = re.compile(
    r"""(?:src|href|action|data)\s*=\s*["']?(?!data:|\#)[\w/.]|@import|url\(\s*["']?(?!\#)"""
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    root = tmp_path_factory.mktemp("pages")
    predictions, references = folders(root, {
        "good": (cube(), cube()), "lacking": (None, cube()),
        "miss": (np.zeros(SHAPE, np.uint8), cube()), "off": (cube(shift=2), cube()),
    })  # fmt: skip
    evaluate(predictions, references, out=root / "evaluation")
    compare([predictions, references], references, out=root / "comparison")
    return {"report": root / "evaluation" / "report.html",
            "comparison": root / "comparison" / "comparison.html"}  # fmt: skip


@pytest.mark.parametrize("page", ["report", "comparison"])
def test_a_page_names_nothing_to_load_and_forbids_it(pages, page):
    text = pages[page].read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    without_pictures = re.sub(r"base64,[\w+/=]+", "base64,", text)
    assert not LOADING.search(without_pictures)
    assert "<script" not in text


@needs_browser
@pytest.mark.browser
@pytest.mark.parametrize(("page", "table", "words"), [
    ("report", "summary", "false alarm"), ("report", "cases", "off"),
    ("report", "failed", "prediction-missing"), ("comparison", "differences", "p (Holm)"),
])  # fmt: skip
def test_a_browser_shows_the_tables_and_asks_for_nothing(pages, tmp_path, page, table, words):
    log = tmp_path / "net.json"
    shown = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}",
         pages[page].as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found = re.search(rf'<table (?:id|class)="{table}">.*?</table>', shown.stdout, re.DOTALL)
    assert found
    assert words in found.group()
    assert "Refused to" not in shown.stderr  # what the page's own policy forbids
    assert not _asked_by_a_page(log)


def _asked_by_a_page(log) -> list[str]:
    """Return the addresses that a page asked for; those of the browser itself have no origin."""
    told = log.read_text()
    try:
        events = json.loads(told)["events"]
    except ValueError:  # the browser ended before it closed the list
        events = json.loads(told.rstrip().rstrip(",") + "]}")["events"]
    requests = [event.get("params", {}) for event in events]
    return [
        one["url"] for one in requests
        if str(one.get("url", "")).startswith("http")
        and one.get("initiator", "not an origin") != "not an origin"
    ]  # fmt: skip
