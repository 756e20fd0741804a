"""Accept and query, without a server."""

import pytest
from multidict import MultiDict

from danmatte.errors import InvalidParameterError, NotAcceptableError
from danmatte.http.query import DEADLINE, Parameters, acceptable, timeout_s

OFFERS = {"image/png": "png", "image/webp": "webp", "application/octet-stream": "raw"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "png"),
        ("*/*", "png"),
        ("image/*", "png"),
        ("IMAGE/WEBP", "webp"),
        ("image/png;q=0.5,image/webp", "webp"),
        ("image/webp;q=0.5, */*;q=0.1", "webp"),
        ("application/*", "raw"),
        ("text/plain, application/json, application/*+json, */*", "png"),  # Spring's
        ("text/html, image/gif, image/webp, *; q=.2, */*; q=.2", "webp"),  # old Java's
        ("text/html, image/png;q=0.001", "png"),
        ("image/*;q=0.2, image/png;q=0, */*;q=0.1", "webp"),
        ("image/webp; charset=x; q=1.000,", "webp"),
    ],
)
def test_the_best_liked_offer_is_taken(accept: str, expected: str) -> None:
    assert acceptable(accept, OFFERS) == expected


@pytest.mark.parametrize("accept", ["text/html", "*/*;q=0", "image/png;q=1.1", "image/png;q=x", "png", "*/x", "a/b/c"])
def test_what_cannot_be_meant_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptableError, match="Accept"):
        acceptable(accept, OFFERS)


@pytest.mark.parametrize("value", ["", " 1", "1.0", "0x10", "1_000", "١", "nan", "9" * 30])
def test_integers_are_decimal(value: str) -> None:
    with pytest.raises(InvalidParameterError, match="n: expected an integer from 1 to 9"):
        Parameters(MultiDict(n=value), ["n"]).integer("n", 1, 9)


@pytest.mark.parametrize("value", ["", "inf", "nan", "1e-1", "1_0", "٠", "-0.1"])
def test_numbers_are_plain(value: str) -> None:
    with pytest.raises(InvalidParameterError, match="x: expected a number"):
        Parameters(MultiDict(x=value), ["x"]).number("x", 0, 1, 0.5)


def test_what_is_absent_has_its_default() -> None:
    query = Parameters(MultiDict(), ["n"])
    assert (query.integer("n", 1, 9), query.number("n", 0, 1, 0.5), query.flag("n")) == (None, 0.5, False)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidParameterError) as refused:
        Parameters(MultiDict(n="x" * 5000), ["n"]).integer("n", 1, 9)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(("headers", "limit_s"), [({}, None), ({DEADLINE: "1"}, 0.001), ({DEADLINE: "2500"}, 2.5)])
def test_a_callers_deadline_is_in_milliseconds(headers: dict[str, str], limit_s: float | None) -> None:
    assert timeout_s(headers) == limit_s


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "1e3", "soon", "9" * 10, "١"])
def test_an_impossible_deadline_is_refused(value: str) -> None:
    with pytest.raises(InvalidParameterError, match="X-Deadline-Ms"):
        timeout_s({DEADLINE: value})
