"""Larger batches for a graph that was made for one picture."""

import openvino as ov

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.layers import read_constant


def set_batch(model: ov.Model, count: int) -> tuple[ov.Model, bool]:
    """Return the graph for ``count`` pictures at once, and whether squeeze pairs had to be removed for that.

    ``model`` is changed in place if possible. Raises InputError if its shapes don't allow the batch. The caller has to
    check that the outputs of one picture don't depend on the others.
    """
    if count == 1:
        return model, False
    original = model.clone()
    try:
        model.reshape([count, *list(model.input(0).get_partial_shape())[1:]])
        return model, False
    except RuntimeError:
        pass  # a failed reshape leaves the model half changed, so the copy is used below
    remove_squeeze_pairs(original)
    try:
        original.reshape([count, *list(original.input(0).get_partial_shape())[1:]])
    except RuntimeError as error:
        # In OpenVINO's long message, the first line with a node says where, and the last line says what is wrong.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        where = next((line.split("friendly_name")[-1].strip(" :") for line in lines if "friendly_name" in line), "")
        reason = (f"at {where}, {lines[-1]}" if where else lines[-1]).rstrip(":")
        raise InputError(f"can't be reshaped to a batch of {count}: {reason}") from error
    return original, True


def remove_squeeze_pairs(model: ov.Model) -> int:
    """Remove pairs of nodes that squeeze the batch and unsqueeze it again, in place; return the number of pairs.

    TensorFlow creates them for the bias of a pooled branch. Unsqueeze(Squeeze(x, axes), axes) equals x for a batch of
    1, but makes any other batch impossible.
    """
    count = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Unsqueeze":
            continue
        squeeze = node.input_value(0).get_node()
        if squeeze.get_type_name() == "Squeeze" and _read_axes(squeeze) and _read_axes(squeeze) == _read_axes(node):
            node.output(0).replace(squeeze.input_value(0))
            count += 1
    if count:
        model.validate_nodes_and_infer_types()
    return count


def _read_axes(node: ov.Node) -> list[int]:
    """Return the constant axes, counted from the front; an empty list if they aren't constant or aren't given."""
    axes = read_constant(node.input_value(1)) if node.get_input_size() > 1 else None
    if axes is None:
        return []
    inner = node.input_value(0) if node.get_type_name() == "Squeeze" else node.output(0)
    rank = inner.get_partial_shape().rank.get_length()
    return sorted(int(axis) % rank for axis in axes.reshape(-1))
