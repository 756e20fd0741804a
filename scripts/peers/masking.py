"""Code of both peers: OpenCV for pictures, OpenVINO with its throughput hint."""

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov

cv2.setNumThreads(1)


def compiled(version: Path) -> ov.CompiledModel:
    """Return the published graph compiled with the precision of its configuration and OpenVINO's number of streams."""
    wanted = _manifest(version)["configuration"]
    properties = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": wanted["precision"]}
    return ov.Core().compile_model(version / "graph.xml", "CPU", properties)


@lru_cache
def _manifest(version: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((version / "manifest.json").read_text())
    return manifest


def picture(body: bytes) -> np.ndarray:
    """Return a JPEG as the graph's input."""
    described = _manifest(version_folder())
    _, height, width, _ = (described["inputs"][0] if described["contract"] > 1 else described["input"])["shape"]
    frame = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR_RGB)
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)[None]


def mask(values: np.ndarray) -> bytes:
    """Return the graph's output as PNG."""
    person = cv2.resize(values[0, :, :, 0], (320, 180)) >= 0.5
    return cv2.imencode(".png", person.astype(np.uint8) * 255)[1].tobytes()


def version_folder() -> Path:
    """Return the version's folder, the last argument of the command line."""
    return Path(sys.argv[-1])
