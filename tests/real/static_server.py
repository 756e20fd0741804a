"""A server of folders with byte ranges, for pages that don't come from a service."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".webm": "video/webm", ".mattes": "application/x-mattes"}


class _Handler(SimpleHTTPRequestHandler):
    """Serves files, or the requested range of one."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | TYPES
    shares = False  # whether pages of other origins may read

    def do_GET(self) -> None:
        """Respond with 200, 206 or 404."""
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            path /= "index.html"
        if not path.is_file():
            self.send_error(404)
            return
        body = path.read_bytes()
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = 0, len(body) - 1
        if found:
            first, last = int(found[1]), min(int(found[2] or last), last)
        self.send_response(206 if found else 200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Accept-Ranges", "bytes")
        if found:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
        if self.shares:
            self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(body[first : last + 1])

    def do_OPTIONS(self) -> None:
        """Respond to the preflight that browsers send before a range request to another origin."""
        self.send_response(204 if self.shares else 405)
        if self.shares:
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Access-Control-Allow-Headers", "range")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serve_folder(folder: Path, *, shares: bool = False) -> Iterator[str]:
    """Serve the folder; yield the address. ``shares``: pages of other origins may read, but not see `Content-Range`."""
    handler = type("Handler", (_Handler,), {"shares": shares})
    with ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: handler(*args, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
