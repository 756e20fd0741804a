"""Tied channels are kept or removed together, whatever is between the convolutions."""

import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openvino import opset13 as ops

from danmatte_workbench.pruning.channels import ChannelMap, keep_channels
from tests.workbench.small_graphs import Chain, answer, noise


def convolution(features: ov.Node, outputs: int, name: str, *, kernel: int = 1) -> ov.Node:
    inputs = features.get_output_shape(0)[1]
    values = np.random.default_rng(len(name)).normal(0, 0.3, (outputs, inputs, kernel, kernel)).astype(np.float32)
    pads = [kernel // 2] * 2
    node = ops.convolution(features, values, [1, 1], pads, pads, [1, 1])
    node.set_friendly_name(name)
    return node


def depthwise(features: ov.Node, name: str) -> ov.Node:
    channels = features.get_output_shape(0)[1]
    values = np.random.default_rng(7).normal(0, 0.3, (channels, 1, 1, 3, 3)).astype(np.float32)
    node = ops.group_convolution(features, values, [1, 1], [1, 1], [1, 1], [1, 1])
    node.set_friendly_name(name)
    return node


def network(*, last_kernel: int = 1) -> ov.Model:
    """Return a residual block, a depthwise convolution, a concatenation, and a squeezed pooled branch."""
    picture = ops.parameter([1, 3, 8, 8], np.float32, name="picture")
    stem = ops.relu(convolution(picture, 8, "stem", kernel=3))
    inner = depthwise(ops.relu(convolution(stem, 12, "widen")), "deep")
    block = ops.add(stem, convolution(inner, 8, "narrow"))
    both = ops.concat([ops.relu(convolution(block, 4, "left")), ops.relu(convolution(block, 6, "right"))], 1)
    pooled = ops.reduce_mean(both, np.array([2, 3]), keep_dims=True)
    flat = ops.unsqueeze(ops.squeeze(convolution(pooled, 5, "pooled"), np.array([2, 3])), np.array([2, 3]))
    mixed = ops.relu(ops.add(convolution(both, 5, "mixed"), flat))
    return ov.Model([ops.result(convolution(mixed, 1, "last", kernel=last_kernel))], [picture], "network")


def widths(model: ov.Model) -> dict[tuple[str, ...], int]:
    return {tuple(sorted(space.makers)): space.width for space in ChannelMap(model).find_prunable().values()}


def test_residual_sums_and_pooled_branches_tie_their_convolutions() -> None:
    assert widths(network()) == {
        ("narrow", "stem"): 8,
        ("widen",): 12,
        ("left",): 4,
        ("right",): 6,
        ("mixed", "pooled"): 5,
    }


def test_channels_that_a_larger_kernel_mixes_are_not_prunable() -> None:
    assert ("mixed", "pooled") not in widths(network(last_kernel=3))


def test_channels_that_an_unknown_operation_reads_are_not_prunable() -> None:
    picture = ops.parameter([1, 3, 8, 8], np.float32)
    wide = convolution(picture, 8, "wide")
    model = ov.Model([ops.result(ops.softmax(convolution(ops.softmax(wide, 1), 4, "next"), 1))], [picture], "odd")
    assert widths(model) == {}


def test_removing_channels_without_weight_keeps_the_output() -> None:
    """Channels whose mixers' weights are zero are removed from every space; the output stays the same."""
    model = network()
    channels = ChannelMap(model)
    rng = np.random.default_rng(0)
    kept = {
        number: np.sort(rng.permutation(space.width)[: space.width // 2])
        for number, space in channels.find_prunable().items()
    }
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    for name in {name for space in channels.find_prunable().values() for name in space.mixers}:
        kernel = nodes[name].input_value(1).get_node().get_data()
        mask = np.zeros(kernel.shape[1], bool)
        mask[channels.select_columns(channels.get_input_lane(name), kept)] = True
        constant = ops.constant(np.ascontiguousarray(kernel * mask[None, :, None, None]))
        nodes[name].input(1).replace_source_output(constant.output(0))
    picture = rng.normal(0, 1, (1, 3, 8, 8)).astype(np.float32)
    before = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(picture)[0].copy()
    keep_channels(model, channels, kept)
    after = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(picture)[0]
    assert after == pytest.approx(before, abs=1e-5)
    assert nodes["deep"].get_output_shape(0)[1] == 6
    assert nodes["stem"].get_output_shape(0)[1] == 4


def chain(height: int = 8) -> Chain:
    return Chain(height, height)


def test_channels_of_the_output_and_the_picture_are_not_prunable() -> None:
    model = chain().conv(8, "only").model()
    assert widths(model) == {}, "nothing mixes the answer's channels, and nothing makes the picture's"


@pytest.mark.parametrize("between", ["relu", "clamp", "resize", "max_pool", "convert", "sigmoid", "swish", "hswish"])
def test_channels_before_a_channelwise_operation_are_prunable(between: str) -> None:
    made = chain().conv(8, "first")
    if between == "relu":
        made.relu()
    elif between == "clamp":
        made.clamp()
    elif between == "resize":
        made.resize(16, 16)
    elif between == "max_pool":
        made.value = ops.relu(ops.max_pool(made.value, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0))
    elif between == "convert":
        made.value = ops.convert(ops.convert(made.value, "f16"), "f32")
    else:
        made.value = getattr(ops, between)(made.value)
    assert widths(made.conv(2, "last").model()) == {("first",): 8}


def test_ties_extend_over_several_blocks() -> None:
    made = chain().conv(8, "stem").relu()
    for name in ("one", "two", "three"):
        start = made.value
        made.conv(12, f"{name}/widen").relu().conv(8, f"{name}/narrow")
        made.value = ops.add(start, made.value)
    found = widths(made.conv(2, "last").model())
    assert found[("one/narrow", "stem", "three/narrow", "two/narrow")] == 8
    assert len(found) == 4


def test_a_map_that_is_scaled_by_another_is_tied_to_it() -> None:
    """As in squeeze-and-excitation: one factor for each channel."""
    made = chain().conv(8, "first").relu()
    features = made.value
    made.value = ops.reduce_mean(features, np.array([2, 3]), keep_dims=True)
    made.conv(4, "squeeze").relu().conv(8, "excite")
    made.value = ops.multiply(features, ops.sigmoid(made.value))
    assert widths(made.conv(2, "last").model()) == {("excite", "first"): 8, ("squeeze",): 4}


def test_maps_combined_with_one_of_a_different_width_are_not_prunable() -> None:
    made = chain().conv(8, "first")
    features = made.value
    one = made.conv(1, "one").value
    made.value = ops.multiply(features, one)
    assert ("first",) not in widths(made.conv(2, "last").model())


def add_part(made: Chain, operation: str) -> None:
    """Add channels of unknown origin to the chain's value: a slice of another convolution's channels."""
    features, width = made.value, made.channels
    made.value = made.picture
    both = made.conv(2 * width, "both").value
    if operation == "split":
        made.value = ops.add(features, ops.split(both, np.array(1), 2).output(0))
    else:
        part = ops.slice(both, np.array([0]), np.array([width]), np.array([1]), np.array([1]))
        made.value = getattr(ops, operation)(features, part)


@pytest.mark.parametrize("operation", ["split", "add", "multiply"])
def test_maps_combined_with_one_of_unknown_origin_are_not_prunable(operation: str) -> None:
    made = chain().conv(8, "first")
    add_part(made, operation)
    assert widths(made.conv(2, "last").model()) == {}


def test_a_map_multiplied_by_a_single_channel_is_prunable() -> None:
    made = chain().conv(8, "first")
    features = made.value
    made.value = made.picture
    weights = ops.sigmoid(ops.reduce_max(made.conv(4, "weights").value, np.array([1]), keep_dims=True))
    made.value = ops.multiply(features, weights)
    assert widths(made.conv(2, "last").model()) == {("first",): 8}


def test_channels_read_by_a_mean_over_channels_are_not_prunable() -> None:
    made = chain().conv(8, "first")
    features = made.value
    weights = ops.sigmoid(ops.reduce_mean(features, np.array([1]), keep_dims=True))
    made.value = ops.multiply(features, weights)
    assert widths(made.conv(2, "last").model()) == {}


def test_channels_with_a_kernel_or_scale_in_16_bits_are_not_prunable() -> None:
    made = chain().conv(8, "first")
    half = ops.convert(np.ones((8, 8, 1, 1), np.float16), "f32")
    made.value = ops.convolution(made.value, half, [1, 1], [0, 0], [0, 0], [1, 1])
    assert widths(made.conv(2, "last").model()) == {}
    made = chain().conv(8, "first")
    made.value = ops.multiply(made.value, ops.convert(np.ones((1, 8, 1, 1), np.float16), "f32"))
    assert widths(made.conv(2, "last").model()) == {}


def test_a_bias_of_pooled_channels_is_pruned_with_them() -> None:
    made = chain().conv(8, "first")
    pooled = ops.reduce_mean(made.value, np.array([2, 3]), keep_dims=False)
    added = ops.add(pooled, np.arange(8, dtype=np.float32).reshape(1, 8))
    made.value = ops.unsqueeze(ops.relu(added), np.array([2, 3]))
    model = made.conv(2, "last").model()
    channels = ChannelMap(model)
    (number,) = channels.find_prunable()
    keep_channels(model, channels, {number: np.array([2, 5])})
    biases = [node.input_value(1).get_node() for node in model.get_ordered_ops() if node.get_type_name() == "Add"]
    assert [bias.get_data().ravel().tolist() for bias in biases if bias.get_output_shape(0) == [1, 2]] == [[2.0, 5.0]]


def test_channels_read_by_groups_of_several_are_not_prunable() -> None:
    made = chain().conv(8, "first")
    kernel = np.ones((2, 4, 4, 1, 1), np.float32)
    made.value = ops.group_convolution(made.value, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    assert widths(made.conv(2, "last").model()) == {}


def test_channels_concatenated_with_unknown_ones_are_not_prunable() -> None:
    made = chain().conv(8, "first")
    made.value = ops.concat([made.value, made.picture], 1)
    assert widths(made.conv(2, "last").model()) == {}


def test_columns_of_a_concatenation_are_numbered_consecutively() -> None:
    made = chain()
    left = made.conv(4, "left").value
    made.value = made.picture
    right = made.conv(6, "right").value
    made.value = ops.concat([left, right], 1)
    channels = ChannelMap(made.conv(2, "last").model())
    spaces = {space.makers[0]: number for number, space in channels.find_prunable().items()}
    lane = channels.get_input_lane("last")
    assert [run.width for run in lane] == [4, 6]
    assert channels.select_columns(lane, {}).tolist() == list(range(10))
    kept = {spaces["left"]: np.array([1, 3]), spaces["right"]: np.array([0, 5])}
    assert channels.select_columns(lane, kept).tolist() == [1, 3, 4, 9]


def test_an_unknown_convolution_has_no_lane() -> None:
    assert ChannelMap(chain().conv(2, "only").model()).get_input_lane("nothing") == ()


def test_scales_by_channel_are_pruned_with_their_channels_and_scalars_kept() -> None:
    made = chain().conv(8, "first")
    made.value = ops.multiply(made.value, np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1))
    made.value = ops.add(made.value, np.float32(0.5))
    model = made.conv(2, "last").model()
    channels = ChannelMap(model)
    (number,) = channels.find_prunable()
    keep_channels(model, channels, {number: np.array([2, 5])})
    shapes = [
        list(node.input_value(1).get_shape()) for node in model.get_ordered_ops() if node.get_type_name() == "Multiply"
    ]
    assert shapes == [[1, 2, 1, 1]]
    assert list(model.output(0).shape) == [1, 2, 8, 8]
    scale = next(node for node in model.get_ordered_ops() if node.get_type_name() == "Multiply").input_value(1)
    assert scale.get_node().get_data().ravel().tolist() == [2.0, 5.0]


def test_keeping_all_channels_does_not_change_the_output() -> None:
    model = network()
    picture = noise(model)
    before = answer(model, picture)
    keep_channels(model, ChannelMap(model), {})
    assert np.array_equal(answer(model, picture), before)


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_graph_with_any_kept_channels_can_be_run(random) -> None:
    model = network()
    channels = ChannelMap(model)
    kept = {
        number: np.array(sorted(random.sample(range(space.width), random.randint(1, space.width))))
        for number, space in channels.find_prunable().items()
    }
    keep_channels(model, channels, kept)
    assert answer(model, noise(model)).shape == (1, 1, 8, 8)
    assert {space.width for space in ChannelMap(model).find_prunable().values()} == {len(kept[n]) for n in kept}
