"""Readiness probe of a running server.

It uses a plain socket rather than an HTTP library, because probes run often and beside a busy server.
"""

import socket
import ssl
from urllib.parse import urlsplit

from danmatte.settings import Settings

_TIMEOUT_S = 10.0
_PATH = "/v2/health/ready"


def is_ready(settings: Settings, url: str = "") -> bool:
    """Return whether a server is ready: the one at the URL, or the one on this machine with these settings."""
    # a server that listens on all addresses is reached over loopback
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    port, tls, path = settings.port, bool(settings.tls_certificate), _PATH
    try:
        if url:
            parts = urlsplit(url)
            tls, host = parts.scheme == "https", parts.hostname or ""
            port, path = parts.port or (443 if tls else 80), parts.path.rstrip("/") + _PATH
        return _ask(host, port, path, tls=tls) == b"200"
    except (OSError, ValueError):
        return False


def _ask(host: str, port: int, path: str, *, tls: bool) -> bytes:
    """Return the status code of the response, empty if it isn't HTTP; raises OSError and ValueError."""
    with socket.create_connection((host, port), timeout=_TIMEOUT_S) as plain:
        name = f"[{host}]" if ":" in host else host
        request = f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode()
        if not tls:
            return _exchange(plain, request)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the probe sends and reads no secret
        with context.wrap_socket(plain, server_hostname=host) as secured:
            return _exchange(secured, request)


def _exchange(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    with connection.makefile("rb") as answer:
        return b"".join(answer.readline(1000).split()[1:2])  # empty if the first line isn't an HTTP status line
