"""The graph that is left after pruning, fitted layer by layer to what the whole one computed.

From the first pointwise convolution to the last, each sees what really reaches it now and is fitted to the whole
graph's own values, by least squares; so it also makes up for what went wrong before it (He, Zhang, Sun: "Channel
pruning for accelerating very deep neural networks", ICCV 2017). At the end of a residual block that is the sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov
from openvino import opset13 as ops

PLACES = 400  # looked at in each frame, for each convolution
TRUST = 3e-3  # of the mean second moment: how far the fit may leave what was there
TURNS = 2  # values that an activation cuts off don't count; which they are changes with the fit
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}


@dataclass(frozen=True)
class Place:
    """A pointwise convolution, its bias, and what it is fitted to: the bias's output, or the sum that takes it."""

    convolution: ov.Node
    bias: ov.Node
    aim: ov.Node
    beside: ov.Output | None
    low: float
    high: float


def refit(model: ov.Model, whole: ov.Model, rows: dict[str, np.ndarray], pictures: Sequence[np.ndarray]) -> int:
    """Fit ``model``, in place, to ``whole``; return the number of convolutions that were fitted.

    Both have the same node names; ``rows`` says which of the whole graph's channels each convolution still makes.
    """
    places = [place for node in model.get_ordered_ops() if (place := _place(node)) is not None]
    targets = _values([_named(whole, place.aim).output(0) for place in places], whole, pictures)
    for place, target in zip(places, targets, strict=True):
        outputs = [place.convolution.input_value(0), *([place.beside] if place.beside is not None else [])]
        inputs, *beside = _values(outputs, model, pictures)
        name = place.convolution.get_friendly_name()
        wanted = target[:, rows[name]] if name in rows else target
        _fit(place, inputs, wanted - beside[0] if beside else wanted)
    return len(places)


def _place(node: ov.Node) -> Place | None:
    if node.get_type_name() != "Convolution" or list(node.input_value(1).get_shape()[2:]) != [1, 1]:
        return None
    if node.input_value(1).get_node().get_type_name() != "Constant":
        return None
    bias = _only_reader(node)
    if bias is None or bias.get_type_name() != "Add" or bias.input_value(1).get_node().get_type_name() != "Constant":
        return None
    after = _only_reader(bias)
    if after is not None and after.get_type_name() == "Add":
        return _summed(node, bias, after)
    low, high = _cut_off(after)
    return Place(node, bias, bias, None, low, high)


def _summed(node: ov.Node, bias: ov.Node, total: ov.Node) -> Place:
    """What is fitted is the sum, if the other summand is a map of the same size."""
    beside = next(
        (value for value in total.input_values() if value.get_node().get_friendly_name() != bias.get_friendly_name()),
        None,
    )
    same = beside is not None and list(beside.get_shape()) == list(total.get_output_shape(0))
    if beside is None or not same or beside.get_node().get_type_name() == "Constant":
        return Place(node, bias, bias, None, -np.inf, np.inf)
    low, high = _cut_off(_only_reader(total))
    return (
        Place(node, bias, total, beside, low, high)
        if not np.isfinite(low)
        else Place(node, bias, bias, None, -np.inf, np.inf)
    )


def _cut_off(after: ov.Node | None) -> tuple[float, float]:
    """The bounds beyond which the activation that follows takes all values for the same."""
    if after is None:
        return -np.inf, np.inf
    if after.get_type_name() == "Clamp":
        attributes = after.get_attributes()
        return float(attributes["min"]), float(attributes["max"])
    return (0.0, np.inf) if after.get_type_name() == "Relu" else (-np.inf, np.inf)


def _only_reader(node: ov.Node) -> ov.Node | None:
    readers = list(node.output(0).get_target_inputs())
    return readers[0].get_node() if len(readers) == 1 else None


def _named(model: ov.Model, node: ov.Node) -> ov.Node:
    name = node.get_friendly_name()
    return next(other for other in model.get_ordered_ops() if other.get_friendly_name() == name)


def _values(outputs: Sequence[ov.Output], model: ov.Model, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each output's values at the same random places of all pictures, (places, channels) float32."""
    results = [ops.result(output) for output in outputs]
    run = ov.compile_model(ov.Model(results, model.get_parameters(), "seen"), "CPU", FLOAT32)
    found: list[list[np.ndarray]] = [[] for _ in outputs]
    for number, picture in enumerate(pictures):
        answers = run(picture)
        for place, values in enumerate(found):
            flat = answers[place][0].reshape(answers[place].shape[1], -1)
            chosen = np.random.default_rng(number).permutation(flat.shape[1])[:PLACES]
            values.append(flat[:, chosen].T.astype(np.float32))
    return [np.concatenate(values) for values in found]


def _fit(place: Place, inputs: np.ndarray, wanted: np.ndarray) -> None:
    kernel = place.convolution.input_value(1).get_node().get_data()
    bias = place.bias.input_value(1).get_node().get_data()
    column = np.broadcast_to(bias.reshape(-1), len(kernel))
    weights = np.column_stack([kernel[:, :, 0, 0], column]).astype(np.float64).T
    seen = np.column_stack([inputs, np.ones(len(inputs), np.float32)]).astype(np.float64)
    moment = seen.T @ seen
    trust = TRUST * np.trace(moment) / len(moment)
    for _ in range(TURNS if np.isfinite(place.low) else 1):
        made = seen @ weights
        aim = np.where((wanted <= place.low) & (made <= place.low), made, wanted)
        aim = np.where((wanted >= place.high) & (made >= place.high), made, aim)
        weights = weights + np.linalg.solve(moment + trust * np.eye(len(moment)), seen.T @ (aim - made))
    _replace(place.convolution, weights[:-1].T[:, :, None, None])
    _replace(place.bias, weights[-1].reshape(1, -1, 1, 1))


def _replace(node: ov.Node, values: np.ndarray) -> None:
    constant = ops.constant(np.ascontiguousarray(values, dtype=np.float32))
    node.input(1).replace_source_output(constant.output(0))
