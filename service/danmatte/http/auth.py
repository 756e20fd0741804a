"""Authentication by API keys, and headers that keep browsers from misusing an answer.

A key file is strict TOML, a line `name = "SHA-256 of the key in hex"` for each; digests are compared in constant time.
"""

import hashlib
import hmac
import logging
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from danmatte.errors import SettingsError, UnauthorizedError, brief
from danmatte.http.request_keys import IDENTITY, Identity

log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_NO_SCRIPTS = "default-src 'none'; frame-ancestors 'none'"


class ApiKeys:
    """Names by digest. A key is known by its SHA-256 alone, which is enough for keys that nobody can guess."""

    def __init__(self, file: Path, digests: Mapping[str, bytes]) -> None:
        self._file, self._digests = file, digests

    @classmethod
    def read(cls, file: Path) -> "ApiKeys":
        """The keys of a file of lines `name = "sha256 in hex"`; raises SettingsError, and never shows a digest."""
        return cls(file, _read_digests(file))

    def read_again(self) -> None:
        """Takes the keys that are in the file now; a bad file is logged, and changes nothing."""
        try:
            self._digests = _read_digests(self._file)
        except SettingsError as error:
            log.error("the keys stay as they were: %s", error)
        else:
            log.info("%d keys were read from %s", len(self._digests), self._file)

    def identify(self, headers: Mapping[str, str]) -> Identity:
        """Whose key `Authorization: Bearer …` or `X-Api-Key` carries; raises UnauthorizedError.

        gRPC metadata has the same names in lower case.
        """
        scheme, _, token = (headers.get("Authorization") or headers.get("authorization") or "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        given = bearer or headers.get("X-Api-Key") or headers.get("x-api-key")
        if not given:
            raise UnauthorizedError("expected an API key in Authorization: Bearer … or X-Api-Key")
        digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).hexdigest().encode()
        names = [name for name, known in self._digests.items() if hmac.compare_digest(known, digest)]
        if not names:
            raise UnauthorizedError("the API key is unknown")
        name = names[0]
        return Identity(name, lambda: self._digests.get(name) == digest)


def _read_digests(file: Path) -> dict[str, bytes]:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: expected a readable TOML file of keys: {error}") from error
    for name, digest in table.items():
        if not _NAME.fullmatch(name):
            raise SettingsError(f"{file}: expected a name of letters, digits and ._-, received {brief(name)}")
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise SettingsError(f"{file}: {name}: expected a SHA-256 in 64 hexadecimal digits, lower case")
    if not table:
        raise SettingsError(f"{file}: expected at least one key")
    return {name: digest.encode() for name, digest in table.items()}


def require_key(keys: ApiKeys, open_paths: frozenset[str]) -> Middleware:
    """A middleware that requires an API key, except for `open_paths`; raises UnauthorizedError."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in open_paths:
            request[IDENTITY] = keys.identify(request.headers)
        return await handler(request)

    return check


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Security headers where a handler set none of its own; for `Application.on_response_prepare`."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if response.content_type != "text/html":  # a mask opened as a document of its own, an SVG above all
        response.headers.setdefault("Content-Security-Policy", _NO_SCRIPTS)
