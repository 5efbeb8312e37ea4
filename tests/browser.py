"""A headless Chromium for tests, driven over WebDriver on the loopback device."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # W3C WebDriver, section 12
NAMED = {
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "Right": "\ue014",
    "Left": "\ue012",
    "Tab": "\ue004",
}
PATIENCE = 60.0  # seconds; a loaded machine is slow


class Browser:
    """A session: opens pages, presses keys, runs scripts."""

    def __init__(self, driver: str, downloads: Path) -> None:
        self._driver, self.downloads = driver, downloads
        profile = downloads.parent / "profile"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1600,1000", f"--user-data-dir={profile}"]  # fmt: skip
        options = {
            "binary": shutil.which("chromium"),
            "args": arguments,
            "prefs": {
                "download.default_directory": str(downloads),
                "profile.default_content_setting_values.automatic_downloads": 1,  # more than one
            },
        }
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
            "unhandledPromptBehavior": {"default": "dismiss", "beforeUnload": "accept"},
        }
        made = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"

    def open(self, page: Path) -> None:
        self._send("POST", f"{self._session}/url", {"url": page.as_uri()})
        # until it has painted, Chromium drops what is typed
        self.wait_for("return performance.getEntriesByType('paint').length > 0", True)

    def press(self, *keys: str) -> None:
        """Press and release keys one after the other, wherever the focus is."""
        actions = [{"type": kind, "value": NAMED.get(key, key)}
                   for key in keys for kind in ("keyDown", "keyUp")]  # fmt: skip
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self._send("POST", f"{self._session}/actions", {"actions": [keyboard]})

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns."""
        told = {"script": script, "args": list(arguments)}
        return self._send("POST", f"{self._session}/execute/sync", told)

    def wait_for(self, script: str, wanted: Any) -> None:
        """Wait until a script returns what is wanted."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.run(script)) != wanted:
            assert time.monotonic() < deadline, f"{found!r} in place of {wanted!r}"
            time.sleep(0.02)

    def choose_file(self, selector: str, file: Path) -> None:
        """Give a file to an input, as its dialog would."""
        element = self.run("return document.querySelector(arguments[0])", selector)[ELEMENT]
        self._send("POST", f"{self._session}/element/{element}/value", {"text": str(file)})

    def downloaded(self, name: str) -> Path:
        """Wait for a download and return it."""
        path = self.downloads / name
        deadline = time.monotonic() + PATIENCE
        while not (path.exists() and path.stat().st_size):
            assert time.monotonic() < deadline, f"{name} was not downloaded"
            time.sleep(0.05)
        return path

    def screenshot(self) -> str:
        """Return the window as base64 of a PNG."""
        picture: str = self._send("GET", f"{self._session}/screenshot")
        return picture

    def requests(self) -> list[str]:
        """Return the addresses asked for since the last call."""
        log = self._send("POST", f"{self._session}/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in log]
        return [message["params"]["request"]["url"] for message in messages
                if message["method"] == "Network.requestWillBeSent"]  # fmt: skip

    def complaints(self) -> list[str]:
        """Return errors and refusals that the console shows, since the last call."""
        log = self._send("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def quit(self) -> None:
        self._send("DELETE", self._session)

    def _send(self, method: str, path: str, told: Any = None) -> Any:
        body = None if told is None else json.dumps(told).encode()
        request = urllib.request.Request(self._driver + path, body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from error


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Yield a browser with its profile and downloads in a folder; skip where there is none."""
    driver = shutil.which("chromedriver")
    if not driver or not shutil.which("chromium"):
        pytest.skip("needs Debian's chromium and chromium-driver")
    downloads = folder / "downloads"
    downloads.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = {**os.environ, "HOME": str(folder)}
    process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=home)  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address)
        session = Browser(address, downloads)
        try:
            yield session
        finally:
            session.quit()
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"{address}/status", timeout=PATIENCE):
                return
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "chromedriver did not start"
            time.sleep(0.05)
