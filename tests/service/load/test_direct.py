"""Requests to servers on this machine ignore proxies."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from direct import open_url


class Page(BaseHTTPRequestHandler):
    """Respond with the same body to every request."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ready")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_proxies_set_in_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # no server listens there
    monkeypatch.delenv("no_proxy", raising=False)
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        serving = Thread(target=server.handle_request)
        serving.start()
        with open_url(f"http://127.0.0.1:{server.server_port}/", timeout=10) as response:
            assert response.read() == b"ready"
        serving.join()
