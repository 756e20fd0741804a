"""Parsing of queries and of the Accept header, without a server."""

import jsonschema
import pytest
from multidict import MultiDict

from danmatte.errors import InvalidParameterError, NotAcceptableError, UnknownParameterError
from danmatte.http.query import DEADLINE, Choice, Flag, Integer, Number, Query, Text, negotiate, read_timeout_s

COUNT = Integer("n", "a count", 1, 9)
SHARE = Number("x", "a share", 0, 1)
LOUD = Flag("loud", "whether it is loud")
COLOUR = Choice("colour", "the colour", ("red", "blue"))
NAME = Text("name", "the name of a person", "[a-z]{1,8}", "a name")
ALL = (COUNT, SHARE, LOUD, COLOUR, NAME)
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
def test_the_offer_with_the_highest_accepted_quality_is_chosen(accept: str, expected: str) -> None:
    assert negotiate(accept, OFFERS) == expected


@pytest.mark.parametrize("accept", ["text/html", "*/*;q=0", "image/png;q=1.1", "image/png;q=x", "png", "*/x", "a/b/c"])
def test_an_invalid_or_unsatisfiable_accept_header_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptableError, match="Accept"):
        negotiate(accept, OFFERS)


@pytest.mark.parametrize("value", ["", " 1", "1.0", "0x10", "1_000", "١", "nan", "9" * 30])
def test_integers_other_than_plain_decimals_are_refused(value: str) -> None:
    with pytest.raises(InvalidParameterError, match="n: expected an integer from 1 to 9"):
        Query(MultiDict(n=value), [COUNT])[COUNT]


@pytest.mark.parametrize("value", ["", "inf", "nan", "1e-1", "1_0", "٠", "-0.1"])
def test_numbers_other_than_plain_decimals_are_refused(value: str) -> None:
    with pytest.raises(InvalidParameterError, match="x: expected a number"):
        Query(MultiDict(x=value), [SHARE])[SHARE]


def test_absent_parameters_have_their_defaults() -> None:
    query = Query(MultiDict(), ALL)
    assert [query[parameter] for parameter in ALL] == [None, None, False, "red", ""]
    assert not any(parameter in query for parameter in ALL)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidParameterError) as refused:
        Query(MultiDict(n="x" * 5000), [COUNT])[COUNT]
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(("headers", "limit_s"), [({}, None), ({DEADLINE: "1"}, 0.001), ({DEADLINE: "2500"}, 2.5)])
def test_the_deadline_header_is_in_milliseconds(headers: dict[str, str], limit_s: float | None) -> None:
    assert read_timeout_s(headers) == limit_s


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "1e3", "soon", "9" * 10, "١"])
def test_an_invalid_deadline_header_is_refused(value: str) -> None:
    with pytest.raises(InvalidParameterError, match="X-Deadline-Ms"):
        read_timeout_s({DEADLINE: value})


def test_values_are_parsed_as_their_parameters_declare() -> None:
    query = Query(MultiDict(n="7", x=".25", loud="1", colour="blue", name="ada"), ALL)
    assert [query[parameter] for parameter in ALL] == [7, 0.25, True, "blue", "ada"]
    assert all(parameter in query for parameter in ALL)


@pytest.mark.parametrize(("value", "loud"), [("true", True), ("1", True), ("false", False), ("0", False)])
def test_a_flag_accepts_words_and_digits(value: str, loud: bool) -> None:
    assert Query(MultiDict(loud=value), ALL)[LOUD] is loud


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"loud": "yes"}, "loud: expected one of false, 0, true, 1, received 'yes'"),
        ({"colour": "green"}, "colour: expected one of red, blue, received 'green'"),
        ({"name": "Ada"}, "name: expected a name, received 'Ada'"),
        ({"n": "10"}, "n: expected an integer from 1 to 9, received 10"),
        ({"x": "1.5"}, "x: expected a number from 0 to 1, received 1.5"),
    ],
)
def test_an_invalid_value_is_refused_naming_its_parameter(given: dict[str, str], says: str) -> None:
    query = Query(MultiDict(given), ALL)
    with pytest.raises(InvalidParameterError) as refused:
        [query[parameter] for parameter in ALL]
    assert str(refused.value) == says


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownParameterError, match="unknown parameter 'color'; did you mean 'colour'"):
        Query(MultiDict(color="red"), ALL)


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="n: expected once, received 2 times"):
        Query(MultiDict([("n", "1"), ("n", "2")]), ALL)


def test_select_returns_the_given_parameters_in_request_order() -> None:
    query = Query(MultiDict([("name", "ada"), ("n", "3"), ("x", "1")]), ALL)
    assert query.select([COUNT, NAME, LOUD]) == (("name", "ada"), ("n", "3"))


@pytest.mark.parametrize("parameter", ALL)
def test_a_declaration_describes_its_values_in_json_schema(parameter) -> None:
    schema = parameter.schema
    jsonschema.Draft202012Validator.check_schema(schema)
    values = {"n": (7, 10), "x": (0.25, 2), "loud": (True, "yes"), "colour": ("blue", "green"), "name": ("ada", "Ada")}
    good, bad = values[parameter.name]
    jsonschema.validate(good, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bad, schema)
