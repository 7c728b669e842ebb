"""Headless Chromium, driven through the DevTools protocol over a pair of pipes."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str:
    """Path of Chromium; without one the test is skipped, or fails with FLARE_REQUIRE_BROWSER=1."""
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if path is None:
        if os.environ.get("FLARE_REQUIRE_BROWSER") == "1":
            pytest.fail("FLARE_REQUIRE_BROWSER=1 and no Chromium on the PATH")
        pytest.skip("needs Chromium")
    return path


class Browser:
    """One page in a fresh profile; collects what the page logs and requests."""

    def __init__(self, profile: Path, *, width: int = 1200, height: int = 900) -> None:
        to_browser, self._write = (_high(fd) for fd in os.pipe())
        self._read, from_browser = (_high(fd) for fd in os.pipe())
        # The protocol is spoken on descriptors 3 (in) and 4 (out) of the browser.
        script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        command = [find_browser(), *_FLAGS, f"--user-data-dir={profile}",
                   f"--window-size={width},{height}", "about:blank"]  # fmt: skip
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._number = b"", 0
        self.events: list[dict] = []
        target = self._call("Target.getTargets", session=None)["targetInfos"]
        page = next(info for info in target if info["type"] == "page")
        attached = self._call(
            "Target.attachToTarget", {"targetId": page["targetId"], "flatten": True}, session=None
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_) -> None:
        try:
            self._call("Browser.close", session=None)
        finally:
            os.close(self._write)
            os.close(self._read)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def open(self, path: Path) -> None:
        """Load a file and wait until it has loaded."""
        self._call("Page.navigate", {"url": path.resolve().as_uri()})
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, expression: str):
        """Value of a JavaScript expression; promises are awaited."""
        answer = self._call(
            "Runtime.evaluate",
            {"expression": expression, "returnByValue": True, "awaitPromise": True},
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 20) -> None:
        """Until the expression is true."""
        limit = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < limit, f"never true: {expression}"
            time.sleep(0.05)

    def emulate(self, *, scheme: str = "light", width: int = 1200, height: int = 900) -> None:
        """Set the preferred colour scheme and the size of the window; phones below 600 px."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", {"features": features})
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", size)

    def screenshot(self) -> str:
        """The whole page as a PNG, base64."""
        options = {"format": "png", "captureBeyondViewport": True}
        return self._call("Page.captureScreenshot", options)["data"]

    def problems(self) -> list[str]:
        """What the page has complained about: console errors and warnings, exceptions, the log."""
        found = []
        for event in self.events:
            content = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(content["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled":
                if content["type"] in ("error", "warning", "assert"):
                    found.append(str(content["args"]))
            elif event["method"] == "Log.entryAdded" and content["entry"]["level"] != "verbose":
                found.append(content["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """Addresses that were asked for, without those inside the page (data:)."""
        urls = [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith("data:")]

    def _call(self, method: str, params: dict | None = None, *, session: str | None = "page"):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def _receive(self, seconds: float = 60) -> dict:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], seconds)
            assert ready, "the browser does not answer"
            data = os.read(self._read, 1 << 20)
            assert data, "the browser has gone"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)


def _high(fd: int) -> int:
    """Move a descriptor out of the way of 3 and 4."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(fd)
    return moved
