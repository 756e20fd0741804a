"""A real Firefox, driven by WebDriver BiDi, the W3C's protocol that it speaks itself.

Playwright asks this Firefox for commands that it doesn't know yet (1.65), and Selenium needs a `geckodriver` that isn't
packaged; the few commands that the tests send fit into one class.
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
    """One session; what it throws on a page is an AssertionError here."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._numbers = socket, count(1)
        self._send("session.new", capabilities={})

    def new_page(self, *, viewport: dict[str, int] | None = None) -> "Page":
        """Another tab, of this size."""
        context = self._send("browsingContext.create", type="tab")["context"]
        if viewport:
            self._send("browsingContext.setViewport", context=context, viewport=viewport)
        return Page(self._send, context)

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command's result; the events between are of no interest."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv(ANSWERS_WITHIN_S))).get("id") != number:
            pass
        assert answer["type"] == "success", f"{method}: {answer.get('error')}: {answer.get('message')}"
        result: dict[str, Any] = answer["result"]
        return result


class Page:
    """A tab, with those of Playwright's methods that tests of both browsers share."""

    def __init__(self, send: Any, context: str) -> None:
        self._send, self._context = send, context

    def goto(self, url: str) -> None:
        """Opens a page, and waits until it is loaded."""
        self._send("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, expression: str, argument: object = None) -> Any:
        """What an expression gives, or a function called with the argument; promises are waited for."""
        call = f"(typeof found === 'function' ? found({json.dumps(argument)}) : found)"
        code = f"(async () => {{ const found = ({expression}); return JSON.stringify((await {call}) ?? null); }})()"
        options = {"target": {"context": self._context}, "awaitPromise": True, "userActivation": True}
        answer = self._send("script.evaluate", expression=code, **options)
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return json.loads(answer["result"]["value"])

    def screenshot(self) -> bytes:
        """A PNG of what the tab shows."""
        return base64.b64decode(self._send("browsingContext.captureScreenshot", context=self._context)["data"])

    def wait_for_timeout(self, milliseconds: float) -> None:
        """Lets time pass on the page."""
        self.evaluate(f"new Promise((done) => setTimeout(done, {milliseconds}))")

    def close(self) -> None:
        """Closes the tab."""
        self._send("browsingContext.close", context=self._context)


@contextmanager
def open_firefox() -> Iterator[Firefox]:
    """Firefox with a profile of its own, or the test is skipped with the reason."""
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
            threading.Thread(target=process.stderr.read, daemon=True).start()  # so that it never waits for a reader
            with client.connect(f"{line.split()[-1]}/session", max_size=None, origin=None) as socket:
                yield Firefox(socket)
        finally:
            watch.cancel()
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()
