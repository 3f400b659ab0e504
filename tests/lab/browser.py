"""A real Chromium without a screen, spoken to over two pipes (its DevTools Protocol, ``--remote-debugging-pipe``)."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_AT_3_AND_4 = """
import fcntl, os, sys
high = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 10) for word in sys.argv[1:3]]
for number, fd in zip((3, 4), high):
    os.dup2(fd, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
LIMIT = 90.0  # seconds for one answer


@dataclass
class Looked:
    """What came of opening a page: its console, its requests, a picture."""

    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    png: bytes = b""


class Browser:
    """One process, one page at a time."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._begun, self._number = b"", 0
        self._events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if hasattr(self, "_session"):
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + LIMIT
        while True:
            found = self._next(deadline)
            if found.get("id") == self._number:
                assert "error" not in found, found
                return dict(found["result"])
            self._events.append(found)

    def look(self, path: Path, *, width: int, height: int = 900, dark: bool = False, media: str = "") -> Looked:
        """Open a file in a window of this width, and wait until it is drawn."""
        self._events.clear()
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.ask("Page.navigate", url=path.resolve().as_uri())
        self._until("Page.loadEventFired")
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 300)))")
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": width, "height": min(size["height"], 12000), "scale": 1}
        picture = self.ask("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        looked = Looked(png=base64.b64decode(picture["data"]))
        for event in self._events:
            params = event.get("params", {})
            if event.get("method") == "Runtime.consoleAPICalled":
                looked.messages.append(str(params["args"]))
            elif event.get("method") == "Runtime.exceptionThrown":
                looked.messages.append(str(params["exceptionDetails"]))
            elif event.get("method") == "Log.entryAdded":
                looked.messages.append(str(params["entry"]))
            elif event.get("method") == "Network.requestWillBeSent":
                looked.requests.append(str(params["request"]["url"]))
        return looked

    def run(self, script: str) -> Any:
        """What the page's own JavaScript makes of an expression."""
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def pdf(self) -> bytes:
        """The page as it would be printed."""
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=False)["data"])

    def _until(self, method: str) -> None:
        deadline = time.monotonic() + LIMIT
        while not any(event.get("method") == method for event in self._events):
            self._events.append(self._next(deadline))

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._begun:
            ready, _, _ = select.select([self._back], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._back, 1 << 20)
            assert data, "the browser has ended"
            self._begun += data
        message, _, self._begun = self._begun.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def chromium(directory: Path) -> Iterator[Browser]:
    """A browser with a profile of its own in ``directory``. Skips where the machine has none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("lab: no Chromium (apt-get install chromium)")
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={directory}"]
    options += ["--remote-debugging-pipe", "about:blank"]
    # The protocol is at the descriptors 3 and 4, whatever numbers ours have.
    words = [sys.executable, "-c", _AT_3_AND_4, str(theirs_in), str(theirs_out), program, *options]
    with open(directory / "browser.log", "wb") as log:
        process = subprocess.Popen(
            words, pass_fds=(theirs_in, theirs_out), stdout=log, stderr=log, env={**os.environ, "HOME": str(directory)}
        )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(ours_out, ours_in)
    finally:
        process.kill()
        process.wait(30)
        os.close(ours_in)
        os.close(ours_out)
