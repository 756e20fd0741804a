"""Channels taken out of an OpenVINO graph where they save most time for what they cost.

What it costs: the loss that `importance` foretells, weighed by how much such a loss moves the graph's own answer,
measured space by space. What it saves: milliseconds, timed layer by layer in 8 bits. No labels, no gradients.

All that follows can make up for what goes early, which that measure doesn't see. So spaces can be tried as well: a
block of their channels is taken out, the whole graph is fitted, and its answer counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
import openvino as ov

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.layers import CONVOLUTIONS, extract, find_bias, index_by_name, replace_constant
from danmatte_workbench.pruning.channels import ChannelMap, keep_channels
from danmatte_workbench.pruning.importance import BLOCK, Mixer, RemovalOrder, damp, rank_channels
from danmatte_workbench.pruning.latency_model import LatencyModel
from danmatte_workbench.pruning.refit import refit
from danmatte_workbench.runtimes.openvino import compile_model

PLACES = 1000  # looked at in each frame, for each convolution
PROBES = 24  # frames on which a space's share in the answer is measured
PROBED = 0.5  # of a space's channels are away for that
FEW = 0.005  # of the answer's places: figures below that count for less


def prune(
    model: ov.Model,
    pictures: Sequence[np.ndarray],
    share: float,
    milliseconds: Mapping[str, float],
    *,
    stages: int = 1,
    tried: int = 0,
) -> str:
    """Take out ``share`` of the ``milliseconds`` (by convolution's name), in place; return in words what went.

    Always the block of channels that loses least for the time it saves, in one or more stages: after each, what is left
    is fitted to the whole graph, and looked at anew. The ``tried`` spaces whose blocks save most are tried, half a
    minute each or so. Raises InputError where there are none, or not enough.
    """
    whole = model.clone()
    convolutions = [node for node in model.get_ordered_ops() if node.get_type_name() in CONVOLUTIONS]
    names = [node.get_friendly_name() for node in convolutions]
    milliseconds = {name: milliseconds[name] for name in names if name in milliseconds}
    before, total = _count_channels(model), sum(milliseconds.values())
    rows: dict[str, np.ndarray] = {}
    for stage in range(stages):
        target = total * (1 - share * (stage + 1) / stages)
        pruner = _Pruner(model, pictures, milliseconds)
        kept, milliseconds = pruner.choose(target, tried)
        for name, columns in _select_rows(pruner.channels, kept).items():
            rows[name] = rows[name][columns] if name in rows else columns
        pruner.remove(model, kept)
        refit(model, whole, rows, pictures)
    left = sum(milliseconds.values())
    return f"{before} channels are {_count_channels(model)}, {total:.1f} ms of convolutions about {left:.1f}"


class _Pruner:
    """A graph before channels go: its spaces, the order in which each loses channels, and the time of each layer."""

    def __init__(self, model: ov.Model, pictures: Sequence[np.ndarray], milliseconds: Mapping[str, float]) -> None:
        self.channels = ChannelMap(model)
        # A space must give up a whole block and have one left: kernels take channels by blocks.
        spaces = {number: space for number, space in self.channels.find_prunable().items() if space.width >= 2 * BLOCK}
        if not spaces:
            raise InputError(
                "no channels lie between one convolution and only pointwise ones, so there are none to prune"
            )
        self._model = model
        self._probes = pictures[:PROBES]
        self._mixers = read_mixers(model, {name for space in spaces.values() for name in space.mixers}, pictures)
        self._orders = {
            number: rank_channels(self.channels, number, space.mixers, self._mixers) for number, space in spaces.items()
        }
        self._latency = LatencyModel(self.channels, milliseconds)
        self._widths = {number: space.width for number, space in spaces.items()}

    def choose(self, target: float, tried: int) -> tuple[dict[int, np.ndarray], dict[str, float]]:
        """What is kept of each space for ``target`` milliseconds in all, and what each convolution takes then."""
        weights = {number: self._weigh(number, PROBED) for number in self._orders}

        def save_first_block(number: int) -> float:
            fewer = {**self._widths, number: self._widths[number] - BLOCK}
            return self._latency.predict_space(number, self._widths) - self._latency.predict_space(number, fewer)

        most = sorted(self._widths, key=save_first_block, reverse=True)[:tried]
        measured = {number: self._weigh(number, None) for number in most}
        gone = allocate(
            self._widths,
            self._orders,
            correct_estimates(weights, measured),
            self._latency,
            self._latency.predict_total({}) - target,
        )
        kept = {number: self._orders[number].list_kept(count) for number, count in gone.items() if count}
        return kept, self._latency.predict_layers({number: self._widths[number] - gone[number] for number in gone})

    def _weigh(self, number: int, share: float | None) -> float:
        """How much a unit of the mixers' loss in this space alone changes the graph's answer.

        With a ``share`` of the channels gone and only their mixers fitted, or with one block gone and the whole graph
        fitted to that, which takes long but sees what all later layers can make up for.
        """
        order = self._orders[number]
        gone = BLOCK if share is None else min(int(share * len(order.order)), len(order.loss) - 1)
        kept = {number: order.list_kept(gone)}
        trial = self._model.clone()
        self.remove(trial, kept)
        if share is None:
            refit(trial, self._model, _select_rows(self.channels, kept), self._probes)
        changes = map(compute_change, self._answer(trial), self._right_answers)
        return float(np.mean(list(changes))) / max(float(order.loss[gone]), 1e-12)

    @cached_property
    def _right_answers(self) -> list[np.ndarray]:
        return self._answer(self._model)

    def _answer(self, model: ov.Model) -> list[np.ndarray]:
        run = compile_model(model)
        return [run(picture)[0].copy() for picture in self._probes]

    def remove(self, model: ov.Model, kept: Mapping[int, np.ndarray]) -> None:
        """Take channels out, in place; the mixers fit their former outputs with what is left, by least squares."""
        nodes = index_by_name(model)
        for name, mixer in self._mixers.items():
            lane = self.channels.get_input_lane(name)
            if not any(self.channels.resolve(run.space) in kept for run in lane):
                continue
            columns = self.channels.select_columns(lane, kept)
            inputs = np.append(columns, len(mixer.moment) - 1)  # and the constant
            moment = damp(mixer.moment)
            fitted = np.linalg.solve(moment[np.ix_(inputs, inputs)], moment[inputs] @ mixer.weights.T).T
            kernel = nodes[name].input_value(1).get_node().get_data().copy()
            kernel[:, columns, 0, 0] = fitted[:, :-1]
            replace_constant(nodes[name], kernel.astype(np.float32))
            if (bias := find_bias(nodes[name])) is not None:
                shape = bias.input_value(1).get_node().get_data().shape
                column = fitted[:, -1].reshape(shape if np.prod(shape) > 1 else (1, -1, 1, 1))
                replace_constant(bias, column.astype(np.float32))
        keep_channels(model, self.channels, kept)


def _count_channels(model: ov.Model) -> int:
    convolutions = (node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution")
    return sum(int(node.get_output_shape(0)[1]) for node in convolutions)


def _select_rows(channels: ChannelMap, kept: Mapping[int, np.ndarray]) -> dict[str, np.ndarray]:
    """Which of its channels each convolution still makes."""
    return {name: channels.select_columns(lane, kept) for name, lane in channels.list_makers()}


def read_mixers(model: ov.Model, names: set[str], pictures: Iterable[np.ndarray]) -> dict[str, Mixer]:
    """The named pointwise convolutions, with second moments of their inputs and of a constant one over all pictures.

    At random places of each picture. Raises InputError where there are no pictures.
    """
    nodes = {name: node for name, node in index_by_name(model).items() if name in names}
    watched = compile_model(extract(model, [node.input_value(0) for node in nodes.values()], "watched"))
    rng = np.random.default_rng(0)
    moments = [np.zeros((int(node.input_value(0).get_shape()[1]) + 1,) * 2) for node in nodes.values()]
    for picture in pictures:
        answers = watched(picture)
        for number, moment in enumerate(moments):
            values = answers[number][0].reshape(len(moment) - 1, -1)
            places = rng.choice(values.shape[1], min(PLACES, values.shape[1]), replace=False)
            inputs = np.vstack([values[:, places], np.ones(len(places))]).astype(np.float64)
            moment += inputs @ inputs.T
    if not any(moment.any() for moment in moments):
        raise InputError("no frames to prune on")
    mixers = {}
    for (name, node), moment in zip(nodes.items(), moments, strict=True):
        kernel = node.input_value(1).get_node().get_data()[:, :, 0, 0]
        bias = find_bias(node)
        column = np.zeros(len(kernel)) if bias is None else bias.input_value(1).get_node().get_data().reshape(-1)
        weights = np.column_stack([kernel, np.broadcast_to(column, len(kernel))]).astype(np.float64)
        mixers[name] = Mixer(name, weights, moment)
    return mixers


def correct_estimates(weights: Mapping[int, float], measured: Mapping[int, float]) -> dict[int, float]:
    """What was measured, where spaces were tried; the others' estimates by the median of how much those were out."""
    ratios = [value / max(weights[number], 1e-30) for number, value in measured.items()]
    ratio = float(np.median(ratios)) if ratios else 1.0
    return {number: measured.get(number, weight * ratio) for number, weight in weights.items()}


def compute_change(answer: np.ndarray, right: np.ndarray) -> float:
    """The squared change, beside what there is: a small figure counts almost like a large one."""
    return float(np.square(answer - right).sum() / (np.square(right).sum() + FEW * right.size))


def allocate(
    widths: Mapping[int, int],
    orders: Mapping[int, RemovalOrder],
    weights: Mapping[int, float],
    latency: LatencyModel,
    wanted: float,
) -> dict[int, int]:
    """How many channels each space gives up, in blocks, the least loss for the time saved first.

    ``wanted`` is the milliseconds to save. Greedy: what a block saves depends on what its neighbours have lost already,
    so prices are asked for anew after each. Raises InputError where all spaces together can't save so much.
    """
    left = dict(widths)

    def price(number: int) -> tuple[float, float, int]:
        """Loss for each millisecond saved, milliseconds saved, and channels gone then."""
        gone = widths[number] - left[number]
        after = gone + (left[number] % BLOCK or BLOCK)
        loss = orders[number].loss
        if after >= len(loss):
            return np.inf, 0.0, gone
        fewer = {**left, number: widths[number] - after}
        saved = latency.predict_space(number, left) - latency.predict_space(number, fewer)
        lost = weights[number] * float(loss[after] - loss[gone])
        return (lost / saved if saved > 0 else np.inf), saved, after

    while wanted > 0:
        best = min(widths, key=lambda number: price(number)[0])
        cost, saved, after = price(best)
        if not np.isfinite(cost):
            raise InputError(f"{wanted:.2g} ms more than can be taken out: no space has {BLOCK} channels to spare")
        left[best] = widths[best] - after
        wanted -= saved
    return {number: widths[number] - left[number] for number in widths}
