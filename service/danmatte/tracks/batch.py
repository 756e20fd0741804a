"""`danmatte track`: many videos one after another, each to a track of its own, with a summary."""

import asyncio
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import cv2
import msgspec

from danmatte.contract import artifact
from danmatte.contract.cores import count_cores
from danmatte.contract.near_words import did_you_mean
from danmatte.engine import OpenVinoEngine, Served
from danmatte.errors import InvalidParameterError, ModelError, ServiceError, UnknownModelError
from danmatte.frame import Size
from danmatte.tracks.masks import Tally
from danmatte.tracks.pipeline import Pipeline
from danmatte.tracks.progress import Progress
from danmatte.tracks.selection import BOX, Plan, mask_size
from danmatte.tracks.track import Format, Header, Polarity
from danmatte.tracks.writer import TrackWriter
from danmatte.video.reader import Video
from danmatte.video.stabiliser import Care

_VIDEOS = re.compile(r"\.(3gp|asf|avi|flv|m2ts|m4v|mkv|mov|mp4|mpe?g|mts|mxf|nut|og[mv]|ts|vob|webm|wmv|y4m)", re.I)


@dataclass(frozen=True)
class Wish:
    """What the command line asks for; `box` is what the masks' size must fit into, standing pictures turned."""

    box: Size = BOX
    fps: float = 30.0
    raw: bool = False
    again: bool = False
    closer: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.fps <= 1000:
            raise InvalidParameterError(f"fps: expected more than 0, at most 1000, received {self.fps}")

    @classmethod
    def of(cls, options: dict[str, Any]) -> Self:
        """The wish in the command line's options; raises InvalidParameterError."""
        chosen: dict[str, Any] = {key: options[key] for key in ("fps", "raw", "again", "closer") if key in options}
        if "size" in options:
            chosen["box"] = parsed_size(options["size"])
        return cls(**chosen)

    def plan(self, shown: Size) -> Plan:
        """How a video of this size is tracked."""
        return Plan(mask_size(shown, self.box), fps=self.fps, care=None if self.raw else Care(), closer=self.closer)


def track(jobs: Sequence[tuple[Path, Path]], wish: Wish, served: Served) -> Iterator[dict[str, Any]]:
    """Makes the track of every video, with a summary each; what goes wrong with one is said there as its `error`."""
    cv2.setNumThreads(1)  # every stage has a thread already
    pipeline = Pipeline(served, in_flight=2 * count_cores() + 2)
    for video, path in jobs:
        yield _summary(video, path, wish, served, pipeline)


def _summary(source: Path, path: Path, wish: Wish, served: Served, pipeline: Pipeline) -> dict[str, Any]:
    facts: dict[str, Any] = {"video": str(source), "track": str(path)}
    if path.exists() and not wish.again:
        return facts | {"kept": True}
    started = time.monotonic()
    try:
        facts |= _tracked(source, path, wish, served, pipeline)
    except (ServiceError, OSError) as error:
        return facts | {"error": str(error)}
    return facts | {"seconds": round(time.monotonic() - started, 3), "bytes": path.stat().st_size}


def _tracked(source: Path, path: Path, wish: Wish, served: Served, pipeline: Pipeline) -> dict[str, Any]:
    with Video(source) as video:
        plan, manifest = wish.plan(video.shown), served.manifest
        polarity: Polarity = "background" if path.suffix == ".webmask" else "person"
        header = Header(plan.size, polarity, manifest.name, manifest.version)
        with TrackWriter(path, header, job=_job(source, plan, served)) as writer:
            resumed_ms = writer.last_pts_ms
            progress = Progress(source.name, resumed_ms or 0, video.end_ms)
            try:
                tally = asyncio.run(pipeline.run(video, plan, writer, progress.step))
            finally:
                progress.finish()
        return _facts(video, plan, tally) | {"resumed_after_ms": resumed_ms}


def _facts(video: Video, plan: Plan, tally: Tally) -> dict[str, Any]:
    return {
        "size": str(plan.size),
        "masks": tally.masks,
        "inferred": tally.inferred,
        "looked_closer": tally.looked_closer,
        "held_share": round(tally.held / tally.masks, 4) if tally.masks else 0.0,
        "cuts": tally.cuts,
        "until_ms": tally.last_ms,
        "frames_out_of_order": video.dropped,
        "broken": video.broken,
    }


def _job(source: Path, plan: Plan, served: Served) -> str:
    """All that decides the masks: work that was interrupted is only taken up by the very same."""
    facts = source.stat()
    files = served.manifest.files
    return f"{facts.st_size} {facts.st_mtime_ns} {plan} {files.graph.sha256} {files.weights.sha256}"


def outputs(videos: Sequence[Path], out: Path, format_: str) -> list[tuple[Path, Path]]:
    """Each video, of folders too, with its track's path; raises InvalidParameterError when two would be the same."""
    suffix = f".{format_.removeprefix('.')}" if format_ else ""
    if suffix and suffix not in Format.registered:
        raise InvalidParameterError(f"format: unknown {format_!r}{did_you_mean(suffix, list(Format.registered))}")
    found = [file for given in videos for file in (_videos_of(given) if given.is_dir() else [given])]
    if not found:
        raise InvalidParameterError(f"videos: expected some in {', '.join(map(str, videos))}, received none")
    if out.suffix in Format.registered and not out.is_dir():
        if len(found) > 1 or (suffix and suffix != out.suffix):
            raise InvalidParameterError(f"{out}: expected a folder for {len(found)} tracks as {suffix or out.suffix}")
        return [(found[0], out)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidParameterError(f"{out}: expected a folder for tracks: {error.strerror}") from error
    named: dict[Path, Path] = {}
    for video in found:
        path = out / f"{video.stem}{suffix or next(iter(Format.registered))}"
        if path in named:
            raise InvalidParameterError(f"{path}: expected one video, received {named[path]} and {video}")
        named[path] = video
    return [(video, path) for path, video in named.items()]


def _videos_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _VIDEOS.fullmatch(path.suffix) and path.is_file())


def open_model(root: Path, name: str) -> Served:
    """The newest version of a model that can be served, run for many frames at once; raises ServiceError."""
    known = artifact.list_models(root)
    if name not in known and not (name == "" and len(known) == 1):
        raise UnknownModelError(f"{root}: expected a model's name, received {name!r}{did_you_mean(name, known)}")
    name, faults = name or known[0], []
    for version in artifact.list_versions(root, name):
        try:
            return _opened(root, name, version)
        except ModelError as error:
            faults.append(str(error))
            print(f"danmatte: {name}/{version} is passed over: {error}", file=sys.stderr)
    raise ModelError(f"{root / name}: no version can be served: {'; '.join(faults) or 'there is none'}")


def _opened(root: Path, name: str, version: int) -> Served:
    found = artifact.read_version(root, name, version)
    wanted = found.manifest.configuration
    if wanted.hint == "latency":  # measured for one frame at a time; here there are always more
        wanted = msgspec.structs.replace(wanted, hint="throughput", streams=0, infer_requests=0)
    manifest = msgspec.structs.replace(found.manifest, configuration=wanted)
    return Served(manifest, OpenVinoEngine(manifest, found.graph, found.weights, count_cores()))


def parsed_size(words: str) -> Size:
    """`320x180` as a size; raises InvalidParameterError."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", words)
    if not match:
        raise InvalidParameterError(f"size: expected WIDTHxHEIGHT such as 320x180, received {words!r}")
    return Size(int(match[2]), int(match[1]))


def exit_code(summaries: Sequence[dict[str, Any]]) -> int:
    """0 when every track is whole, 1 when a video broke off before its end, 2 when one has no track at all."""
    return max((2 if "error" in each else int(bool(each.get("broken"))) for each in summaries), default=0)


def told(summary: dict[str, Any]) -> str:
    """A summary in words."""
    if "error" in summary:
        return f"{summary['video']}: {summary['error']}"
    if summary.get("kept"):
        return f"{summary['video']}: {summary['track']} is there already, and stays; --again makes it anew"
    speed = summary["masks"] / max(summary["seconds"], 0.001)
    words = (
        f"{summary['video']}: {summary['masks']} masks of {summary['size']} in {summary['seconds']:.1f} s "
        f"({speed:.0f} a second), {100 * summary['held_share']:.0f} % held, {summary['cuts']} cuts, "
        f"{summary['bytes']} bytes: {summary['track']}"
    )
    return words + (f"\n{summary['video']}: broken: {summary['broken']}" if summary["broken"] else "")
