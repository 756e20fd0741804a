"""Short-lived signed tokens for pages, which can't keep a key secret: `dmt1~key~subject~scope~expiry~signature`.

The holder of an API key signs tokens with HMAC-SHA-256 (RFC 2104). The signing secret is derived from the key, so the
server can verify tokens without knowing the key. All characters of a token are allowed in a query and in a WebSocket
subprotocol (RFC 6455, 4.1).
"""

import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from typing import Final

from danmatte.errors import InvalidParameterError, UnauthorizedError

PREFIX: Final = "dmt1~"
SCOPES: Final = ("mattes", "live", "models", "v2", "tfs", "grpc")
LONGEST_S: Final = 86_400
_PURPOSE: Final = b"danmatte token 1"
_PART: Final = re.compile(r"[A-Za-z0-9._-]{0,64}", re.ASCII)


@dataclass(frozen=True)
class Token:
    """The fields of a token. `key` is the name of the signing key, `scope` the allowed protocols.

    `subject` identifies the user, such as a viewer, who then counts as a separate client; empty for none. `expires` is
    a Unix time in seconds.
    """

    key: str
    subject: str
    scope: tuple[str, ...]
    expires: int

    def sign(self, secret: str) -> str:
        """Return the signed token as text."""
        text = f"{PREFIX}{self.key}~{self.subject}~{'.'.join(self.scope)}~{self.expires}"
        return f"{text}~{_sign(text, secret)}"

    @classmethod
    def parse(cls, text: str) -> "Token":
        """Parse a token without checking its signature; raises UnauthorizedError."""
        parts = text.removeprefix(PREFIX).split("~")
        whole = text.startswith(PREFIX) and len(parts) == 5 and all(map(_PART.fullmatch, parts))
        if not whole or not re.fullmatch(r"\d{1,12}", parts[3], re.ASCII):
            raise UnauthorizedError("the token is malformed: expected one that `danmatte token` prints")
        return cls(parts[0], parts[1], tuple(parts[2].split(".")), int(parts[3]))


def make_token(key: str, name: str, *, subject: str, scope: tuple[str, ...], seconds: int) -> str:
    """Return a signed token; `name` is the key's name in the server's key file. Raises InvalidParameterError."""
    if not name or not _PART.fullmatch(name) or not _PART.fullmatch(subject):
        raise InvalidParameterError("name, subject: expected letters, digits and ._-, at most 64")
    for word in scope:
        if word not in SCOPES:
            raise InvalidParameterError(f"scope: expected some of {', '.join(SCOPES)}, received {word!r}")
    if not 1 <= seconds <= LONGEST_S:
        raise InvalidParameterError(f"seconds: expected 1 to {LONGEST_S}, received {seconds}")
    return Token(name, subject, scope, int(time.time()) + seconds).sign(derive_secret(key))


def derive_secret(key: str) -> str:
    """Return the signing secret of a key, 64 hexadecimal digits, from which the key can't be derived."""
    return hmac.new(key.encode("utf-8", "surrogateescape"), _PURPOSE, hashlib.sha256).hexdigest()


def check_signature(text: str, token: Token, secret: str) -> None:
    """Raise UnauthorizedError if the signature is wrong, or the token has expired or is valid for too long."""
    signed, _, signature = text.rpartition("~")
    if not hmac.compare_digest(_sign(signed, secret), signature):
        raise UnauthorizedError("the token's signature is wrong")
    if token.expires <= time.time():
        raise UnauthorizedError("the token has expired")
    if token.expires > time.time() + LONGEST_S:
        raise UnauthorizedError(f"the token lasts too long: expected at most {LONGEST_S} s")


def _sign(text: str, secret: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
