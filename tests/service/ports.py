"""Small graphs of every meaning in the contract, published as it says."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

from tests.service.toy import describe, facts

MEANINGS = ("regions", "scores", "boxes", "score", "tensor")
SIDES = {"min": 32, "max": 96, "step": 32}
PICTURE = {
    "kind": "picture",
    "name": "picture",
    "shape": [1, 3, 64, 64],
    "dtype": "f32",
    "layout": "NCHW",
    "colour": "BGR",
    "resize": {"rule": "stretch", "fill": [0, 0, 0]},
}
FREE_PICTURE = PICTURE | {"shape": [1, SIDES, SIDES, 3], "layout": "NHWC", "dtype": "u8", "colour": "RGB"}
HALF = {"step_y": 2, "step_x": 2, "offset_y": 0.5, "offset_x": 0.5}
"""The grid of a map that is half as large as its picture."""


def describe_ports(meaning: str, name: str = "", files: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the manifest of a graph with that meaning."""
    inputs, outputs = json.loads(json.dumps(PORTS[meaning]))
    return describe(files or _list_files(meaning), inputs, outputs, name=name or meaning)


PORTS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "regions": (
        [FREE_PICTURE],
        [
            {
                "meaning": "regions",
                "name": "maps",
                "shape": [1, 2, {"min": 16, "max": 48, "step": 16}, {"min": 16, "max": 48, "step": 16}],
                "dtype": "f32",
                "layout": "NCHW",
                "channels": [{"region": "text", "threshold": 0.25}, {"region": "logo", "threshold": 0.5}],
                "grid": HALF,
            }
        ],
    ),
    "scores": (
        [PICTURE],
        [{"meaning": "scores", "name": "classes", "shape": [1, 3], "dtype": "f32", "labels": ["blue", "green", "red"]}],
    ),
    "boxes": (
        [PICTURE | {"dtype": "u8", "layout": "NHWC", "shape": [1, 64, 64, 3]}],
        [
            {
                "meaning": "boxes",
                "name": "boxes",
                "shape": [2, 1, 4],
                "dtype": "f32",
                "columns": ["x1", "y1", "x2", "y2"],
                "units": "shares",
                "scores": "chances",
                "classes": "",
                "count": "",
                "labels": ["thing"],
            },
            {"meaning": "tensor", "name": "chances", "shape": [2], "dtype": "f32"},
        ],
    ),
    "score": ([PICTURE], [{"meaning": "score", "name": "light", "shape": [1, 1], "dtype": "f32", "unit": "levels"}]),
    "tensor": (
        [
            {"kind": "tensor", "name": "sound", "shape": [1, {"min": 1, "max": 512, "step": 1}], "dtype": "f32"},
            {"kind": "tensor", "name": "state", "shape": [2, 3], "dtype": "i64"},
        ],
        [{"meaning": "tensor", "name": "next", "shape": [2, 3], "dtype": "i64"}],
    ),
}


@cache
def build_graph(meaning: str) -> tuple[bytes, bytes]:
    """Return `graph.xml` and `graph.bin` for a meaning; all graphs return a picture's brightness, or sums."""
    inputs, results = _build(meaning)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "graph.xml"
        ov.save_model(ov.Model(results, inputs, meaning), path, compress_to_fp16=False)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def publish_meaning(root: Path, meaning: str, name: str = "", version: int = 1) -> Path:
    """Write the folder `<root>/<name>/<version>/`, and return it."""
    document = describe_ports(meaning, name) | {"version": version}
    folder = root / document["name"] / str(version)
    folder.mkdir(parents=True)
    for file, data in zip(("graph.xml", "graph.bin"), build_graph(meaning), strict=True):
        (folder / file).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(document))
    return folder


def _list_files(meaning: str) -> dict[str, Any]:
    return {file: facts(data) for file, data in zip(("graph.xml", "graph.bin"), build_graph(meaning), strict=True)}


def _build(meaning: str) -> tuple[list[Any], list[Any]]:
    if meaning == "tensor":
        sound, state = op.parameter([1, -1], np.float32), op.parameter([2, 3], np.int64)
        _name(sound, "sound")
        _name(state, "state")
        total = op.convert(op.reduce_sum(sound, np.array([0, 1])), "i64")
        return [sound, state], [_name(op.add(state, total), "next")]
    if meaning == "regions":
        picture = op.parameter([1, -1, -1, 3], np.uint8)
        planes = op.transpose(op.convert(picture, "f32"), np.array([0, 3, 1, 2]))
        shares = op.multiply(op.gather(planes, np.array([0, 2]), np.array(1)), np.float32(1 / 255))
        maps = op.avg_pool(shares, [2, 2], [0, 0], [0, 0], [2, 2], False, "floor", "explicit")
        return [_name(picture, "picture")], [_name(maps, "maps")]
    if meaning == "boxes":
        picture = op.parameter([1, 64, 64, 3], np.uint8)
        light = op.multiply(op.reduce_mean(op.convert(picture, "f32"), np.array([0, 1, 2, 3])), np.float32(1 / 255))
        corners = np.array([[[0, 0, 1, 1]], [[0, 0, 0.5, 0.5]]], np.float32)
        chances = op.multiply(np.array([1, 0.5], np.float32), light)
        return [_name(picture, "picture")], [_name(op.multiply(corners, light), "boxes"), _name(chances, "chances")]
    picture = op.parameter([1, 3, 64, 64], np.float32)
    channels = op.reduce_mean(picture, np.array([2, 3]))
    if meaning == "scores":
        return [_name(picture, "picture")], [_name(op.multiply(channels, np.float32(1 / 255)), "classes")]
    return [_name(picture, "picture")], [_name(op.reduce_mean(channels, np.array([1]), keep_dims=True), "light")]


def _name(node: Any, name: str) -> Any:
    node.output(0).set_names({name})
    return node
