"""A run's folder like that of `workbench optimize`: stored figures, and masks drawn on the samples."""

import copy
import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from danmatte_workbench.dataset import SAMPLES
from danmatte_workbench.report.records import RunRecord

STORED = Path(__file__).with_name("optimize.json")  # an earlier run of the default model
UNCUT = "OpenVINO, uncut"
FRAMES = {"astronaut": (220, 250, 190, 270), "two-speakers": (420, 420, 230, 330), "cat": (0, 0, 0, 0)}
Change = Callable[[dict[str, Any]], None]


def write(folder: Path, change: Change = lambda _: None, *, pictures: bool = True) -> Path:
    """Write run.json and masks/ into the folder, with ``change`` applied to the facts; return the folder."""
    facts = content()
    if pictures:
        (folder / "masks").mkdir(parents=True, exist_ok=True)
        facts["masks"] = [_masks(folder / "masks", place, name) for place, name in enumerate(FRAMES, 1)]
    change(facts)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(facts, indent=1), "utf-8")
    return folder


def content() -> dict[str, Any]:
    """Return the facts of a run with everything except masks."""
    return copy.deepcopy(_content())


@cache
def _content() -> dict[str, Any]:
    facts = json.loads(STORED.read_text("utf-8"))
    facts["source"] |= {"format": "frozen", "meaning": "person", "size": [513, 513]}
    facts["data"] |= {"origin": "data/people/val", "choosing_frames": 80, "confirming_frames": 166}
    facts["data"] |= {"kinds": {"ccp": 143, "coco": 103}}
    facts["budget"] |= {"max_disagreement": None}
    for place, trial in enumerate(facts["trials"]):
        trial |= {"seconds": 31.0 + 7 * place, "finalist": place != 3, "kinds": {}, "confirmation": None}
        if trial["name"] == facts["winner"]:
            trial["kinds"] = {"ccp": figure(0.2, 0.5, "points", 96), "coco": figure(0.61, 0.4, "points", 33)}
            trial["confirmation"] = {
                "frames": 166,
                "attempt": 2,
                "confidence": 0.975,
                "crossed": False,
                "choosing": {"iou_drop": figure(0.12, 0.5, "points", 64)},
                "choosing_kinds": {"ccp": figure(0.1, 0.5, "points", 47), "coco": figure(0.2, 0.5, "points", 17)},
            }
        if trial["measurements"]:
            trial["measurements"]["size_bytes"] = figure(2.4e6 if "int8" in trial["name"] else 8.9e6, 0, "bytes")
    facts["baselines"]["OpenVINO, uncut, NNCF defaults"] = {
        "throughput": figure(58.0, 0.03, "frames/s"),
        "speedup": figure(2.8, 0.1, "×"),
        "latency": figure(17.6, 0.01, "ms"),
        "iou_drop": figure(0.31, 0.5, "points"),
    }
    facts["trials"].append(_rejected(facts["trials"][4]))
    return facts | {
        "schema": 1,
        "started": "2026-11-25T17:20:00+00:00",
        "seconds": 1391.0,
        "objective": "throughput",
        "effort": "standard",
        "versions": {"openvino": "2026.4.1", "nncf": "3.4.0", "tensorflow": "2.21.0", "danmatte": "0.1.0"},
        "nearest": None,
        "layers": {"before": _layers(39.0, "f32"), "after": _layers(9.6, "i8")},
        "sweep": _sweep(),
        "isa": _isa(),
        "masks": [],
    }


def _rejected(like: dict[str, Any]) -> dict[str, Any]:
    """Return a trial with too much loss."""
    trial = copy.deepcopy(like) | {"name": "int8-mixed latency f32", "recipe": "int8-mixed", "accepted": False}
    trial["measurements"] |= {"iou_drop": figure(1.31, 0.25, "points"), "throughput": figure(88.0, 0.02, "frames/s")}
    return trial | {"broken": ["iou_drop may reach 1.64 points, the limit is 1.1"]}


def figure(value: float, spread: float, unit: str, samples: int = 9) -> dict[str, Any]:
    """Return a measurement of run.json whose interval is the value ± the share ``spread`` of it."""
    reach = abs(value) * spread
    return {"value": value, "low": value - reach, "high": value + reach, "unit": unit, "samples": samples}


def _layers(total_ms: float, precision: str) -> list[dict[str, Any]]:
    """Return the layers of seventeen inverted residuals and their surroundings, the early ones slowest."""
    dice = random.Random(7)
    layers = []
    for block in range(17):
        for part, kind, weight in (
            ("expand", "Convolution", 5.0),
            ("depthwise", "GroupConvolution", 3.0),
            ("project", "Convolution", 3.5),
        ):
            weight *= dice.uniform(0.6, 1.4) / (1 + 0.35 * block)
            kernel = "brgconv_avx512_vnni" if precision == "i8" else "jit_avx512_dw"
            name = f"MobilenetV2/expanded_conv_{block}/{part}/{kind}"
            layers.append({"name": name, "kind": kind, "precision": precision, "kernel": kernel, "ms": weight})
    for kind, weight in (
        ("Interpolate", 2.2),
        ("Concat", 0.5),
        ("ReduceMean", 0.9),
        ("Softmax", 0.6),
        ("Reorder", 1.1),
    ):
        layers.append({"name": f"{kind}_1", "kind": kind, "precision": "f32", "kernel": "jit_avx512", "ms": weight})
    whole = sum(layer["ms"] for layer in layers)
    return [layer | {"ms": layer["ms"] * total_ms / whole} for layer in layers]


def _sweep() -> list[dict[str, Any]]:
    points = []
    for who, ms in (("winner", 9.8), ("uncut", 39.3)):
        for threads in (1, 2):
            for batch in (1, 2, 4, 8):
                speed = 1000 / ms * threads**0.9 * (1 + 0.04 * np.log2(batch))
                points.append(
                    {
                        "who": who,
                        "batch": batch,
                        "streams": threads,
                        "threads": threads,
                        "requests": 2 * threads,
                        "pinning": False,
                        "throughput": figure(speed, 0.03, "frames/s"),
                        "latency": figure(1000 * batch * 1.1 / speed * threads**0.4, 0.04, "ms"),
                        "agreed": (batch, threads) != (4, 2),
                    }
                )
    return points


def _isa() -> list[dict[str, Any]]:
    speeds = {
        "AVX2": (21.0, 31.0),
        "AVX512_CORE": (27.0, 48.0),
        "AVX512_CORE_VNNI": (27.2, 99.0),
        "native": (28.0, 102.0),
    }
    return [
        {
            "isa": isa,
            "who": who,
            "effective": isa.lower(),
            "measurements": {
                "throughput": figure(speed, 0.03, "frames/s"),
                "iou_drop": figure(loss, 0.2, "points", 193),
            },
        }
        for isa, pair in speeds.items()
        for who, speed, loss in (("float", pair[0], 0.08), ("winner", pair[1], 0.52 if isa == "AVX2" else 0.47))
    ]


def _masks(folder: Path, place: int, name: str) -> dict[str, Any]:
    frame = cv2.imread(str(SAMPLES / f"{name}.jpg"))
    height, width = frame.shape[:2]
    across, down, reach_x, reach_y = FRAMES[name]
    files = {
        part: f"{place:02}-{part}" + (".jpg" if part == "frame" else ".png") for part in ("frame", "source", "winner")
    }
    cv2.imwrite(str(folder / files["frame"]), frame)
    for part, shift in (("source", 0), ("winner", 6)):
        mask = np.zeros((height, width), np.uint8)
        if reach_x:
            cv2.ellipse(mask, (across + shift, down), (reach_x, reach_y - shift), 0, 0, 360, 255, -1)
        cv2.imwrite(str(folder / files[part]), mask)
    files["label"] = f"{place:02}-label.png"
    cv2.imwrite(str(folder / files["label"]), np.where(mask > 0, 255, 128).astype(np.uint8))
    iou, lost = (0.97, 3.0 + place) if reach_x else (1.0, 0.0)
    return {"frame": f"{name}.jpg", "size": [height, width], "files": files, "iou": iou, "lost": lost}


def read(change: Change = lambda _: None) -> RunRecord:
    """Return the record of a run without masks, with ``change`` applied; no file is written."""
    facts = content()
    change(facts)
    return msgspec.json.decode(json.dumps(facts).encode(), type=RunRecord)
