"""A toy model, published as the contract says: the brightness of a pixel is the probability of a person."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

DIGEST = "0" * 64


@dataclass(frozen=True)
class Toy:
    """Shape and rules of a toy model; `step` is the side of the square of input pixels for each output value."""

    height: int = 96
    width: int = 160
    step: int = 4
    rule: str = "letterbox"
    colour: str = "RGB"
    fill: tuple[int, int, int] = (0, 0, 0)
    channel: int | None = None
    region: str = "person"
    threshold: float = 0.5

    @property
    def rows(self) -> int:
        """Return the height of the output."""
        return self.height // self.step

    @property
    def columns(self) -> int:
        """Return the width of the output."""
        return self.width // self.step


@cache
def graph(toy: Toy) -> tuple[bytes, bytes]:
    """Return the toy's `graph.xml` and `graph.bin`."""
    frame = op.parameter([1, toy.height, toy.width, 3], np.uint8, name="frame")
    planes = op.transpose(op.convert(frame, "f32"), op.constant(np.array([0, 3, 1, 2])))
    axis = op.constant(np.array([1]))
    if toy.channel is None:
        light = op.reduce_mean(planes, axis, keep_dims=True)
    else:
        light = op.gather(planes, op.constant(np.array([toy.channel])), op.constant(1))
    side = [toy.step, toy.step]
    cells = op.avg_pool(light, side, [0, 0], [0, 0], side, False, "floor", "explicit")
    person = op.multiply(op.transpose(cells, op.constant(np.array([0, 2, 3, 1]))), op.constant(np.float32(1 / 255)))
    frame.output(0).set_names({"frame"})
    person.output(0).set_names({"person"})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "graph.xml"
        ov.save_model(ov.Model([person], [frame], "toy"), path, compress_to_fp16=False)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def manifest(toy: Toy, name: str = "toy", version: int = 1) -> dict[str, Any]:
    """Return the toy's manifest, which is valid."""
    xml, weights = graph(toy)
    offset = (toy.step - 1) / 2
    return describe(
        {"graph.xml": facts(xml), "graph.bin": facts(weights)},
        inputs=[
            {
                "kind": "picture",
                "name": "frame",
                "shape": [1, toy.height, toy.width, 3],
                "dtype": "u8",
                "layout": "NHWC",
                "colour": toy.colour,
                "resize": {"rule": toy.rule, "fill": list(toy.fill)},
            }
        ],
        outputs=[
            {
                "meaning": "regions",
                "name": "person",
                "shape": [1, toy.rows, toy.columns, 1],
                "dtype": "f32",
                "layout": "NHWC",
                "channels": [{"region": toy.region, "threshold": toy.threshold}],
                "grid": {"step_y": toy.step, "step_x": toy.step, "offset_y": offset, "offset_x": offset},
            }
        ],
        name=name,
        version=version,
    )


def old_manifest(toy: Toy, name: str = "toy", version: int = 1) -> dict[str, Any]:
    """Return the toy's manifest in the first version of the contract."""
    new = manifest(toy, name, version)
    (picture,), (person,) = new.pop("inputs"), new.pop("outputs")
    del picture["kind"], person["channels"]
    resize = picture.pop("resize")
    return new | {
        "contract": 1,
        "input": picture,
        "output": person | {"meaning": "person_probability"},
        "resize": resize,
    }


def describe(
    files: dict[str, Any],
    inputs: list[dict[str, Any]],
    outputs: list[dict[str, Any]],
    *,
    name: str = "toy",
    version: int = 1,
) -> dict[str, Any]:
    """Return a manifest with these ports, valid in all other fields."""
    return {
        "contract": 2,
        "name": name,
        "version": version,
        "files": files,
        "inputs": inputs,
        "outputs": outputs,
        "recipe": {
            "name": "toy",
            "digest": DIGEST,
            "source": {"name": "toy", "digest": DIGEST},
            "steps": [{"kind": "cut", "revision": 1, "fields": {"outputs": ["person"]}}],
            "toolchain": {"openvino": "2026.4.1"},
        },
        "configuration": {
            "device": "CPU",
            "hint": "latency",
            "precision": "f32",
            "streams": 0,
            "threads": 1,
            "infer_requests": 2,
            "batch": 1,
        },
        "measurements": [measurement()],
        "licence": "Apache-2.0",
        "created": "2026-01-31T12:00:00Z",
    }


def measurement() -> dict[str, Any]:
    """Return a valid measurement."""
    host = {"cpu": "x", "cores": 2, "memory_bytes": 1, "features": ["avx2"], "os": "Linux", "python": "3.11"}
    return {
        "metric": "latency",
        "value": 2,
        "unit": "ms",
        "low": 1.5,
        "high": 2.5,
        "samples": 9,
        "host": host,
    }


def facts(data: bytes) -> dict[str, Any]:
    """Return a file's entry in `files`."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}


def publish(root: Path, toy: Toy | None = None, name: str = "toy", version: int = 1) -> Path:
    """Write the folder `<root>/<name>/<version>/`, and return it."""
    toy = toy or Toy()
    folder = root / name / str(version)
    folder.mkdir(parents=True)
    xml, weights = graph(toy)
    (folder / "graph.xml").write_bytes(xml)
    (folder / "graph.bin").write_bytes(weights)
    (folder / "manifest.json").write_text(json.dumps(manifest(toy, name, version)))
    return folder
