"""`danmatte`: the service on the command line. Commands import what they need, so that help is instant."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; 0 when done, 2 when it can't be done like this."""
    from danmatte.errors import ServiceError

    options = vars(_parser().parse_args(arguments))
    options.pop("command")
    try:
        return int(options.pop("run")(**options))
    except ServiceError as error:
        from danmatte.telemetry.log import flush

        flush()  # what led there comes first
        print(f"danmatte: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="danmatte", description="Person masks for video frames, over HTTP.")
    commands = parser.add_subparsers(dest="command", required=True)
    _command(commands, "serve", _serve, "serve a folder of published models", settings=True)
    _command(commands, "check-config", _check_config, "say how `serve` would run, and whether it can", settings=True)
    health = _command(commands, "check-health", _check_health, "ask a running server whether it takes posts")
    health.add_argument(
        "--url", default="", help="the server's; the one that the environment's settings describe if none"
    )
    _add_track(_command(commands, "track", _track, "make the mask tracks of whole videos"))
    convert = _command(commands, "convert", _convert, "turn a mask track into another format, as the names end")
    convert.add_argument("source", type=Path, metavar="IN", help="the track, .mattes or .webmask")
    convert.add_argument("target", type=Path, metavar="OUT", help="where it goes, and its format by the name's end")
    _command(commands, "schema", _schema, "print the JSON Schema of a published version's manifest")
    return parser


def _command(commands: Any, name: str, run: Any, says: str, *, settings: bool = False) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=says, argument_default=argparse.SUPPRESS)
    command.set_defaults(run=run)
    if settings:
        _add_settings(command)
    return command


def _add_settings(command: argparse.ArgumentParser) -> None:
    """A flag for every setting."""
    from danmatte.settings import described, flag

    command.add_argument("--settings", type=Path, metavar="FILE", help="TOML with these")
    for name, (says, default) in described().items():
        words: dict[str, Any] = {"action": "store_const", "const": True} if default is False else {"metavar": "…"}
        command.add_argument(flag(name), dest=name, help=says.replace("%", "%%"), **words)


def _add_track(command: argparse.ArgumentParser) -> None:
    command.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="a video, or a folder of them")
    command.add_argument("-o", "--out", required=True, type=Path, help="the track, or a folder for them")
    command.add_argument("--format", help="mattes or webmask; as OUT is called, or mattes, unless given")
    command.add_argument("--size", metavar="WxH", help="of the masks: what fits in here; 320x180 unless given")
    command.add_argument("--fps", type=float, help="masks a second, at most the video's frames; 30 unless given")
    command.add_argument("--models", type=Path, metavar="DIR", help="folder of <name>/<version>/")
    command.add_argument("--model", metavar="NAME", help="the only one unless given")
    command.add_argument("--closer", action="store_true", help="look at people twice: finer masks, slower")
    command.add_argument("--raw", action="store_true", help="masks as the network gives them, not stabilised")
    command.add_argument("--again", action="store_true", help="make tracks anew that are there already")
    command.add_argument("--json", action="store_true", help="print the summaries as JSON")


def _serve(settings: Path | None = None, **flags: object) -> int:
    import asyncio
    import os

    from danmatte.settings import configured
    from danmatte.telemetry.log import log_to_errors
    from danmatte.workers import supervise

    log_to_errors()
    chosen = configured(settings, os.environ, flags).settings
    if chosen.workers > 1:
        asyncio.run(supervise(chosen))
    else:
        from danmatte.app import serve

        asyncio.run(serve(chosen))
    return 0


def _check_config(settings: Path | None = None, **flags: object) -> int:
    import os

    from danmatte.preflight import rehearse
    from danmatte.settings import configured

    for line in rehearse(configured(settings, os.environ, flags)):
        print(line, flush=True)
    return 0


def _check_health(url: str) -> int:
    import os

    from danmatte.preflight import is_ready
    from danmatte.settings import configured

    return 0 if is_ready(configured(None, os.environ, {}).settings, url) else 1


def _track(videos: list[Path], out: Path, **options: Any) -> int:
    import json

    import msgspec

    from danmatte.settings import Settings
    from danmatte.tracks import batch

    chosen: dict[str, Any] = {key: options[key] for key in ("fps", "raw", "again", "closer") if key in options}
    if "size" in options:
        chosen["box"] = batch.parse_size(options["size"])
    wanted = batch.TrackOptions(**chosen)
    jobs = batch.plan_jobs(videos, out, options.get("format", ""))
    served = batch.open_model(options.get("models", Settings().models_folder), options.get("model", ""))
    summaries = []
    for summary in batch.make_tracks(jobs, wanted, served):
        summaries.append(summary)
        print(summary.describe(), file=sys.stderr)
    if "json" in options:
        print(json.dumps(msgspec.to_builtins(summaries), indent=1))
    return batch.choose_exit_code(summaries)


def _convert(source: Path, target: Path) -> int:
    from danmatte.tracks.writer import convert_track

    print(f"{target}: {convert_track(source, target)} masks")
    return 0


def _schema() -> int:
    import json

    from danmatte.contract.manifest import describe_schema

    print(json.dumps(describe_schema(), indent=2))
    return 0
