"""A real Firefox, driven by WebDriver BiDi, a W3C protocol that Firefox supports directly.

Playwright (1.65) sends commands that this Firefox doesn't support yet, and Selenium needs `geckodriver`, which isn't
packaged. The tests need only a few commands.
"""

import base64
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

NAMES = ("firefox-esr", "firefox")
STARTS_WITHIN_S = 120
ANSWERS_WITHIN_S = 300
PREFERENCES = {
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}


class Firefox:
    """One session; an error of a command or on a page is raised as AssertionError."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._numbers = socket, count(1)
        self._send("session.new", capabilities={})

    def new_page(self, *, viewport: dict[str, int] | None = None) -> "Page":
        """Open another tab with this viewport."""
        context = self._send("browsingContext.create", type="tab")["context"]
        if viewport:
            self._send("browsingContext.setViewport", context=context, viewport=viewport)
        return Page(self._send, context)

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events in between are ignored."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv(ANSWERS_WITHIN_S))).get("id") != number:
            pass
        assert answer["type"] == "success", f"{method}: {answer.get('error')}: {answer.get('message')}"
        result: dict[str, Any] = answer["result"]
        return result


class Page:
    """A tab, with the subset of Playwright's methods that tests of both browsers use."""

    def __init__(self, send: Any, context: str) -> None:
        self._send, self._context = send, context

    def goto(self, url: str) -> None:
        """Open a page and wait until it is loaded."""
        self._send("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, expression: str, argument: object = None) -> Any:
        """Return the value of an expression, or of a function called with the argument; promises are awaited."""
        call = f"(typeof found === 'function' ? found({json.dumps(argument)}) : found)"
        code = f"(async () => {{ const found = ({expression}); return JSON.stringify((await {call}) ?? null); }})()"
        options = {"target": {"context": self._context}, "awaitPromise": True, "userActivation": True}
        answer = self._send("script.evaluate", expression=code, **options)
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return json.loads(answer["result"]["value"])

    def screenshot(self) -> bytes:
        """Return a PNG of what the tab shows."""
        return base64.b64decode(self._send("browsingContext.captureScreenshot", context=self._context)["data"])

    def wait_for_timeout(self, milliseconds: float) -> None:
        """Wait on the page."""
        self.evaluate(f"new Promise((done) => setTimeout(done, {milliseconds}))")

    def close(self) -> None:
        """Close the tab."""
        self._send("browsingContext.close", context=self._context)


@contextmanager
def open_firefox() -> Iterator[Firefox]:
    """Yield Firefox with a new profile, or skip the test with the reason."""
    client = pytest.importorskip("websockets.sync.client", reason="needs websockets")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip(f"needs one of {', '.join(NAMES)}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
        (Path(profile) / "user.js").write_text("\n".join(lines))
        command = [found, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        watch = threading.Timer(STARTS_WITHIN_S, process.kill)
        watch.start()
        try:
            assert process.stderr
            line = next((line for line in process.stderr if "WebDriver BiDi listening on" in line), "")
            watch.cancel()
            assert line, "Firefox ended before it listened"
            threading.Thread(target=process.stderr.read, daemon=True).start()  # otherwise it would block on a full pipe
            with client.connect(f"{line.split()[-1]}/session", max_size=None, origin=None) as socket:
                yield Firefox(socket)
        finally:
            watch.cancel()
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()
