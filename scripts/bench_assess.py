"""`scripts/bench assess`: scores of known damage, compared with BRISQUE's, and speed, with and without masks."""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import ladders
from danmatte.contract.cores import count_cores
from danmatte.frame import Size
from danmatte.models.standalone import open_version
from danmatte.quality.assess import AssessOptions, assess_video
from danmatte.quality.brightness import NO_BARS
from danmatte.quality.companion import Companion
from danmatte.quality.judge import Judge
from danmatte.quality.patches import place_patches
from danmatte.tracks.batch import TrackJob, TrackOptions, make_track
from ladders import LADDERS, Clip, Ladder

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared/data/video"
SAMPLE = ROOT / "service/danmatte/web/sample.webm"
CLIPS = {"davis_hike": 0, "davis_tennis": 0, "one-by-one-person-detection.mp4": 100}  # and the first frame that is used
JUDGED_FPS = 6.0  # of a ladder's clips
PEER_FRAMES = (24,)  # frames of a clip that BRISQUE scores
FRAMES, HEIGHT, WIDTH = 720, 720, 1280
PEER = ROOT / "build/peers/brisque/bin/python"
NIMA = "not measured: its weights come from no package registry"


def add_assess(parser: argparse.ArgumentParser) -> None:
    """Add the options: what is measured, and on which videos."""
    parser.add_argument("--part", choices=("ladders", "speed"), required=True)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--videos", type=Path, default=SHARED, help="a folder with the video and the clips")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the part speed")
    parser.add_argument(
        "--peer", type=Path, default=PEER, help="a Python with the package brisque; without it, BRISQUE is left out"
    )
    parser.add_argument("--json", type=Path, default=ROOT / "build/bench/assess.json")
    parser.set_defaults(run=assess)


def assess(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one part."""
    cv2.setNumThreads(1)
    judge = Judge.open(options.models)
    facts = {"part": options.part, "model": judge.name}
    return facts | (measure_ladders(options, judge) if options.part == "ladders" else measure_speed(options, judge))


def measure_ladders(options: argparse.Namespace, judge: Judge) -> dict[str, Any]:
    """Return τ of score and degree by clip and ladder, and how often a clean clip scores above another damaged one."""
    clips = {name: ladders.read_clip(options.videos / name, first) for name, first in CLIPS.items()}
    clips["sample.webm"] = ladders.read_clip(SAMPLE)
    with tempfile.TemporaryDirectory() as folder:
        peers = Peers(options.peer, Path(folder))
        clean = {name: _score_clean(name, clip, judge, peers) for name, clip in clips.items()}

        def measure(name: str, ladder: Ladder) -> dict[str, Any]:
            scores = []
            for degree, path in ladders.climb(clips[name], ladder):
                scores.append(_score(path, judge))
                peers.keep(f"{name}/{ladder.name}/{degree}", ladders.read_clip(path))
            print(name, ladder.name, f"{ladders.measure_tau([clean[name], *scores]):.2f}", flush=True)
            return {"clip": name, "ladder": ladder.name, "trained": ladder.trained, "scores": scores}

        with ThreadPoolExecutor(count_cores()) as measuring:
            rows = list(measuring.map(measure, *zip(*itertools.product(clips, LADDERS), strict=True)))
        found = peers.score()
    return {
        "frames": ladders.FRAMES,
        "clean": clean,
        "ladders": [_describe(row, clean, found) for row in rows],
        "pairs_in_order": _order_pairs(rows, clean, "scores"),
        "brisque_pairs_in_order": _order_peer_pairs(rows, found),
        "nima": NIMA,
    }


def _score_clean(name: str, clip: Clip, judge: Judge, peers: "Peers") -> float:
    peers.keep(f"{name}/clean", clip)
    with tempfile.TemporaryDirectory() as folder:
        return _score(ladders.write_clip(clip, Path(folder) / "clean.mkv"), judge)


def _score(path: Path, judge: Judge) -> float:
    return assess_video(path, AssessOptions(fps=JUDGED_FPS), judge).score


def _describe(row: Mapping[str, Any], clean: Mapping[str, float], found: Mapping[str, float]) -> dict[str, Any]:
    degrees = next(ladder.degrees for ladder in LADDERS if ladder.name == row["ladder"])
    facts = {**row, "degrees": degrees, "tau": round(ladders.measure_tau([clean[row["clip"]], *row["scores"]]), 3)}
    if found:
        peer = [found[f"{row['clip']}/clean"], *_list_peer_scores(row, found)]
        facts |= {"brisque": peer, "brisque_tau": round(ladders.measure_tau(peer), 3)}
    return facts


def _list_peer_scores(row: Mapping[str, Any], found: Mapping[str, float]) -> list[float]:
    degrees = next(ladder.degrees for ladder in LADDERS if ladder.name == row["ladder"])
    return [found[f"{row['clip']}/{row['ladder']}/{degree}"] for degree in degrees]


def _order_pairs(rows: list[dict[str, Any]], clean: Mapping[str, float], key: str) -> dict[str, float]:
    """Return the share of pairs in which a clean clip scores above another clip with the strongest damage."""
    pairs = [clean[name] > row[key][-1] for row in rows for name in clean if name != row["clip"]]
    return {"share": round(statistics.mean(pairs), 4), "pairs": len(pairs)}


def _order_peer_pairs(rows: list[dict[str, Any]], found: Mapping[str, float]) -> dict[str, float] | None:
    if not found:
        return None
    clean = {row["clip"]: found[f"{row['clip']}/clean"] for row in rows}
    return _order_pairs([{**row, "peer": _list_peer_scores(row, found)} for row in rows], clean, "peer")


class Peers:
    """Pictures for BRISQUE, which runs in a separate Python; does nothing if that Python doesn't exist."""

    def __init__(self, python: Path, folder: Path) -> None:
        self._python, self._folder = python, folder / "peer"

    def keep(self, name: str, clip: Clip) -> None:
        """Store some frames of a clip under this name."""
        if not self._python.exists():
            return
        for at in PEER_FRAMES:
            target = self._folder / name / f"{at}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(target), clip[at][..., ::-1])

    def score(self) -> dict[str, float]:
        """Return each clip's mean of 100 − BRISQUE's score, so that higher is better."""
        if not self._python.exists():
            return {}
        command = [str(self._python), str(ROOT / "scripts/peers/brisque_scores.py"), str(self._folder)]
        run = subprocess.run(command, check=False, capture_output=True, text=True)
        if run.returncode:  # our own figures are still reported
            print(f"BRISQUE: {run.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return {}
        scores = json.loads(run.stdout)
        by_clip: dict[str, list[float]] = {}
        for place, score in scores.items():
            by_clip.setdefault(str(Path(place).parent), []).append(100 - score)
        return {name: statistics.mean(values) for name, values in by_clip.items()}


def measure_speed(options: argparse.Namespace, judge: Judge) -> dict[str, Any]:
    """Time 720 frames of 720p in turn: scoring all, a plain loop, and masks with and without scoring."""
    masks = open_version(options.models, for_many=True)
    with tempfile.TemporaryDirectory() as folder:
        video = _make_video(options.videos / "one-by-one-person-detection.mp4", Path(folder) / "video.mp4")
        plain, loop = PlainLoop(ROOT / "models/quality/quality_graph.pb"), Path(folder) / "track.mattes"
        companion = Companion(judge)

        def track(*, assessed: bool) -> None:
            job = TrackJob(video, loop)
            loop.unlink(missing_ok=True)
            make_track(job, TrackOptions(again=True), masks, watch=companion.watch if assessed else None)
            if assessed:
                companion.conclude(video, loop, whole=True)

        sides: dict[str, Callable[[], object]] = {
            "plain_loop": lambda: plain.run(video),
            "assess_every_frame": lambda: assess_video(video, AssessOptions(fps=1000), judge),
            "assess_with_people": lambda: assess_video(video, AssessOptions(), judge, masks),
            "masks": lambda: track(assessed=False),
            "masks_and_assess": lambda: track(assessed=True),
        }
        seconds = _race(sides, options.rounds)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "frames": FRAMES,
        "cores": count_cores(),
        "seconds": seconds,
        "speedup": round(middle["plain_loop"] / middle["assess_every_frame"], 2),
        "more_than_masks": round(middle["masks_and_assess"] / middle["masks"] - 1, 4),
    }


def _race(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every side. Each round runs all sides in turn; the first is a warm-up and isn't counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, run in sides.items():
            began = time.perf_counter()
            run()
            if number:
                seconds[name].append(round(time.perf_counter() - began, 3))
                print(name, seconds[name][-1], file=sys.stderr, flush=True)
    return seconds


def _make_video(source: Path, target: Path) -> Path:
    """Write the first 720 frames of the source as 720p H.264."""
    with av.open(str(source), "r") as given, av.open(str(target), "w") as made:
        stream = made.add_stream(
            "libx264", rate=24, width=WIDTH, height=HEIGHT, pix_fmt="yuv420p", options={"preset": "veryfast"}
        )
        for number, frame in enumerate(itertools.islice(given.decode(video=0), FRAMES)):
            sized = frame.reformat(WIDTH, HEIGHT, "yuv420p")
            sized.pts, sized.time_base = number, Fraction(1, 24)
            made.mux(stream.encode(sized))
        made.mux(stream.encode(None))
    return target


class PlainLoop:
    """The simplest implementation: OpenCV reads a frame, TensorFlow scores its patches, frame by frame."""

    def __init__(self, graph: Path) -> None:
        import tensorflow as tf

        self._places = place_patches(Size(HEIGHT, WIDTH), NO_BARS)
        definition = tf.compat.v1.GraphDef.FromString(graph.read_bytes())
        with tf.Graph().as_default() as loaded:
            tf.import_graph_def(definition, name="")
        self._session = tf.compat.v1.Session(graph=loaded)

    def run(self, video: Path) -> float:
        """Return the mean score."""
        capture, scores = cv2.VideoCapture(str(video)), []
        while (got := capture.read())[0]:
            picture = cv2.cvtColor(got[1], cv2.COLOR_BGR2RGB)
            for top, left, height, width in self._places:
                patch = picture[None, top : top + height, left : left + width]
                scores.append(float(self._session.run("score:0", {"picture:0": patch})[0, 0]))
        return float(np.mean(scores))
