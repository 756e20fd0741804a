"""`scripts/bench library`: killed shards and nodes, two workers compared with one, memory of a driver, and seams."""

import argparse
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import library_clips
from danmatte.library.executor import Executor
from danmatte.library.inventory import Inventory
from danmatte.library.library import Library, Shard, Unit
from danmatte.library.place import open_storage
from danmatte.library.progress import LibraryProgress
from danmatte.library.result import UnitResult
from danmatte.library.run import run_units
from danmatte.models.standalone import find_version
from danmatte.tracks import TrackReader
from library_runs import read_lines, start
from library_scaling import measure_scaling

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared/data/video"
POISON = """
import os, signal, threading
import av
opened = av.open
def open_or_fall(file, *words, **options):
    data = file.getvalue()[:5] if hasattr(file, "getvalue") else b""
    if data == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if data == b"hangs":
        threading.Event().wait()
    return opened(file, *words, **options)
av.open = open_or_fall
"""
Lines = list[dict[str, Any]]


def add_library(parser: argparse.ArgumentParser) -> None:
    """Add the options: which part, and its size."""
    parser.add_argument("--part", choices=[*PARTS, "all"], default="all")
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--video", type=Path, default=SHARED / "one-by-one-person-detection.mp4")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--frames", type=int, default=12, help="frames of a clip, ten a second")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of one worker compared with two")
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=10, help="length of the long video")
    parser.add_argument("--fps", type=float, default=5, help="masks a second of the long video")
    parser.add_argument("--json", type=Path, default=ROOT / "build/bench/library.json")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one part, or of all."""
    facts: dict[str, Any] = {}
    for name, measure in PARTS.items():
        if options.part in (name, "all"):
            with tempfile.TemporaryDirectory(prefix="danmatte-bench-") as folder:
                facts[name] = measure(options, Path(folder))
            print(f"  {name}: {facts[name]}", flush=True)
    return facts


@contextmanager
def serve_objects(folder: Path) -> Iterator[None]:
    """Run a local S3 server, and make decoders crash or hang on certain videos, until the block ends."""
    (folder / "poison").mkdir()
    (folder / "poison/sitecustomize.py").write_text(POISON)
    code = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with subprocess.Popen(
        [sys.executable, "-c", code, port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        known = os.environ.get("PYTHONPATH", "")
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(folder / "poison"), known])),
        }
        try:
            wait_for(lambda: _make_bucket("videos"), 120)
            yield
        finally:
            server.kill()


def wait_for(ready: Callable[[], bool], patience_s: float) -> None:
    """Wait until ``ready`` returns True. Raises AssertionError after ``patience_s``."""
    until = time.monotonic() + patience_s
    while not ready():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.2)


def _make_bucket(name: str) -> bool:
    import s3fs

    try:
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
    except OSError:
        return False
    return True


def measure_kills(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Track clips in S3 by one process, by two shards of which one is killed, and by a cluster that loses a node."""
    with serve_objects(folder):
        library_clips.cut_clips(options.video, folder / "clips", count=options.clips, frames=options.frames)
        source = open_storage("s3://videos")
        for path in sorted((folder / "clips").rglob("*.mp4")):
            source.create(path.relative_to(folder / "clips").as_posix(), path.read_bytes())
        source.create("shelf-0/crash.mp4", b"crashes the decoder")
        source.create("shelf-1/hang.mp4", b"hangs")
        for name in ("alone", "shards", "cluster"):
            _make_bucket(name)
            import s3fs

            s3fs.S3FileSystem().call_s3(
                "put_bucket_versioning", Bucket=name, VersioningConfiguration={"Status": "Enabled"}
            )
        facts = {"alone": _run_alone(options), "shards": _run_shards(options), "cluster": _run_cluster(options)}
        tracks = {name: _read_tracks(name) for name in facts}
        for name in facts:
            facts[name] |= {
                "tracks": len(tracks[name]),
                "same_bytes_as_alone": sum(tracks["alone"].get(key) == data for key, data in tracks[name].items()),
                "written_more_than_once": _count_rewrites(name),
            }
    return {"clips": options.clips, "frames_a_clip": options.frames, **facts}


PARTS_OF_LONG = 6
LIMITS = ("--max-attempts", 2, "--stall-timeout-s", 20)


def _run_alone(options: argparse.Namespace) -> dict[str, Any]:
    started = time.monotonic()
    with start(options, "s3://videos", "s3://alone", "--workers", 1, *LIMITS) as process:
        lines = list(read_lines(process))
    return _count([lines]) | {"seconds": round(time.monotonic() - started, 1), "exit_code": process.returncode}


def _run_shards(options: argparse.Namespace) -> dict[str, Any]:
    words = [("s3://videos", "s3://shards", "--workers", 1, *LIMITS, "--shard", f"{at}/2") for at in range(2)]
    first, second = (start(options, *each) for each in words)
    killed = []
    for line in read_lines(first):
        killed.append(line)
        if len(killed) >= options.clips // 4:  # half of its shard
            first.send_signal(signal.SIGKILL)
            break
    assert first.stdout is not None
    first.stdout.close()
    first.wait()
    again = start(options, *words[0])
    others = [list(read_lines(process)) for process in (again, second)]
    codes = [process.wait() for process in (again, second)]
    return _count([killed, *others]) | {"killed_after": len(killed), "exit_codes": codes}


def _run_cluster(options: argparse.Namespace) -> dict[str, Any]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    lost = cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    words = ("s3://videos", "s3://cluster", *LIMITS, "--ray", cluster.address)
    try:
        lines: Lines = []
        with start(options, *words) as process:
            for line in read_lines(process):
                lines.append(line)
                if len(lines) == options.clips // 2:
                    for each in [one for found in lost.all_processes.values() for one in found]:
                        os.kill(each.process.pid, signal.SIGKILL)
        with start(options, *words) as again:
            kept = list(read_lines(again))
    finally:
        cluster.shutdown()
    return _count([lines, kept]) | {
        "killed_after": options.clips // 2,
        "exit_codes": [process.returncode, again.returncode],
    }


def _count(runs: list[Lines]) -> dict[str, Any]:
    """Return how the units ended over all runs; ``made_again`` counts videos that were computed more than once."""
    made = [line["video"] for lines in runs for line in lines if line["state"] == "made"]
    told = {line["video"]: line["reason"] for lines in runs for line in lines if line["state"] == "given up"}
    kept = sum(line["state"] == "kept" for lines in runs for line in lines)
    return {"made": len(made), "made_again": len(made) - len(set(made)), "kept": kept, "given_up": told}


def _read_tracks(bucket: str) -> dict[str, bytes]:
    storage = open_storage(f"s3://{bucket}")
    return {file.name: storage.read(file.name) for file in storage.list_files()}


def _count_rewrites(bucket: str) -> int:
    """Return the number of tracks with more than one version in a versioned bucket."""
    import s3fs

    pages = s3fs.S3FileSystem().call_s3("list_object_versions", Bucket=bucket)
    keys = [each["Key"] for each in pages.get("Versions", ()) if not each["Key"].startswith(".")]
    return len(keys) - len(set(keys))


class IdleExecutor(Executor):
    """An executor that takes no time, so that only the driver is measured."""

    capacity = 8

    def __init__(self) -> None:
        self._units: list[Unit] = []

    def submit(self, unit: Unit) -> None:
        """Store the unit for `wait`."""
        self._units.append(unit)

    def wait(self, patience_s: float) -> UnitResult | None:
        """Return the result of the oldest unit."""
        unit = self._units.pop(0)
        return UnitResult("made", unit.video, unit.name_track(".mattes"), size_bytes=unit.share_bytes)

    def close(self) -> None:
        """Do nothing, because there are no workers."""


def measure_memory(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure the memory of a driver that processes many objects, in a separate process."""
    with serve_objects(folder):
        import s3fs

        names = (f"videos/shelf-{at % 7}/a-video-with-a-long-name-{at:06}.mp4" for at in range(options.objects))
        s3fs.S3FileSystem().pipe(dict.fromkeys(names, b""))  # pipe uploads many at once
        _make_bucket("tracks")
        code = f"import bench_library; bench_library.watch_driver({str(options.models)!r})"
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])
        }
        found = subprocess.run(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
    facts: dict[str, Any] = json.loads(found.stdout)
    return facts


def watch_driver(models: str) -> None:
    """Print the memory after every thousand results, as JSON."""
    library = Library("s3://videos", "s3://tracks", Path(models))
    inventory = Inventory(library, find_version(library.models), Shard())
    resident, count = {"0": _measure_resident()}, 0
    totals = inventory.count()
    for _ in run_units(inventory, IdleExecutor(), LibraryProgress(totals)):
        count += 1
        if count % 1000 == 0:
            resident[str(count)] = _measure_resident()
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    print(json.dumps({"objects": count, "resident_mib_after": resident, "peak_mib": peak}))


def _measure_resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 2**20, 1)


def measure_seams(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Track a long video as a whole, and in parts by two shards; return the IoU of the masks near the borders."""
    (folder / "videos").mkdir()
    video = folder / "videos/long.mp4"
    frames = library_clips.write_long(options.video, video, options.minutes)
    split_mib = video.stat().st_size / 2**20 / PARTS_OF_LONG + 0.001
    runs: dict[str, list[tuple[str, ...]]] = {"whole": [()], "parts": [("--shard", "0/2"), ("--shard", "1/2")]}
    tracks, seconds, units = dict[str, dict[int, np.ndarray]](), dict[str, float](), dict[str, list[int]]()
    for name, words in runs.items():
        began = time.monotonic()
        split = 0 if name == "whole" else split_mib
        common = (folder / "videos", folder / name, "--split-mib", split, "--workers", 1, "--fps", options.fps)
        running = [start(options, *common, *each) for each in words]
        results = [list(read_lines(process)) for process in running]
        assert [process.wait() for process in running] == [0] * len(running)
        seconds[name] = round(time.monotonic() - began, 1)
        units[name] = [len(lines) for lines in results]
        (track,) = {line["track"] for lines in results for line in lines if line["track"]}
        with TrackReader(folder / name / track) as reader:
            tracks[name] = {entry.pts_ms: entry.mask for entry in reader}
    overlaps = {pts_ms: _overlap(mask, tracks["parts"][pts_ms]) for pts_ms, mask in tracks["whole"].items()}
    places = [round(options.minutes * 60_000 * at / PARTS_OF_LONG) for at in range(1, PARTS_OF_LONG)]
    near = [min(iou for pts_ms, iou in overlaps.items() if -1000 <= pts_ms - place <= 22_000) for place in places]
    return {
        "minutes": options.minutes,
        "frames": frames,
        "masks": [len(track) for track in tracks.values()],
        "units_of_each_shard": units["parts"],
        "seconds": seconds,
        "least_iou_from_a_second_before_to_22_after_each_place": [round(iou, 5) for iou in near],
        "least_iou_of_all": round(min(overlaps.values()), 5),
        "masks_that_differ": sum(iou < 1 for iou in overlaps.values()),
    }


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    either = (one | other).sum()
    return float((one & other).sum() / either) if either else 1.0


PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "kills": measure_kills,
    "scaling": measure_scaling,
    "memory": measure_memory,
    "seams": measure_seams,
}
