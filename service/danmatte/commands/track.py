"""`danmatte track` and `danmatte convert`: mask tracks of whole videos, and conversion between their formats."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danmatte.contract.command_line import JSON_HELP, parse_size, write_json

if TYPE_CHECKING:
    from danmatte.frame import Size
    from danmatte.tracks.batch import TrackOptions


def add_track(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command and its flags."""
    command = add(
        "track",
        run_track,
        "make the mask tracks of whole videos",
        "danmatte track video.mp4 -o video.mattes",
        "danmatte track videos/ -o tracks/ --format webmask --size 320x180 --json summary.json",
    )
    command.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="a video, or a folder of them")
    command.add_argument(
        "-o", "--out", required=True, type=Path, help="file of the track, or a folder for several tracks"
    )
    command.add_argument(
        "--format", help="track format, as a file extension such as webmask (default: that of OUT, or mattes)"
    )
    command.add_argument(
        "--size",
        metavar="WIDTHxHEIGHT",
        help="maximum size of the masks, which keep the video's shape (default: 320x180)",
    )
    command.add_argument("--fps", type=float, metavar="N", help="maximum masks a second (default: 30)")
    command.add_argument(
        "--clock", metavar="CLOCK", help="media for a player's times, file for the file's times (default: media)"
    )
    command.add_argument(
        "--models", type=Path, metavar="DIR", help="folder of <name>/<version>/ (default: ./models, or the bundled one)"
    )
    command.add_argument(
        "--model", metavar="NAME", help="model that makes the masks (default: the only one that makes masks)"
    )
    command.add_argument(
        "--region",
        metavar="NAMES",
        help="regions to mask, separated by commas, such as person,text, if the model finds them "
        "(default: the model's own)",
    )
    command.add_argument(
        "--closer",
        action="store_true",
        help="add a second pass over people, for finer masks, which is slower (default: off)",
    )
    command.add_argument(
        "--margin",
        type=float,
        metavar="SHARE",
        help="margin around people, 0 to 0.05 of the height (default: 0)",
    )
    command.add_argument("--raw", action="store_true", help="don't stabilise the masks over time (default: off)")
    command.add_argument("--again", action="store_true", help="make existing tracks again (default: off)")
    command.add_argument(
        "--assess",
        action="store_true",
        help="also assess the videos' quality in the same pass, to NAME.quality.json beside each track (default: off)",
    )
    command.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP.format(what="the summaries"))


def add_convert(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command and its flags."""
    command = add(
        "convert",
        run_convert,
        "convert a mask track to another format; the file extensions choose the formats",
        "danmatte convert video.mattes video.webmask",
        "danmatte convert video.mattes hls/masks.m3u8 --multivariant hls/video.m3u8",
    )
    command.add_argument("source", type=Path, metavar="IN", help="the track, in any format")
    command.add_argument("target", type=Path, metavar="OUT", help="the new track; its extension chooses the format")
    command.add_argument(
        "--multivariant",
        type=Path,
        metavar="FILE",
        help="HLS multivariant playlist to add OUT to, if that is an .m3u8 (default: none)",
    )


def run_track(videos: list[Path], out: Path, **options: Any) -> int:
    """Run `danmatte track`.

    The exit code is 0 if every track is complete, 1 if frames are missing, and 2 if a video has no track at all.
    """
    import msgspec

    from danmatte.commands.assess import assess_track, check_report, open_companion
    from danmatte.errors import InvalidParameterError
    from danmatte.models.standalone import open_version
    from danmatte.settings import Settings
    from danmatte.tracks import batch
    from danmatte.tracks.regions import RegionUnion
    from danmatte.tracks.together import make_tracks

    wanted = choose_track_options(options)
    check_report("json", options)
    jobs = batch.plan_jobs(videos, out, options.get("format", ""))
    models = options.get("models", Settings().models_folder)
    served = open_version(models, options.get("model", ""), for_many=True)
    RegionUnion(served.manifest, wanted.regions)  # report an unknown region once, not for every video
    companion = open_companion(models, counts_people="region" not in options) if options.get("assess") else None
    summaries, verdicts = list[batch.TrackSummary](), dict[str, str]()

    def conclude(summary: batch.TrackSummary) -> None:
        if companion:
            verdicts[summary.track] = assess_track(companion, summary)

    for summary in make_tracks(jobs, wanted, served, companion.watch if companion else None, conclude=conclude):
        summaries.append(summary)
        print(summary.describe(), file=sys.stderr)
        if companion:
            print(verdicts.pop(summary.track), file=sys.stderr)
    if "json" in options:
        try:
            write_json(msgspec.to_builtins(summaries), options["json"])
        except OSError as error:
            raise InvalidParameterError(f"--json: {options['json']}: can't be written ({error.strerror})") from error
    return batch.choose_exit_code(summaries)


def choose_track_options(options: Mapping[str, Any]) -> "TrackOptions":
    """Build the options that determine the masks from the flags; raises InvalidParameterError."""
    from danmatte.tracks.batch import TrackOptions

    chosen: dict[str, Any] = {
        key: options[key] for key in ("fps", "clock", "raw", "again", "closer", "margin") if key in options
    }
    if "size" in options:
        chosen["box"] = parse_box(options["size"])
    if "region" in options:
        chosen["regions"] = parse_names(options["region"])
    return TrackOptions(**chosen)


def parse_box(text: str) -> "Size":
    """Parse a size from the command line; raises InvalidParameterError."""
    from danmatte.errors import InvalidParameterError

    try:
        return parse_size(text)
    except ValueError as error:
        raise InvalidParameterError(str(error)) from error


def parse_names(text: str) -> tuple[str, ...]:
    """Parse names separated by commas; duplicates are removed."""
    return tuple(dict.fromkeys(filter(None, text.split(","))))


def run_convert(source: Path, target: Path, multivariant: Path | None = None) -> int:
    """Run `danmatte convert`, which writes the same masks in another format."""
    from danmatte.tracks.writer import convert_track

    if target.suffix == ".m3u8":
        from danmatte.broadcast.commands import convert_to_rendition

        print(f"{target}: {convert_to_rendition(source, target, multivariant)} masks")
        return 0
    print(f"{target}: {convert_track(source, target)} masks")
    return 0
