"""Signed tokens: their scope, expiry and signature."""

import time

import pytest

from danmatte.errors import InvalidParameterError, UnauthorizedError
from danmatte.http.tokens import LONGEST_S, SCOPES, Token, check_signature, derive_secret, make_token

KEY = "secret"


def make(**options: object) -> str:
    return make_token(KEY, "page", **({"subject": "v1", "scope": ("live",), "seconds": 60} | options))


def check(text: str, secret: str = derive_secret(KEY)) -> Token:
    """Parse a token and check its signature."""
    token = Token.parse(text)
    check_signature(text, token, secret)
    return token


def test_a_signed_token_is_parsed_with_its_fields() -> None:
    token = check(make(scope=("mattes", "live")))
    assert (token.key, token.subject, token.scope) == ("page", "v1", ("mattes", "live"))
    assert 55 <= token.expires - time.time() <= 61


def test_a_token_with_any_character_changed_is_refused() -> None:
    text = make()
    for place in range(len(text)):
        other = text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :]
        with pytest.raises(UnauthorizedError):
            check(other)


def test_a_token_signed_with_a_different_key_is_refused() -> None:
    with pytest.raises(UnauthorizedError, match="signature"):
        check(make(), derive_secret("other"))


@pytest.mark.parametrize(("expires", "says"), [(-1, "expired"), (LONGEST_S + 60, "too long")])
def test_an_expired_or_too_long_lived_token_is_refused(expires: int, says: str) -> None:
    secret = derive_secret(KEY)
    text = Token("page", "", ("live",), int(time.time()) + expires).sign(secret)
    with pytest.raises(UnauthorizedError, match=says):
        check(text)


@pytest.mark.parametrize(
    "text", ["", "dmt1~", "dmt1~a~b~c", "dmt1~a~b~c~x~y", "dmt1~a b~~live~1~0", "dmt1~" + "~" * 99]
)
def test_a_malformed_token_is_refused(text: str) -> None:
    with pytest.raises(UnauthorizedError, match="malformed"):
        Token.parse(text)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"subject": "a~b"}, "subject: expected"),
        ({"scope": ("admin",)}, f"scope: expected some of {', '.join(SCOPES)}"),
        ({"seconds": 0}, "seconds: expected 1 to 86400"),
        ({"seconds": LONGEST_S + 1}, "seconds: expected 1 to 86400"),
    ],
)
def test_making_a_token_with_invalid_options_is_refused(options: dict, says: str) -> None:
    with pytest.raises(InvalidParameterError, match=says):
        make(**options)


def test_the_derived_secret_does_not_contain_the_key() -> None:
    assert KEY not in derive_secret(KEY)
    assert derive_secret(KEY) != derive_secret(KEY + " ")
