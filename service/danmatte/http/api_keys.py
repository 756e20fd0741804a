"""API keys: the key file, with the digest and the limits of each key.

phone-app = "sha256:9f86d08…"      # shortest form: the digest alone

[web-page]
digest = "sha256:60303ae…"
tokens = "hmac:fd61a03…"           # accept tokens signed with the key
rate = 50                          # maximum requests and live frames a second
burst = 100                        # maximum of them at once
in_flight = 8                      # maximum concurrent requests
streams = 4                        # maximum live connections and gRPC streams
"""

import hashlib
import hmac
import logging
import re
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from danmatte.contract.near_words import did_you_mean
from danmatte.errors import InvalidParameterError, SettingsError, UnauthorizedError, brief
from danmatte.http import tokens
from danmatte.http.request_keys import Identity
from danmatte.http.tokens import Token

log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_SECRET = re.compile(r"hmac:[0-9a-f]{64}", re.ASCII)
_Count = Annotated[int, Meta(ge=1)]


class Quota(Struct, frozen=True):
    """The limits of a key; None means that this key has no limit."""

    rate: Annotated[float, Meta(gt=0)] | None = None
    burst: _Count | None = None
    in_flight: _Count | None = None
    streams: _Count | None = None


class _Entry(Quota, frozen=True, forbid_unknown_fields=True):
    """An entry of the key file."""

    digest: str = ""
    tokens: str = ""


class ApiKeys:
    """API keys by name. Only their SHA-256 digests are stored, which suffices for keys of high entropy."""

    def __init__(self, file: Path, entries: Mapping[str, _Entry]) -> None:
        self._file, self._entries = file, entries

    @classmethod
    def read(cls, file: Path) -> "ApiKeys":
        """Read a key file; raises SettingsError, whose message never contains a key or digest."""
        return cls(file, _read_entries(file))

    def read_again(self) -> None:
        """Reload the key file; if it is invalid, log an error and keep the current keys."""
        try:
            self._entries = _read_entries(self._file)
        except SettingsError as error:
            log.error("the keys are unchanged: %s", error)
        else:
            log.info("%d keys were read from %s", len(self._entries), self._file)

    def find_quota(self, caller: str) -> Quota | None:
        """Return the limits of a caller's key. `caller` is a key's name, or `key/subject` for a token."""
        return self._entries.get(caller.partition("/")[0])

    def identify(self, headers: Mapping[str, str], token: str = "") -> Identity:
        """Return the identity of the key or token in `Authorization: Bearer …` or `X-Api-Key`.

        `token` is one that was sent in another way, and is used if both headers are missing. gRPC metadata has the
        same names in lower case. Raises UnauthorizedError.
        """
        scheme, _, bearer = (headers.get("Authorization") or headers.get("authorization") or "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else ""
        given = given or headers.get("X-Api-Key") or headers.get("x-api-key") or token
        if not given:
            raise UnauthorizedError("expected an API key in Authorization: Bearer … or X-Api-Key")
        if given.startswith(tokens.PREFIX):
            return self._identify_token(given)
        digest = digest_key(given)
        names = [name for name, entry in self._entries.items() if hmac.compare_digest(entry.digest, digest)]
        if not names:
            raise UnauthorizedError("the API key is unknown")
        return Identity(names[0], lambda: self._get(names[0]).digest == digest)

    def _identify_token(self, given: str) -> Identity:
        token = Token.parse(given)
        secret = self._get(token.key).tokens
        if not secret:
            raise UnauthorizedError("the token's key is unknown, or doesn't accept tokens")
        tokens.check_signature(given, token, secret.removeprefix("hmac:"))
        caller = f"{token.key}/{token.subject}" if token.subject else token.key
        return Identity(caller, lambda: self._get(token.key).tokens == secret, frozenset(token.scope))

    def _get(self, name: str) -> _Entry:
        return self._entries.get(name, _Entry())


def digest_key(key: str) -> str:
    """Return the digest that is stored in the key file."""
    return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def make_key(name: str, key: str = "") -> tuple[str, str]:
    """Return a key, newly created if none is given, and its entry for the key file; raises InvalidParameterError."""
    if not _NAME.fullmatch(name):
        raise InvalidParameterError(f"name: expected letters, digits and ._-, at most 64, received {brief(name)}")
    key = key or f"dmk_{secrets.token_urlsafe(32)}"
    table = f'["{name}"]' if "." in name else f"[{name}]"
    return key, f'{table}\ndigest = "{digest_key(key)}"\ntokens = "hmac:{tokens.derive_secret(key)}"\n'


def _read_entries(file: Path) -> dict[str, _Entry]:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: expected a readable TOML file of API keys: {error}") from error
    if not table:
        raise SettingsError(f"{file}: expected at least one key")
    return {name: _read_entry(file, name, given) for name, given in table.items()}


def _read_entry(file: Path, name: str, given: Any) -> _Entry:
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{file}: expected a name of letters, digits and ._-, received {brief(name)}")
    for word in given if isinstance(given, dict) else ():
        if word not in _Entry.__struct_fields__:
            known = _Entry.__struct_fields__
            raise SettingsError(f"{file}: {name}: unknown key {brief(word)}{did_you_mean(word, known)}")
    try:
        entry = msgspec.convert(given if isinstance(given, dict) else {"digest": given}, _Entry)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {name}: {error}") from error
    # Without the prefix, a key of 64 hexadecimal digits would pass for a digest, and be stored in plain text.
    if not _DIGEST.fullmatch(entry.digest):
        raise SettingsError(
            f"{file}: {name}: expected sha256: and the SHA-256 of the key in 64 hexadecimal digits, lower case, "
            "as `danmatte key` prints it; never the key itself"
        )
    if entry.tokens and not _SECRET.fullmatch(entry.tokens):
        raise SettingsError(f"{file}: {name}: tokens: expected hmac: and 64 digits, as `danmatte key` prints it")
    return entry
