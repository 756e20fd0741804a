"""Channels that are tied live and die together, whatever lies between the convolutions."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.pruning.channels import ChannelMap, keep_channels


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
    """A residual block, a depthwise convolution, a concatenation, a pooled branch that is squeezed and added again."""
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


def test_residual_sums_and_pooled_branches_tie_their_makers_together() -> None:
    assert widths(network()) == {
        ("narrow", "stem"): 8,
        ("widen",): 12,
        ("left",): 4,
        ("right",): 6,
        ("mixed", "pooled"): 5,
    }


def test_channels_that_a_larger_kernel_mixes_stay() -> None:
    assert ("mixed", "pooled") not in widths(network(last_kernel=3))


def test_channels_that_an_unknown_operation_reads_stay() -> None:
    picture = ops.parameter([1, 3, 8, 8], np.float32)
    wide = convolution(picture, 8, "wide")
    model = ov.Model([ops.result(ops.softmax(convolution(ops.softmax(wide, 1), 4, "next"), 1))], [picture], "odd")
    assert widths(model) == {}


def test_what_is_kept_computes_what_it_did() -> None:
    """Channels whose mixers' weights are zero are taken out of every space; the answer stays the same."""
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
