"""Places in graphs, found by structure."""

import pytest

from danmatte_workbench.graph.anatomy import Anatomy, Node


def chain(*nodes: tuple[str, str, tuple[str, ...]]) -> Anatomy:
    return Anatomy(tuple(Node(*node) for node in nodes))


PADDED = chain(
    ("weights", "Const", ()),
    ("x", "Placeholder", ()),
    ("x/size", "Shape", ("x",)),
    ("cast", "Cast", ("x",)),
    ("pad", "Pad", ("cast", "weights")),
    ("any name", "Conv2D", ("pad", "weights")),
    ("deeper", "Conv2D", ("any name", "weights")),
    ("pick", "ArgMax", ("deeper", "weights")),
    ("answer", "Cast", ("pick",)),
    ("lonely", "Assert", ("x/size",)),
)


def test_the_first_convolution_begins_at_the_padding_for_it() -> None:
    assert PADDED.find_first_convolution("x") == "0:pad"
    assert PADDED.find_feeder("0:pad") == "cast"


def test_the_feeder_is_seen_through_transposes() -> None:
    found = chain(("x", "Parameter", ()), ("t", "Transpose", ("x", "o")), ("c", "Convolution", ("t", "w")))
    assert (found.find_first_convolution("x"), found.find_feeder("0:c")) == ("0:c", "x")


def test_the_ends_are_what_nobody_uses_and_might_answer() -> None:
    assert PADDED.find_ends() == ("answer",)
    assert PADDED.find_decision() == "pick"


def test_a_choice_that_is_convolved_further_is_no_decision() -> None:
    found = chain(("x", "Parameter", ()), ("t", "TopK", ("x",)), ("c", "Convolution", ("t", "w")))
    assert found.find_decision() is None


def test_a_picture_that_reaches_no_convolution_has_none() -> None:
    assert chain(("x", "Parameter", ()), ("m", "MatMul", ("x", "w"))).find_first_convolution("x") is None


def test_an_unknown_port_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        PADDED.find_feeder("0:nothing")
