"""Several pictures in one inference: the batch of a graph that was made for one."""

import openvino as ov

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.layers import read_constant


def set_batch(model: ov.Model, count: int) -> tuple[ov.Model, bool]:
    """``model``, changed in place where it can be, for ``count`` pictures at once; whether pairs had to be taken out.

    Raises InputError when its shapes don't allow it. Whether the pictures' answers stay apart is for the caller to see.
    """
    if count == 1:
        return model, False
    original = model.clone()
    try:
        model.reshape([count, *list(model.input(0).get_partial_shape())[1:]])
        return model, False
    except RuntimeError:
        pass  # the reshape leaves half-changed shapes behind: go on from the copy
    remove_squeeze_pairs(original)
    try:
        original.reshape([count, *list(original.input(0).get_partial_shape())[1:]])
    except RuntimeError as error:
        # Of OpenVINO's many lines, the first that names a node tells where, and the last one what doesn't fit.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        where = next((line.split("friendly_name")[-1].strip(" :") for line in lines if "friendly_name" in line), "")
        reason = (f"at {where}, {lines[-1]}" if where else lines[-1]).rstrip(":")
        raise InputError(f"can't be reshaped to a batch of {count}: {reason}") from error
    return original, True


def remove_squeeze_pairs(model: ov.Model) -> int:
    """Take out pairs that squeeze the batch away and put it back, in place; return the number of pairs.

    TensorFlow's bias of a pooled branch makes them: Unsqueeze(Squeeze(x, axes), axes) is x while the batch is 1, and
    all that keeps the graph from another.
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
    """The constant axes, counted from the front; none where they aren't constant, or all of size 1 are meant."""
    axes = read_constant(node.input_value(1)) if node.get_input_size() > 1 else None
    if axes is None:
        return []
    inner = node.input_value(0) if node.get_type_name() == "Squeeze" else node.output(0)
    rank = inner.get_partial_shape().rank.get_length()
    return sorted(int(axis) % rank for axis in axes.reshape(-1))
