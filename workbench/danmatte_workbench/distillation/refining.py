"""Logits at twice the resolution from features at the coarser one, for a graph whose stride was doubled.

At the places that both strides have, the features are the same. Only the places in between are lost. Their logits are
predicted from the coarse features, the neighbouring logits, and the last map of the finer resolution, by logistic
regression on the source's outputs. The problem is convex, so there are no learning rate and no epochs: Newton's method
(iteratively reweighted least squares) converges in a few rounds.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import openvino as ov
from numpy.lib.stride_tricks import sliding_window_view
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import surgery
from danmatte_workbench.graph.layers import NCHW_TO_NHWC, compute_constants, extract, find_bias, find_logits
from danmatte_workbench.runtimes.openvino import compile_model

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # offsets of the four fine places of a coarse place, (down, right)
AROUND, WINDOW = 3, 5  # sides of the windows of coarse logits and of the fine map
ROUNDS = 4
SURE, SURE_SHARE = 3.0, 0.05  # of places whose absolute logit is at least this, only this share is used
TRUST = 1e-2  # penalty on differences from bilinear interpolation, as a share of each input's second moment
FLOOR = 1e-2  # minimum weight of a place; the maximum is 0.25


@dataclass(frozen=True)
class _Parts:
    """The parts of the graph that the fit uses.

    convolution, bias: of the coarse logits. fine: the last map of the finer resolution, if there is one.
    """

    convolution: ov.Node
    bias: ov.Node | None
    fine: ov.Output | None

    @property
    def kernel(self) -> np.ndarray:
        """The weights of the features in the coarse logit, (channels,)."""
        (kernel,) = compute_constants([self.convolution.input_value(1)])  # not a constant in a quantized graph
        return kernel.reshape(-1)

    @property
    def offset(self) -> float:
        """The coarse logit for features of 0, which is the value beyond the border."""
        return 0.0 if self.bias is None else float(self.bias.input_value(1).get_node().get_data().reshape(-1)[0])


def refine(model: ov.Model, teacher: ov.Model, pictures: Iterable[np.ndarray]) -> str:
    """Give the graph logits at the teacher's resolution, in place; return a description of the result.

    model: a graph whose stride was doubled, and whose output is the person's probability, (1, h, w, 1).
    teacher: the same graph with its original stride.
    pictures: (1, H, W, 3), as both graphs take them.

    Raises InputError if the graphs aren't such a pair.
    """
    parts, right = _find_parts(model), find_logits(teacher)
    coarse, fine = (list(node.get_output_shape(0))[2:] for node in (find_logits(model), right))
    if coarse != [(side + 1) // 2 for side in fine]:
        raise InputError(f"refine: expected logits of half the source's {fine}, found {coarse}")
    grid = surgery.read_grid(teacher)
    if grid is None:
        raise InputError("refine: expected a graph whose output is a person's probability; put head before it")
    rows, wanted = _collect(model, teacher, parts, pictures)
    weights = []
    for number, corner in enumerate(CORNERS):
        start = np.zeros(rows[number].shape[1])
        start[len(parts.kernel) : len(parts.kernel) + AROUND**2] = _interpolate(corner)
        weights.append(fit_probabilities(rows[number], wanted[number], start))
    _replace_answer(model, parts, np.stack(weights), (fine[0], fine[1]))
    surgery.write_grid(model, grid)
    count = sum(len(some) for some in wanted)
    return f"logits {coarse[0]}×{coarse[1]} became {fine[0]}×{fine[1]}, fitted at {count} places"


def _find_parts(model: ov.Model) -> _Parts:
    logits = find_logits(model)
    convolution = logits.input_value(0).get_node() if logits.get_type_name() == "Add" else logits
    side = list(convolution.input_value(1).get_shape()) if convolution.get_type_name() == "Convolution" else []
    if side[:1] != [1] or side[2:] != [1, 1]:
        raise InputError(f"refine: expected logits of one pointwise convolution, found {logits.get_friendly_name()}")
    return _Parts(convolution, find_bias(convolution), _find_fine_map(model, list(logits.get_output_shape(0))[2:]))


def _find_fine_map(model: ov.Model, coarse: list[int]) -> ov.Output | None:
    """Return the narrowest map of the finer resolution, which enters the block that creates the coarse one."""
    for node in model.get_ordered_ops():
        made = list(node.get_output_shape(0)) if node.get_type_name() == "GroupConvolution" else []
        if made[2:] != coarse or list(node.get_attributes()["strides"]) != [2, 2]:
            continue
        wide = value = node.input_value(0)
        while value.get_node().get_type_name() not in ("Convolution", "Parameter"):
            value = value.get_node().input_value(0)
        if value.get_node().get_type_name() == "Convolution":
            value = value.get_node().input_value(0)  # the map before the block expands the channels
        same = list(value.get_shape())[2:] == list(wide.get_shape())[2:]
        return value if same else wide
    return None


def _collect(
    model: ov.Model, teacher: ov.Model, parts: _Parts, pictures: Iterable[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return, for each corner, the inputs of the regression and the teacher's probabilities at the chosen places."""
    seen = [parts.convolution.input_value(0), find_logits(model).output(0)]
    run = compile_model(extract(model, [*seen, *([parts.fine] if parts.fine is not None else [])], "seen"))
    ask = compile_model(extract(teacher, [find_logits(teacher).output(0)], "teacher"))
    rows: list[list[np.ndarray]] = [[] for _ in CORNERS]
    wanted: list[list[np.ndarray]] = [[] for _ in CORNERS]
    for number, picture in enumerate(pictures):
        answers, right = run(picture), ask(picture)[0][0, 0]
        places = _describe_places([answers[place][0] for place in range(len(run.outputs))], parts.offset)
        chance = np.random.default_rng(number).random(right.shape)
        looked_at = (np.abs(right) < SURE) | (chance < SURE_SHARE)
        for corner, (down, across) in enumerate(CORNERS):
            logits, chosen = right[down::2, across::2], looked_at[down::2, across::2]
            height, width = logits.shape
            rows[corner].append(places[:height, :width][chosen])
            wanted[corner].append(1 / (1 + np.exp(-logits[chosen].astype(np.float64))))
    return [np.concatenate(some) for some in rows], [np.concatenate(some) for some in wanted]


def _describe_places(maps: list[np.ndarray], offset: float) -> np.ndarray:
    """Return the inputs by coarse place, (h, w, n) float32: features, logits and fine map around it, and a one."""
    features, logits, *fine = maps
    _, height, width = features.shape
    found = [features.transpose(1, 2, 0), _unfold(logits, AROUND, 1, offset)]
    found += [_unfold(item, WINDOW, 2, 0.0) for item in fine]
    return np.concatenate([*found, np.ones((height, width, 1), np.float32)], axis=2)


def _unfold(values: np.ndarray, side: int, step: int, beyond: float) -> np.ndarray:
    """Return the windows of a convolution with that side and stride, (h, w, channels · side²).

    The border is padded with ``beyond``.
    """
    margin = side // 2
    padded = np.pad(values, ((0, 0), (margin, margin), (margin, margin)), constant_values=beyond)
    windows = sliding_window_view(padded, (side, side), axis=(1, 2))[:, ::step, ::step].transpose(1, 2, 0, 3, 4)
    return np.ascontiguousarray(windows).reshape(*windows.shape[:2], -1)


def _interpolate(corner: tuple[int, int]) -> np.ndarray:
    """Return the weights of the nine neighbouring coarse logits in bilinear interpolation, (9,)."""
    down, across = ((np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.5, 0.5]))[side] for side in corner)
    return np.outer(down, across).reshape(-1)


def fit_probabilities(rows: np.ndarray, wanted: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return weights, (n,), for which the sigmoid of ``rows``, (places, n), approximates ``wanted``, (places,).

    ``wanted`` is in [0, 1]. Without evidence from the places, weights stay as in ``start``.
    """
    weights = start.astype(np.float64)
    for _ in range(ROUNDS):
        made = 1 / (1 + np.exp(-np.clip(rows @ weights.astype(np.float32), -30, 30)))
        weight = np.maximum(made * (1 - made), FLOOR).astype(np.float32)
        moment = ((rows * weight[:, None]).T @ rows).astype(np.float64)
        trust = TRUST * np.diag(moment) + 1e-6 * np.trace(moment) / len(moment)
        slope = rows.T @ (wanted - made).astype(np.float32) - trust * (weights - start)
        weights = weights + np.linalg.solve(moment + np.diag(trust), slope)
    return weights


def _replace_answer(model: ov.Model, parts: _Parts, weights: np.ndarray, size: tuple[int, int]) -> None:
    """Replace the last convolution by the fitted weights, (4, n): four channels, rearranged to the finer places."""
    kernel, count = parts.kernel, len(parts.kernel)
    own, around, bias = weights[:, :count], weights[:, count : count + AROUND**2], weights[:, -1]
    wide = around.reshape(4, 1, AROUND, AROUND) * kernel[None, :, None, None]
    wide[:, :, AROUND // 2, AROUND // 2] += own
    offset = bias + parts.offset * around.sum(axis=1)
    margin = [AROUND // 2, AROUND // 2]
    value = ops.convolution(
        parts.convolution.input_value(0), _store(wide), [1, 1], margin, margin, [1, 1], name="refined"
    )
    value = ops.add(value, _store(offset.reshape(1, 4, 1, 1)), name="refined/bias")
    if parts.fine is not None:
        details = weights[:, count + AROUND**2 : -1].reshape(4, -1, WINDOW, WINDOW)
        margin = [WINDOW // 2, WINDOW // 2]
        seen = ops.convolution(parts.fine, _store(details), [2, 2], margin, margin, [1, 1], name="refined/details")
        value = ops.add(value, seen, name="refined/sum")
    large = ops.depth_to_space(value, "blocks_first", 2)
    odd = [axis for axis, side in ((2, size[0]), (3, size[1])) if side % 2]
    if odd:  # the last row or column is extra; it is sliced off from the end, so that the graph can be reshaped
        start, stop, step = (np.full(len(odd), number) for number in (0, -1, 1))
        large = ops.slice(large, start, stop, step, np.array(odd))
    answer = ops.transpose(ops.sigmoid(large), np.array(NCHW_TO_NHWC))
    result = model.output(0).get_node()
    names = model.output(0).get_names()
    result.input(0).replace_source_output(answer.output(0))
    model.validate_nodes_and_infer_types()
    model.output(0).set_names(names)


def _store(values: np.ndarray) -> ov.Node:
    return ops.constant(values.astype(np.float32))  # its generated name is renumbered when the graph is saved
