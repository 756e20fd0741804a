"""`scripts/bench players`: speed, size and steadiness of tracks of whole videos, and memory with a long one."""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

import bench_long
import steadiness
from danmatte.contract import artifact
from danmatte.contract.cores import count_cores
from danmatte.engine import OpenVinoEngine, Served
from danmatte.models.standalone import open_version
from danmatte.tracks import TrackHeader, TrackReader, TrackWriter
from danmatte.tracks.masks import MaskWriter
from danmatte.tracks.pipeline import Pipeline
from danmatte.tracks.selection import NetworkOutput, TrackPlan, choose_mask_size, select_frames
from danmatte.video.decoded_frame import DecodedFrame
from danmatte.video.reader import Video

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared/data/video"


def add_players(parser: argparse.ArgumentParser) -> None:
    """Add the options: which videos, how often, and how much of them."""
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--model", default="deeplab")
    parser.add_argument("--videos", type=Path, default=SHARED, help="a folder with the video and the clips")
    parser.add_argument("--video", default="one-by-one-person-detection.mp4", help="the video to race on")
    parser.add_argument("--clips", nargs="*", default=["davis_hike", "davis_tennis"], help="clips with true masks")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0, help="seconds of the video per round; 0 for all")
    parser.add_argument(
        "--long", type=float, metavar="MINUTES", default=0, help="only measure memory and resuming on a generated video"
    )
    parser.add_argument("--json", type=Path, default=ROOT / "build/bench/players.json")
    parser.set_defaults(run=players)


def players(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of tracks for players."""
    cv2.setNumThreads(1)
    if options.long:
        return {"long": bench_long.run(options.models, options.model, options.long)}
    quick = open_version(options.models, options.model, for_many=True)
    facts: dict[str, Any] = {"model": f"{quick.manifest.name}/{quick.manifest.version}"}
    facts["clips"] = {name: _steadiness(options.videos / name, quick) for name in options.clips}
    with tempfile.TemporaryDirectory() as folder:
        race = Race(options, quick, Path(folder))
        return facts | {"pipeline": race.run(), "size": race.sizes()}


def _steadiness(home: Path, served: Served) -> dict[str, Any]:
    found = steadiness.compare(steadiness.Clip(home), served)
    for name, scores in found.items():
        print(f"  {home.name} {name}: " + ", ".join(f"{what} {value:.4f}" for what, value in scores.items()))
    return found


class Excerpt(Video):
    """The first part of a video."""

    until_ms = float("inf")

    def read_frames(self, from_ms: int = 0) -> Iterator[DecodedFrame]:
        """Yield the frames before `until_ms`."""
        for frame in super().read_frames(from_ms):
            if frame.pts_ms >= self.until_ms:
                return
            yield frame


class Race:
    """A race, in turn, of a plain loop, concurrency, concurrency with masks reused, and that with a second pass."""

    def __init__(self, options: argparse.Namespace, quick: Served, folder: Path) -> None:
        self._options, self._quick, self._folder = options, quick, folder
        self._alone = _latency(options.models, quick)
        self._video = Excerpt(options.videos / options.video)
        self._video.until_ms = options.seconds * 1000 or float("inf")
        self._reusing = TrackPlan(choose_mask_size(self._video.shown))
        self._always = replace(self._reusing, hold_ms=0)
        self._pipeline = Pipeline(quick, in_flight=2 * count_cores() + 2)

    def run(self) -> dict[str, Any]:
        """Return frames a second of each, the ratios by round, and how much the masks differ."""
        contenders: dict[str, Callable[[Path], None]] = {
            "plain": self._plain,
            "concurrent": lambda path: self._concurrent(path, self._always),
            "reusing": lambda path: self._concurrent(path, self._reusing),
            "closer": lambda path: self._concurrent(path, replace(self._reusing, refine=True)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(self._options.rounds):
            for name, contend in contenders.items():
                started = time.perf_counter()
                contend(self._path(name))
                seconds[name].append(time.perf_counter() - started)
        ratios = {
            name: [plain / other for plain, other in zip(seconds["plain"], seconds[name], strict=True)]
            for name in ("concurrent", "reusing", "closer")
        }
        return self._facts(seconds, ratios)

    def sizes(self) -> dict[str, Any]:
        """Return the sizes of the same masks in both formats, with a mask for every frame."""
        bytes_ = {}
        for suffix in (".mattes", ".webmask"):
            path = self._path("sizes", suffix)
            with TrackReader(self._path("concurrent")) as track:
                header = replace(track.header, polarity="background")
                with TrackWriter(path, header) as writer:
                    for entry in track:
                        writer.add(entry)
            bytes_[suffix] = path.stat().st_size
        share = bytes_[".mattes"] / bytes_[".webmask"]
        print(f"  size: {bytes_}: {100 * share:.1f} %")
        return {"bytes": bytes_, "share": share}

    def _plain(self, path: Path) -> None:
        """Process one frame after the other, with all cores for each inference."""
        with self._writer(path) as writer:
            masks = MaskWriter(self._alone.manifest, self._video.size, self._always, writer)
            for selected in select_frames(self._video, self._alone.manifest, self._always):
                assert selected.picture is not None, "no mask is held"
                masks.step(selected, NetworkOutput(self._alone.engine.infer(selected.picture)[0]))
            masks.finish()

    def _concurrent(self, path: Path, plan: TrackPlan) -> None:
        with self._writer(path) as writer:
            asyncio.run(self._pipeline.run(self._video, plan, writer, lambda _: None))

    def _writer(self, path: Path) -> TrackWriter:
        return TrackWriter(path, TrackHeader(self._reusing.size, "person"))

    def _path(self, name: str, suffix: str = ".mattes") -> Path:
        return self._folder / f"{name}{suffix}"

    def _facts(self, seconds: dict[str, list[float]], ratios: dict[str, list[float]]) -> dict[str, Any]:
        with TrackReader(self._path("concurrent")) as every, TrackReader(self._path("reusing")) as reusing:
            pairs = [(one.mask, other.mask, other.held) for one, other in zip(every, reusing, strict=True)]
        overlaps = [_overlap(one, other) for one, other, _ in pairs if one.any() or other.any()]
        facts = {
            "frames": len(pairs),
            "frames_per_s": {name: len(pairs) / statistics.median(times) for name, times in seconds.items()},
            "ratios": {name: _spread(values) for name, values in ratios.items()},
            "held_share": float(np.mean([held for *_, held in pairs])),
            "iou_with_every_frame": float(np.mean(overlaps)),
            "seconds": seconds,
        }
        print("  " + ", ".join(f"{name} {value}" for name, value in facts.items() if name != "seconds"))
        return facts


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def _latency(models: Path, quick: Served) -> Served:
    """Return the same version, configured for one frame at a time."""
    found = artifact.read_version(models, quick.manifest.name, quick.manifest.version)
    alone = msgspec.structs.replace(
        found.manifest.configuration, hint="latency", streams=1, threads=0, infer_requests=1
    )
    manifest = msgspec.structs.replace(found.manifest, configuration=alone)
    return Served(manifest, OpenVinoEngine(manifest, found.graph, found.weights, count_cores()))
