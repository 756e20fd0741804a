"""Request bodies: real frames at 720p as JPEG, and as the graph's raw input."""

import json
from pathlib import Path

import cv2
import numpy as np

from danmatte.contract.artifact import read_manifest
from images import read_image


def jpegs(folder: Path, height: int = 720) -> list[bytes]:
    """Return every picture of the folder as JPEG of quality 85, resized to 16:9 with this height."""
    pictures, quality = _all(folder, height), [cv2.IMWRITE_JPEG_QUALITY, 85]
    return [cv2.imencode(".jpg", picture, quality)[1].tobytes() for picture in pictures]


def make_v2_bodies(folder: Path, manifest: Path) -> tuple[list[bytes], dict[str, str]]:
    """Return bodies of V2 infer requests with raw tensors, and their headers.

    They use the binary extension of the Open Inference Protocol.
    """
    port = read_manifest(manifest.parent).picture
    height, width = port.largest_size
    bodies, length = [], 0
    for picture in _all(folder):
        tensor = np.ascontiguousarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)).tobytes()
        asked = {"name": port.name, "shape": [1, height, width, 3], "datatype": "UINT8"}
        head = {
            "inputs": [asked | {"parameters": {"binary_data_size": len(tensor)}}],
            "parameters": {"binary_data_output": True},
        }
        text = json.dumps(head).encode()
        length = len(text)
        bodies.append(text + tensor)
    return bodies, {"Inference-Header-Content-Length": str(length)}


def _all(folder: Path, height: int = 720) -> list[np.ndarray]:
    paths = sorted(folder.glob("*.jpg"))
    if not paths:
        raise SystemExit(f"{folder}: expected JPEG pictures, found none")
    pictures = (read_image(path) for path in paths)
    size = (round(height * 16 / 9), height)
    return [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures]
