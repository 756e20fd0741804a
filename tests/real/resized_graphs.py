"""Frozen DeepLab graphs with constants rewritten for another input size, as a reference run by TensorFlow."""

from pathlib import Path

import tensorflow as tf


def write_resized(graph: Path, target: Path, *, before: tuple[int, int], after: tuple[int, int]) -> Path:
    """Write the graph for ``after`` instead of ``before``, (height, width) pixels; return ``target``.

    Poolings, targets of resizes, and the paddings by which dilations are made of blocks are recomputed as in the
    exporter.
    """
    definition = tf.compat.v1.GraphDef.FromString(graph.read_bytes())
    became = map_sizes(before, after)
    constants = {node.name: node for node in definition.node if node.op == "Const"}
    features = compute_feature_size(definition, after)
    for node in definition.node:
        node.attr.pop("_output_shapes", None)
        if node.op == "AvgPool":
            rows, columns = became[tuple(node.attr["ksize"].list.i[1:3])]
            node.attr["ksize"].list.i[1:3] = [rows, columns]
        elif node.op == "ResizeBilinear" and node.input[1] in constants:
            size = constants[node.input[1]]
            write_values(size, became.get(tuple(read_values(size)), read_values(size)))
        elif node.op == "EnsureShape":
            for dim, side in zip(node.attr["shape"].shape.dim[1:3], after, strict=True):
                dim.size = side
        elif node.op == "SpaceToBatchND":
            block, paddings = (constants[name] for name in node.input[1:3])
            write_values(paddings, compute_paddings(read_values(block)[0], features))
        elif node.op == "BatchToSpaceND":
            block, crops = (constants[name] for name in node.input[1:3])
            extra = compute_paddings(read_values(block)[0], features)
            write_values(crops, [[0, end - read_values(block)[0]] for _, end in extra])
    whole = [1, *before, 3]
    for node in constants.values():
        if list(tf.make_ndarray(node.attr["value"].tensor).reshape(-1)) == whole:
            write_values(node, [1, *after, 3])
    target.write_bytes(definition.SerializeToString())
    return target


def map_sizes(before: tuple[int, int], after: tuple[int, int]) -> dict[tuple[int, ...], tuple[int, int]]:
    """Return the new size for each size in the network, halved and rounded up as by SAME convolutions."""
    became = {}
    while min(before) > 1:
        became[before] = after
        before, after = (((height + 1) // 2, (width + 1) // 2) for height, width in (before, after))
    return became


def compute_feature_size(definition: tf.compat.v1.GraphDef, size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of the dilated features: halved three times, or four if only the last block is dilated."""
    dilated = [node for node in definition.node if node.op == "SpaceToBatchND" and "expanded_conv" in node.name]
    for _ in range(3 if len(dilated) > 3 else 4):
        size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    return size


def compute_paddings(block: int, size: tuple[int, int]) -> list[list[int]]:
    """Return padding at begin and end of each axis: the dilation, plus what completes a block."""
    return [[block, block + -(side + 2 * block) % block] for side in size]


def read_values(node: tf.compat.v1.NodeDef) -> list[int]:
    return tf.make_ndarray(node.attr["value"].tensor).tolist()


def write_values(node: tf.compat.v1.NodeDef, content: object) -> None:
    kind = tf.as_dtype(node.attr["dtype"].type)
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(content, kind))
