"""`danmatte track` and `danmatte convert`: the tracks of whole videos, and their formats."""

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
    """The command and its flags."""
    command = add(
        "track",
        run_track,
        "make the mask tracks of whole videos",
        "danmatte track video.mp4 -o video.mattes",
        "danmatte track videos/ -o tracks/ --format webmask --size 320x180 --json summary.json",
    )
    command.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="a video, or a folder of them")
    command.add_argument("-o", "--out", required=True, type=Path, help="the track, or a folder for them")
    command.add_argument("--format", help="as a track's name ends, webmask say (default: as OUT is called, or mattes)")
    command.add_argument(
        "--size", metavar="WIDTHxHEIGHT", help="of the masks: the largest that fits into it (default: 320x180)"
    )
    command.add_argument("--fps", type=float, metavar="N", help="most masks a second (default: 30)")
    command.add_argument(
        "--clock", metavar="CLOCK", help="times of a player, or of the file: media or file (default: media)"
    )
    command.add_argument(
        "--models", type=Path, metavar="DIR", help="folder of <name>/<version>/ (default: ./models, or the bundled one)"
    )
    command.add_argument("--model", metavar="NAME", help="which of them (default: the only one that makes masks)")
    command.add_argument(
        "--region",
        metavar="NAMES",
        help="what is painted, such as person,text, where the model finds it (default: its own)",
    )
    command.add_argument(
        "--closer", action="store_true", help="look at people twice: finer masks, slower (default: off)"
    )
    command.add_argument(
        "--margin",
        type=float,
        metavar="SHARE",
        help="distance of comments from people, 0 to 0.05 of the height (default: 0)",
    )
    command.add_argument(
        "--raw", action="store_true", help="masks as the network gives them, not stabilised (default: off)"
    )
    command.add_argument("--again", action="store_true", help="make tracks anew that are there already (default: off)")
    command.add_argument(
        "--assess",
        action="store_true",
        help="judge the videos' quality in the same pass, into NAME.quality.json beside each track (default: off)",
    )
    command.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP.format(what="the summaries"))


def add_convert(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The command and its flags."""
    command = add(
        "convert",
        run_convert,
        "turn a mask track into another format, as the names end",
        "danmatte convert video.mattes video.webmask",
        "danmatte convert video.mattes hls/masks.m3u8 --multivariant hls/video.m3u8",
    )
    command.add_argument("source", type=Path, metavar="IN", help="the track, of any format")
    command.add_argument("target", type=Path, metavar="OUT", help="where it goes, and its format by the name's end")
    command.add_argument(
        "--multivariant",
        type=Path,
        metavar="FILE",
        help="a playlist of HLS that is to name OUT, an .m3u8 (default: none)",
    )


def run_track(videos: list[Path], out: Path, **options: Any) -> int:
    """`danmatte track`: 0 when every track is whole, 1 when frames were lost, 2 when a video has no track at all."""
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
    RegionUnion(served.manifest, wanted.regions)  # what it can't paint is said once, not by every video
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
    """What flags ask for, of all that decides masks; raises InvalidParameterError."""
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
    """A size that a command line gives; raises InvalidParameterError."""
    from danmatte.errors import InvalidParameterError

    try:
        return parse_size(text)
    except ValueError as error:
        raise InvalidParameterError(str(error)) from error


def parse_names(text: str) -> tuple[str, ...]:
    """Names that a command line gives, joined by commas; each once."""
    return tuple(dict.fromkeys(filter(None, text.split(","))))


def run_convert(source: Path, target: Path, multivariant: Path | None = None) -> int:
    """`danmatte convert`: the same masks in another format."""
    from danmatte.tracks.writer import convert_track

    if target.suffix == ".m3u8":
        from danmatte.broadcast.commands import convert_to_rendition

        print(f"{target}: {convert_to_rendition(source, target, multivariant)} masks")
        return 0
    print(f"{target}: {convert_track(source, target)} masks")
    return 0
