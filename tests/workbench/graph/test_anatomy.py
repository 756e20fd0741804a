"""Places in graphs, found from their structure."""

from pathlib import Path

import pytest

from danmatte_workbench.graph.anatomy import Anatomy, Node
from tests.workbench import tiny
from tests.workbench.small_graphs import Chain


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


def test_the_first_convolution_includes_the_padding_before_it() -> None:
    assert PADDED.find_first_convolution("x") == "0:pad"
    assert PADDED.find_feeder("0:pad") == "cast"


def test_the_feeder_of_a_port_is_found_behind_transposes() -> None:
    found = chain(("x", "Parameter", ()), ("t", "Transpose", ("x", "o")), ("c", "Convolution", ("t", "w")))
    assert (found.find_first_convolution("x"), found.find_feeder("0:c")) == ("0:c", "x")


def test_ends_are_unread_nodes_that_can_be_outputs() -> None:
    assert PADDED.find_ends() == ("answer",)
    assert PADDED.find_decision() == "pick"


def test_a_choice_that_feeds_a_convolution_is_not_a_decision() -> None:
    found = chain(("x", "Parameter", ()), ("t", "TopK", ("x",)), ("c", "Convolution", ("t", "w")))
    assert found.find_decision() is None


def test_an_input_that_reaches_no_convolution_has_no_first_one() -> None:
    assert chain(("x", "Parameter", ()), ("m", "MatMul", ("x", "w"))).find_first_convolution("x") is None


def test_an_unknown_port_raises_a_key_error() -> None:
    with pytest.raises(KeyError):
        PADDED.find_feeder("0:nothing")


def test_nodes_of_an_openvino_graph_have_their_friendly_names() -> None:
    model = Chain().conv(4, "first").relu().conv(2, "second").model()
    found = Anatomy.from_openvino(model)
    nodes = {node.name: node for node in found.nodes}
    assert nodes["first"].kind == "Convolution"
    assert nodes["first"].feeding[0] == "picture"
    assert nodes["first/bias"].feeding[0] == "first"
    assert [node.name for node in found.find_kinds({"Convolution"})] == ["first", "second"]


def test_nodes_of_an_openvino_graph_are_in_the_order_of_computation() -> None:
    nodes = [node.name for node in Anatomy.from_openvino(Chain().conv(4, "first").conv(2, "second").model()).nodes]
    assert nodes.index("first") < nodes.index("first/bias") < nodes.index("second")


def test_first_convolution_and_decision_of_a_tensorflow_graph_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.pb").write_bytes(tiny.frozen(tiny.PLAIN))
    found = Anatomy.from_tensorflow(tmp_path / "a.pb")
    assert found.find_first_convolution("ImageTensor") == "0:MobilenetV2/Conv/Conv2D"
    assert found.find_decision() == "ArgMax"


def test_reachable_nodes_are_downstream_only() -> None:
    assert PADDED.find_reachable("deeper") == {"deeper", "pick", "answer"}
    assert PADDED.find_reachable("answer") == {"answer"}
    assert "x" not in PADDED.find_reachable("pad")


def test_a_reader_is_listed_once_for_each_port() -> None:
    twice = chain(("x", "Parameter", ()), ("sum", "Add", ("x", "x")))
    assert [node.name for node in twice.index_readers()["x"]] == ["sum", "sum"]


def test_the_last_of_several_decisions_is_used() -> None:
    found = chain(
        ("x", "Parameter", ()),
        ("early", "TopK", ("x",)),
        ("again", "Convolution", ("early", "w")),
        ("late", "ArgMax", ("again",)),
    )
    assert found.find_decision() == "late"


def test_the_nearest_convolution_is_the_first() -> None:
    found = chain(
        ("x", "Parameter", ()),
        ("far", "Relu", ("x",)),
        ("deep", "Convolution", ("far", "w")),
        ("near", "Convolution", ("x", "w")),
    )
    assert found.find_first_convolution("x") == "0:near"
    assert found.find_first_convolution("far") == "0:deep"
