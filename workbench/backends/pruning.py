"""Channels taken out of an OpenVINO graph, and what remains refitted: Optimal Brain Surgeon for inner channels.

A depthwise convolution between two others has channels that nobody else sees. Taking one out costs what the next
convolution can't make up for from the others; that least-squares cost and the new weights come from the second
moments of its inputs on real frames (Hassibi, Stork, Wolff: "Optimal Brain Surgeon", 1993). No labels, no gradients.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from workbench.errors import InputError

BLOCK = 16  # channels go in blocks that the kernels have
PLACES = 1000  # looked at in each frame, for each convolution
DAMPING = 1e-5  # of the mean second moment
_ACTIVATIONS = frozenset({"Clamp", "Relu"})


@dataclass(frozen=True)
class Inner:
    """A channel group between two convolutions: widen → depthwise → narrow, with their biases' additions."""

    widen: ov.Node
    widen_bias: ov.Node
    depthwise: ov.Node
    depthwise_bias: ov.Node
    narrow: ov.Node
    narrow_bias: ov.Node

    @property
    def channels(self) -> int:
        """How many there are."""
        return int(self.depthwise.get_output_shape(0)[1])

    @property
    def work(self) -> int:
        """Multiply-adds that one channel costs."""
        before, after = self.widen.get_output_shape(0), self.narrow.get_output_shape(0)
        kernel = int(np.prod(self.widen.input_value(1).get_shape()[1:]))
        return int(kernel * np.prod(before[2:]) + (9 + after[1]) * np.prod(after[2:]))


@dataclass(frozen=True)
class Path:
    """The order in which a group's channels go, and the share of the output lost when so many have gone."""

    order: np.ndarray
    loss: np.ndarray


def prune(model: ov.Model, pictures: Iterable[np.ndarray], share: float) -> tuple[int, int]:
    """Take out ``share`` of the work of all inner channels, in place; return channels before and after.

    Always the block of channels that loses least for the work it saves. Raises InputError where there are none.
    """
    groups = [group for node in model.get_ordered_ops() if (group := _inner(node)) is not None]
    if not groups:
        raise InputError("no depthwise convolution stands between two others, so there are no inner channels to prune")
    moments = _moments(model, groups, pictures)
    paths = [_path(group, moment) for group, moment in zip(groups, moments, strict=True)]
    before = sum(group.channels for group in groups)
    gone = _allocate(groups, paths, share)
    for group, moment, path, count in zip(groups, moments, paths, gone, strict=True):
        if count:
            _rewrite(group, moment, np.sort(path.order[count:]))
    model.validate_nodes_and_infer_types()
    return before, before - sum(gone)


def _inner(depthwise: ov.Node) -> Inner | None:
    if depthwise.get_type_name() != "GroupConvolution" or depthwise.input_value(1).get_shape()[1:3] != [1, 1]:
        return None
    widen_bias = _before(depthwise)
    depthwise_bias = _only_consumer(depthwise, "Add")
    activation = depthwise_bias and _only_consumer(depthwise_bias, *_ACTIVATIONS)
    narrow = activation and _only_consumer(activation, "Convolution")
    narrow_bias = narrow and _only_consumer(narrow, "Add")
    if not (widen_bias and depthwise_bias and narrow and narrow_bias):
        return None
    widen = widen_bias.input_value(0).get_node()
    pointwise = narrow.input_value(1).get_shape()[2:] == [1, 1]
    if widen.get_type_name() != "Convolution" or not pointwise or not _constant(narrow_bias):
        return None
    return Inner(widen, widen_bias, depthwise, depthwise_bias, narrow, narrow_bias)


def _before(depthwise: ov.Node) -> ov.Node | None:
    """The bias addition that feeds the depthwise convolution through an activation, and nothing else."""
    activation = depthwise.input_value(0).get_node()
    if activation.get_type_name() not in _ACTIVATIONS or len(activation.output(0).get_target_inputs()) != 1:
        return None
    addition = activation.input_value(0).get_node()
    return addition if _constant(addition) and _only_consumer(addition, *_ACTIVATIONS) else None


def _constant(addition: ov.Node) -> bool:
    return addition.get_type_name() == "Add" and addition.input_value(1).get_node().get_type_name() == "Constant"


def _only_consumer(node: ov.Node, *kinds: str) -> ov.Node | None:
    consumers = list(node.output(0).get_target_inputs())
    consumer = consumers[0].get_node() if len(consumers) == 1 else None
    return consumer if consumer and consumer.get_type_name() in kinds else None


def _moments(model: ov.Model, groups: list[Inner], pictures: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Second moments of each narrowing convolution's inputs and of a constant one, over places of all pictures."""
    results = [ops.result(group.narrow.input_value(0)) for group in groups]
    watched = ov.compile_model(
        ov.Model(results, model.get_parameters(), "watched"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    rng = np.random.default_rng(0)
    moments = [np.zeros((group.channels + 1,) * 2) for group in groups]
    for picture in pictures:
        answers = watched(picture)
        for number, moment in enumerate(moments):
            values = answers[number][0].reshape(len(moment) - 1, -1)
            places = rng.choice(values.shape[1], min(PLACES, values.shape[1]), replace=False)
            inputs = np.vstack([values[:, places], np.ones(len(places))]).astype(np.float64)
            moment += inputs @ inputs.T
    if not moments[0].any():
        raise InputError("no frames to prune on")
    return moments


def _weights(group: Inner) -> np.ndarray:
    """The narrowing convolution with its bias as a last column: (outputs, channels + 1) float64."""
    kernel = group.narrow.input_value(1).get_node().get_data()[:, :, 0, 0]
    bias = group.narrow_bias.input_value(1).get_node().get_data().reshape(-1)
    return np.column_stack([kernel, bias]).astype(np.float64)


def _path(group: Inner, moment: np.ndarray) -> Path:
    """Take channels out one by one, always the cheapest, with the others refitted each time."""
    weights = _weights(group)
    variance = moment - np.outer(moment[-1], moment[-1]) / moment[-1, -1]
    energy = float(np.einsum("oi,ij,oj->", weights, variance, weights)) + 1e-12
    damped = moment + DAMPING * np.trace(moment) / len(moment) * np.eye(len(moment))
    inverse = np.linalg.inv(damped)
    left = np.ones(group.channels, bool)
    order, loss = [], [0.0]
    for _ in range(group.channels - BLOCK):
        cost = (weights[:, :-1] ** 2).sum(axis=0) / np.maximum(np.diag(inverse)[:-1], 1e-30)
        cost[~left] = np.inf
        channel = int(cost.argmin())
        pivot = inverse[channel] / inverse[channel, channel]
        weights -= np.outer(weights[:, channel], pivot)
        inverse -= np.outer(inverse[:, channel], pivot)
        left[channel] = False
        order.append(channel)
        loss.append(loss[-1] + float(cost[channel]) / energy)
    return Path(np.array([*order, *np.flatnonzero(left)]), np.array(loss))


def _allocate(groups: list[Inner], paths: list[Path], share: float) -> list[int]:
    """How many channels each group gives up, in blocks, the least loss for the work saved first."""
    gone = [0] * len(groups)
    wanted = share * sum(group.work * group.channels for group in groups)

    def price(number: int) -> float:
        after = gone[number] + BLOCK
        loss = paths[number].loss
        if after >= len(loss):
            return np.inf
        return float(loss[after] - loss[gone[number]]) / (BLOCK * groups[number].work)

    while wanted > 0:
        best = min(range(len(groups)), key=price)
        if not np.isfinite(price(best)):
            raise InputError(f"can't take out {share:.0%} of the work: every group is down to {BLOCK} channels")
        gone[best] += BLOCK
        wanted -= BLOCK * groups[best].work
    return gone


def _rewrite(group: Inner, moment: np.ndarray, kept: np.ndarray) -> None:
    """Keep these channels; the narrowing convolution fits its former output with them, by least squares."""
    inputs = np.append(kept, group.channels)
    damped = moment[np.ix_(inputs, inputs)]
    damped = damped + DAMPING * np.trace(damped) / len(damped) * np.eye(len(damped))
    fitted = np.linalg.solve(damped, moment[inputs] @ _weights(group).T).T.astype(np.float32)
    _replace(group.widen, _data(group.widen)[kept])
    _replace(group.widen_bias, _data(group.widen_bias)[:, kept])
    _replace(group.depthwise, _data(group.depthwise)[kept])
    _replace(group.depthwise_bias, _data(group.depthwise_bias)[:, kept])
    _replace(group.narrow, fitted[:, :-1, None, None])
    _replace(group.narrow_bias, fitted[:, -1].reshape(1, -1, 1, 1))


def _data(node: ov.Node) -> np.ndarray:
    data: np.ndarray = node.input_value(1).get_node().get_data()
    return data


def _replace(node: ov.Node, values: np.ndarray) -> None:
    node.input(1).replace_source_output(ops.constant(np.ascontiguousarray(values)).output(0))
