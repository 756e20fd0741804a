"""Several pictures in one inference: the batch of a graph that was made for one."""

import openvino as ov

from danmatte_workbench.errors import InputError


def batched(model: ov.Model, count: int) -> tuple[ov.Model, bool]:
    """``model``, changed in place where it can be, for ``count`` pictures at once; whether it had to be mended.

    Raises InputError when its shapes don't allow it. That the pictures' answers stay apart is for the caller to see.
    """
    if count == 1:
        return model, False
    original = model.clone()
    try:
        model.reshape([count, *_picture(model)])
        return model, False
    except RuntimeError:
        pass  # the reshape leaves half-changed shapes behind: go on from the copy
    mend(original)
    try:
        original.reshape([count, *_picture(original)])
    except RuntimeError as error:
        raise InputError(f"can't be reshaped to a batch of {count}: {_reason(error)}") from error
    return original, True


def mend(model: ov.Model) -> int:
    """Take out pairs that squeeze the batch away and put it back, in place; the number of pairs.

    TensorFlow's bias of a pooled branch gives them: Unsqueeze(Squeeze(x, axes), axes) is x while the batch is 1, and
    all that keeps the graph from another.
    """
    count = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Unsqueeze":
            continue
        squeeze = node.input_value(0).get_node()
        if squeeze.get_type_name() == "Squeeze" and _axes(squeeze) and _axes(squeeze) == _axes(node):
            node.output(0).replace(squeeze.input_value(0))
            count += 1
    if count:
        model.validate_nodes_and_infer_types()
    return count


def _picture(model: ov.Model) -> list[ov.Dimension]:
    return list(model.input(0).get_partial_shape())[1:]


def _axes(node: ov.Node) -> list[int]:
    """The constant axes, counted from the front; none where they aren't constant, or all of size 1 are meant."""
    if node.get_input_size() < 2 or node.input_value(1).get_node().get_type_name() != "Constant":
        return []
    inner = node.input_value(0) if node.get_type_name() == "Squeeze" else node.output(0)
    rank = inner.get_partial_shape().rank.get_length()
    return sorted(int(axis) % rank for axis in node.input_value(1).get_node().get_data().reshape(-1))


def _reason(error: RuntimeError) -> str:
    """The line of OpenVINO's many that says what doesn't fit."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "friendly_name" in line]
    return (f"at {named[0].split('friendly_name')[-1].strip(' :')}, {lines[-1]}" if named else lines[-1]).rstrip(":")
