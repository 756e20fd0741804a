"""Queries of single nodes."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.graph.layers import (
    compute_constants,
    extract,
    find_bias,
    find_only_reader,
    find_readers,
    index_by_name,
    is_constant,
    list_kernels,
    read_constant,
    replace_constant,
)
from tests.workbench.small_graphs import Chain, answer, named, noise, run


def test_readers_are_counted_by_port() -> None:
    chain = Chain().conv(4, "first")
    first = chain.value
    chain.value = ops.multiply(first, first)
    model = chain.model(ops.relu(first))
    bias = named(model, "first/bias")
    assert sorted(node.get_type_name() for node in find_readers(bias)) == ["Multiply", "Multiply", "Relu"]
    assert find_only_reader(bias) is None
    only = find_only_reader(named(model, "first"))
    assert only is not None
    assert only.get_friendly_name() == "first/bias"


def test_constants_are_read_and_computed_values_are_not() -> None:
    model = Chain().conv(2, "first").model()
    kernel, value = (named(model, "first").input_value(number) for number in (1, 0))
    assert is_constant(kernel)
    found = read_constant(kernel)
    assert found is not None
    assert found.shape == (2, 3, 1, 1)
    assert not is_constant(value)
    assert read_constant(value) is None


def test_a_constant_is_read_as_a_copy() -> None:
    model = Chain().conv(2, "first").model()
    before = answer(model, noise(model))
    values = read_constant(named(model, "first").input_value(1))
    assert values is not None
    values[:] = 0
    assert np.array_equal(answer(model, noise(model)), before)


def test_a_node_computes_with_its_replaced_constant() -> None:
    model = Chain().conv(2, "first").model()
    replace_constant(named(model, "first"), np.zeros((2, 3, 1, 1), np.float32))
    replace_constant(named(model, "first/bias"), np.full((1, 2, 1, 1), 5, np.float32))
    assert (answer(model, noise(model)) == 5).all()


def test_a_constant_can_be_replaced_by_a_non_contiguous_array() -> None:
    model = Chain().conv(3, "first").model()
    kernel = np.arange(9, dtype=np.float32).reshape(3, 3, 1, 1)
    replace_constant(named(model, "first"), kernel.transpose(1, 0, 2, 3))  # not contiguous
    assert np.array_equal(named(model, "first").input_value(1).get_node().get_data(), kernel.transpose(1, 0, 2, 3))


@pytest.mark.parametrize("followed_by", ["nothing", "two readers", "a map"])
def test_only_a_constant_added_by_the_only_reader_is_a_bias(followed_by: str) -> None:
    chain = Chain().conv(3, "first", bias=False)
    first = chain.value
    if followed_by == "two readers":
        chain.value = ops.add(ops.add(first, np.ones((1, 3, 1, 1), np.float32)), ops.relu(first))
    elif followed_by == "a map":
        chain.value = ops.add(first, chain.picture)
    model = chain.model()
    assert find_bias(named(model, "first")) is None


@pytest.mark.parametrize(
    ("shape", "found"),
    [((1, 4, 1, 1), True), ((4, 1, 1), True), ((1, 1, 1, 1), True), ((1, 1, 1, 4), False), ((1, 4, 4, 4), False)],
)
def test_a_bias_has_a_number_for_each_channel_or_one_for_all(shape: tuple[int, ...], found: bool) -> None:
    chain = Chain(4, 4).conv(4, "first", bias=False)
    chain.value = ops.add(chain.value, np.ones(shape, np.float32))
    model = chain.model()
    assert (find_bias(named(model, "first")) is not None) == found
    ((_, bias),) = list_kernels(model)
    assert bias.tolist() == [float(found)] * 4


def test_a_bias_is_found() -> None:
    model = Chain().conv(3, "first").relu().model()
    bias = find_bias(named(model, "first"))
    assert bias is not None
    assert bias.get_friendly_name() == "first/bias"


def test_constants_are_computed_without_an_input() -> None:
    half = ops.convert(ops.constant(np.array([1.5, -2.0], np.float16)), "f32")
    product = ops.multiply(half, np.float32(4))
    values = compute_constants([half.output(0), product.output(0)])
    assert [value.tolist() for value in values] == [[1.5, -2.0], [6.0, -8.0]]


def test_an_extracted_graph_has_the_requested_outputs_in_order() -> None:
    model = Chain().conv(4, "first").relu().conv(2, "second").model()
    nodes = index_by_name(model)
    part = extract(model, [nodes["second"].output(0), nodes["first/bias"].output(0)], "some")
    assert part.get_friendly_name() == "some"
    second, first = run(part, noise(model))
    assert (second.shape[1], first.shape[1]) == (2, 4)
    assert np.allclose(second + nodes["second/bias"].input_value(1).get_node().get_data(), answer(model, noise(model)))


def test_nodes_can_be_found_by_name() -> None:
    model = Chain().conv(4, "first").model()
    assert {"picture", "first", "first/bias"} <= index_by_name(model).keys()
    assert isinstance(index_by_name(model)["first"], ov.Node)


def test_kernels_are_listed_as_tensorflow_stores_them() -> None:
    dice = np.random.default_rng(2)
    kernel = dice.normal(size=(3, 5, 4, 7)).astype(np.float32)  # rows, columns, inputs, outputs
    depthwise = dice.normal(size=(3, 3, 7, 1)).astype(np.float32)
    bias = dice.normal(size=7).astype(np.float32)
    picture = ops.parameter((1, 4, 9, 9), np.float32)
    first = ops.convolution(picture, ops.constant(kernel.transpose(3, 2, 0, 1)), (1, 1), (0, 0), (0, 0), (1, 1))
    value = ops.add(first, ops.constant(bias.reshape(1, 7, 1, 1)))
    grouped = ops.constant(depthwise.transpose(2, 3, 0, 1)[:, :, None])
    value = ops.group_convolution(value, grouped, (1, 1), (0, 0), (0, 0), (1, 1))
    found = list_kernels(ov.Model([ops.result(value)], [picture], "two"))
    assert [np.array_equal(mine, right) for (mine, _), right in zip(found, (kernel, depthwise), strict=True)] == [
        True
    ] * 2
    assert np.array_equal(found[0][1], bias)
    assert np.array_equal(found[1][1], np.zeros(7))
