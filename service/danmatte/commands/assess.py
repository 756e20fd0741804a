"""`danmatte assess`: quality of videos, with the kinds and times of their damage."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danmatte.contract.command_line import JSON_HELP, check_place, write_json, write_text

if TYPE_CHECKING:
    from danmatte.quality.assessment import FailedAssessment, VideoQuality
    from danmatte.quality.companion import Companion
    from danmatte.quality.pooling import Grade
    from danmatte.tracks.batch import TrackSummary


def add_assess(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command and its flags."""
    command = add(
        "assess",
        run_assess,
        "assess the quality of whole videos, and report what reduces it",
        "danmatte assess video.mp4 --html quality.html",
        "danmatte assess videos/ --json quality.json --min-grade C",
    )

    def option(flag: str, kind: type, metavar: str, text: str) -> None:
        command.add_argument(flag, type=kind, metavar=metavar, help=text)

    command.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="a video, or a folder of them")
    option("--fps", float, "N", "maximum frames a second to assess (default: 2)")
    option("--min-grade", str, "GRADE", "A to E; the exit code is 1 if a video has a lower grade (default: E)")
    option("--json", Path, "FILE", JSON_HELP.format(what="the verdicts"))
    option("--html", Path, "FILE", "write a page with timelines and the worst shots to this file (default: none)")
    option("--svg", Path, "FILE", "draw the timeline of a single video to this file (default: none)")
    option("--models", Path, "DIR", "folder of <name>/<version>/ (default: ./models, or the bundled one)")
    option("--model", str, "NAME", "model that assesses the quality (default: quality)")
    option("--people-model", str, "NAME", "model that finds people (default: the only one that makes masks)")
    command.add_argument(
        "--no-people", action="store_true", help="don't look for people, which is faster (default: off)"
    )


def run_assess(videos: list[Path], **options: Any) -> int:
    """Run `danmatte assess`.

    The exit code is 0 if every video is undamaged and good enough, 1 if one isn't, and 2 if one couldn't be assessed.
    """
    from danmatte.errors import InvalidParameterError
    from danmatte.models.standalone import open_version
    from danmatte.quality.assess import AssessOptions, assess_videos
    from danmatte.quality.judge import MODEL, Judge
    from danmatte.quality.pooling import GRADES, read_grade
    from danmatte.settings import Settings
    from danmatte.tracks.batch import list_videos

    least = read_grade(options.get("min_grade", GRADES[-1]))
    found = list_videos(videos)
    if "svg" in options and len(found) != 1:
        raise InvalidParameterError(f"--svg: expected one video, received {len(found)}")
    for flag in ("json", "html", "svg"):
        check_report(flag, options)
    wanted = AssessOptions(**{key: options[key] for key in ("fps",) if key in options})
    models = options.get("models", Settings().models_folder)
    judge = Judge.open(models, options.get("model", MODEL))
    masks = None if options.get("no_people") else open_version(models, options.get("people_model", ""), for_many=True)
    results = []
    for result in assess_videos(found, wanted, judge, masks):
        results.append(result)
        print(result.describe(), file=sys.stderr)
    _write(options, found, results)
    return max(choose_exit_code(result, least) for result in results)


def _write(options: dict[str, Any], videos: list[Path], results: "list[VideoQuality | FailedAssessment]") -> None:
    import msgspec

    from danmatte.errors import InvalidParameterError
    from danmatte.quality.assessment import FailedAssessment, VideoQuality
    from danmatte.quality.page import Thumbnails, list_worst, write_page
    from danmatte.quality.thumbnails import read_thumbnails
    from danmatte.quality.timeline import draw_timeline

    def show(video: Path, result: VideoQuality | FailedAssessment) -> Thumbnails:
        if isinstance(result, FailedAssessment):
            return {}
        return read_thumbnails(video, (shot.worst_ms for shot in list_worst(result)))

    try:
        if "json" in options:
            write_json(msgspec.to_builtins(results), options["json"])
        if "html" in options:
            pages = ((result, show(video, result)) for video, result in zip(videos, results, strict=True))
            write_text(write_page(pages), options["html"])
        if "svg" in options and isinstance(results[0], VideoQuality):
            write_text(draw_timeline(results[0]), options["svg"])
    except OSError as error:
        raise InvalidParameterError(f"{error.filename}: can't be written ({error.strerror})") from error


def check_report(flag: str, options: dict[str, Any]) -> None:
    """Raise InvalidParameterError if the file named by `--flag` can't be written; called before hours of work."""
    from danmatte.errors import InvalidParameterError

    if flag in options:
        try:
            check_place(options[flag])
        except OSError as error:
            raise InvalidParameterError(f"--{flag}: {options[flag]}: can't be written ({error.strerror})") from error


def choose_exit_code(result: "VideoQuality | FailedAssessment", least: "Grade") -> int:
    """Return 0 for an undamaged video that is good enough, 1 for another, and 2 for one that couldn't be assessed."""
    from danmatte.quality.assessment import FailedAssessment
    from danmatte.quality.pooling import is_below

    if isinstance(result, FailedAssessment):
        return 2
    return int(bool(result.broken) or is_below(result.grade, least))


def open_companion(models: Path, *, counts_people: bool) -> "Companion":
    """Open the model that assesses videos while their tracks are made; raises UnknownModelError and ModelError."""
    from danmatte.quality.companion import Companion
    from danmatte.quality.judge import Judge

    return Companion(Judge.open(models), counts_people=counts_people)


def assess_track(companion: "Companion", summary: "TrackSummary") -> str:
    """Write the verdict beside a track unless it already exists, and return a message about the outcome."""
    from danmatte.errors import ServiceError
    from danmatte.quality.companion import name_verdict, write_verdict
    from danmatte.tracks.batch import FailedTrack, FinishedTrack, KeptTrack

    verdict = name_verdict(Path(summary.track))
    if isinstance(summary, FailedTrack) or (isinstance(summary, KeptTrack) and verdict.exists()):
        companion.forget(Path(summary.video))
        return f"{summary.video}: {'not assessed' if isinstance(summary, FailedTrack) else f'{verdict} stays'}"
    whole = isinstance(summary, FinishedTrack) and summary.resumed_after_ms is None
    try:
        found = companion.conclude(Path(summary.video), Path(summary.track), whole=whole)
        write_verdict(found, verdict)
    except (ServiceError, OSError) as error:
        return f"{summary.video}: not assessed: {error}"
    return found.describe()
