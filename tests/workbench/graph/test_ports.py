"""Places in a graph, by each of their names."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.ports import extract_part, find_input_port, find_output, list_names, pick_name
from tests.workbench.small_graphs import Chain, answer, named, noise


@pytest.fixture
def model() -> ov.Model:
    chain = Chain().conv(4, "stem", side=3).relu()
    chain.conv(2, "logits")
    made = chain.model()
    named(made, "stem").output(0).set_names({"stem:0", "a tensor of the stem"})
    made.output(0).set_names({"answer"})
    return made


def test_an_input_of_the_graph_is_not_a_port_of_a_node(model: ov.Model) -> None:
    assert find_input_port(model, "picture") is None


def test_a_port_is_found_by_its_number_and_node_or_tensor(model: ov.Model) -> None:
    port = find_input_port(model, "1:stem")
    assert port is not None
    assert (port.get_node().get_friendly_name(), port.get_index()) == ("stem", 1)
    by_tensor = find_input_port(model, "0:a tensor of the stem")
    assert by_tensor is not None
    assert by_tensor.get_node().get_friendly_name() == "stem"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pictur", r"^has no input pictur; give a node's input port as 0:node; did you mean 'picture'"),
        ("x:stem", r"^has no input x:stem; give a node's input port"),
        ("0:stm", r"^has no node 0:stm; did you mean 'stem'"),
        ("2:stem", r"^has no node 2:stem; did you mean 'stem'"),
    ],
)
def test_an_unknown_input_is_reported_with_the_nearest(model: ov.Model, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        find_input_port(model, name)


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("answer", "logits/bias"),
        ("stem:0", "stem"),
        ("a tensor of the stem", "stem"),
        ("logits", "logits"),
        ("picture", "picture"),
    ],
)
def test_an_output_is_found_by_node_and_by_tensor(model: ov.Model, name: str, node: str) -> None:
    assert find_output(model, name).get_node().get_friendly_name() == node


def test_an_unknown_output_is_reported_with_the_nearest(model: ov.Model) -> None:
    with pytest.raises(InputError, match=r"^has no node logit; did you mean 'logits'"):
        find_output(model, "logit")


def test_a_port_is_named_by_its_shortest_name_or_else_its_node(model: ov.Model) -> None:
    assert pick_name(named(model, "stem").output(0)) == "stem:0"
    assert pick_name(model.output(0)) == "answer"
    assert pick_name(named(model, "logits").output(0)) == "logits"
    assert {"answer", "logits/bias"} <= list_names(model.output(0))


@pytest.mark.parametrize("channels_last", [True, False])
def test_an_extracted_part_takes_channels_last_and_gives_the_same_output(channels_last: bool) -> None:
    chain = Chain(9, 7, last=channels_last).conv(4, "stem", side=3).relu().conv(2, "logits")
    model = chain.model()
    picture = noise(model)
    expected = answer(model, picture)
    part = extract_part(model.clone(), "picture", "logits/bias")
    assert list(part.input(0).shape) == [1, 9, 7, 3]
    given = picture if channels_last else picture.transpose(0, 2, 3, 1)
    assert answer(part, given) == pytest.approx(expected, abs=1e-5)


def test_an_extracted_part_can_begin_at_a_port_of_a_node() -> None:
    chain = Chain()
    chain.value = ops.multiply(chain.picture, np.float32(2))
    model = chain.conv(4, "stem", side=3).model()
    picture = noise(model)
    expected = answer(model, 2 * picture / 2)
    part = extract_part(model.clone(), "0:stem", "stem/bias")
    assert answer(part, 2 * picture.transpose(0, 2, 3, 1)) == pytest.approx(expected, abs=1e-5)
    assert part.input(0).get_any_name() == "picture"


def test_a_part_that_takes_no_picture_is_refused(model: ov.Model) -> None:
    with pytest.raises(InputError, match=r"^expected a picture of three channels at 0:logits, found \[1,4,9,9\]$"):
        extract_part(model, "0:logits", "answer")
