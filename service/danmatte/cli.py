"""`danmatte`: the service on the command line. Commands import what they need, so that help is instant."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from danmatte.commands.assess import add_assess
from danmatte.commands.library import add_library
from danmatte.commands.live import add_live
from danmatte.commands.track import add_convert, add_track
from danmatte.contract.command_line import JSON_HELP, CommandLine, run_to_end

Run = Callable[..., int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; 0 done, 2 wrong input, 3 an extra of danmatte isn't installed, 4 a storage doesn't answer.

    130 where it was interrupted.
    """
    from danmatte.errors import ServiceError

    options = vars(make_parser().parse(arguments))
    options.pop("command")
    run = options.pop("run")
    try:
        return run_to_end(lambda: int(run(**options)))
    except ServiceError as error:
        from danmatte.telemetry.log import flush

        flush()  # what led there comes first
        print(f"danmatte: {error}", file=sys.stderr)
        return error.exit_code


def make_parser() -> CommandLine:
    """The whole command line."""
    line = CommandLine("danmatte", "Person masks for video frames: over HTTP, and for whole videos.")

    def add(name: str, run: Run, description: str, *examples: str) -> argparse.ArgumentParser:
        # an option that isn't given leaves its default to the function that runs the command
        command = line.add(name, description, *examples, argument_default=argparse.SUPPRESS)
        command.set_defaults(run=run)
        return command

    _add_settings(
        add(
            "serve",
            run_serve,
            "serve a folder of published models",
            "danmatte serve",
            "danmatte serve --models models --port 9000 --workers 4",
        )
    )
    add_track(add)
    add_convert(add)
    add_live(add)
    _add_settings(
        add(
            "check-config",
            run_check_config,
            "print how `serve` would run, and whether it can",
            "danmatte check-config --settings danmatte.toml",
        )
    )
    health = add(
        "check-health",
        run_check_health,
        "ask a running server whether it takes posts; exit code 0 if so, 1 if not",
        "danmatte check-health --url http://127.0.0.1:8080",
    )
    health.add_argument(
        "--url", default="", help="the server's (default: the one that the environment's settings describe)"
    )
    add_library(add)
    add_assess(add)
    _add_measure(add)
    _add_plan(add)
    _add_small(add)
    return line


def _add_settings(command: argparse.ArgumentParser) -> None:
    """A flag for every setting; the environment's names are the same in capitals, after `DANMATTE_`."""
    from danmatte.settings import describe_settings, to_flag

    command.add_argument(
        "--settings", type=Path, metavar="FILE", help="TOML file with these (default: the variable DANMATTE_SETTINGS)"
    )
    for name, facts in describe_settings().items():
        words: dict[str, Any] = {"metavar": "N" if isinstance(facts.default, int | float) else "TEXT"}
        default = "empty" if facts.default == "" else str(facts.default)
        if isinstance(facts.default, bool):
            words, default = {"action": "store_const", "const": True}, "off"
        text = f"{facts.description} ({f'{facts.allowed}; ' if facts.allowed else ''}default: {default})"
        command.add_argument(to_flag(name), dest=name, help=text.replace("%", "%%"), **words)


def _add_small(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Commands that print, and serve nothing."""
    key = add("key", run_key, "make an API key, and print what to put into the file of keys", "danmatte key phone-app")
    key.add_argument("name", help="what the key is called in the file, in logs and quotas")
    key.add_argument("--key", default="", help="an existing key to describe, instead of a new one (default: a new one)")
    _add_token(
        add(
            "token",
            run_token,
            "sign a short-lived token with the API key in the variable DANMATTE_KEY, for a page that may not hold it",
            "danmatte token phone-app --scope live --seconds 300",
        )
    )
    add(
        "schema",
        run_schema,
        "print the JSON Schema of a published version's manifest",
        "danmatte schema > manifest.schema.json",
    )


def _add_token(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", help="what the key is called in the server's file")
    command.add_argument("--scope", default="mattes,live", help="what it may ask, with commas (default: mattes,live)")
    command.add_argument("--seconds", type=int, default=300, metavar="N", help="how long it counts (default: 300)")
    command.add_argument(
        "--subject",
        default="",
        help="who will use it, such as a viewer (default: nobody in particular)",
    )


def _add_measure(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add(
        "measure",
        run_measure,
        "measure what a worker serves on this machine, for `plan`; takes some minutes",
        "danmatte measure --out capacity.json",
        "danmatte measure --out capacity.json --frame jpeg:1280x720 --frames pictures/ --seconds 30",
    )
    command.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file to write")
    command.add_argument(
        "--settings", type=Path, metavar="FILE", help="the server's settings (default: the variable DANMATTE_SETTINGS)"
    )
    command.add_argument(
        "--models", type=Path, metavar="DIR", help="folder of <name>/<version>/ (default: ./models, or the bundled one)"
    )
    command.add_argument("--model", metavar="NAME", help="which of them (default: the only one that makes masks)")
    command.add_argument(
        "--frame",
        action="append",
        metavar="FORMAT:WIDTHxHEIGHT",
        help="a kind of frame, the first one with all cores busy; may be repeated (default: 720p JPEG and five others)",
    )
    command.add_argument("--frames", type=Path, metavar="DIR", help="pictures to post (default: the bundled one)")
    command.add_argument("--mask", metavar="WIDTHxHEIGHT", help="size of the masks (default: 320x180)")
    command.add_argument("--seconds", type=float, metavar="N", help="of each measurement (default: 10)")


def _add_plan(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add(
        "plan",
        run_plan,
        "say how many cores, pods and machines a load needs",
        "danmatte plan capacity.json --streams 1000 --fps 5 --jitter-ms 10 --p99-ms 100 --growth 1.3",
        "danmatte plan capacity.json --trace access.jsonl --svg curve.svg --helm-values values.yaml",
        "danmatte plan capacity.json --check http://127.0.0.1:8080",
    )

    def option(flag: str, kind: type, metavar: str, text: str) -> None:
        command.add_argument(flag, type=kind, metavar=metavar, help=text)

    command.add_argument("file", type=Path, metavar="CAPACITY", help="what `danmatte measure` wrote")
    option("--streams", int, "N", "live streams (default: none)")
    option("--fps", float, "N", "frames a second of each (default: 5)")
    option("--jitter-ms", float, "N", "standard deviation of a frame's arrival (default: 0)")
    option("--trace", Path, "FILE", "an access log in JSON lines, instead of --streams (default: none)")
    option("--frame", str, "FORMAT:WIDTHxHEIGHT", "a kind of frame that was measured (default: the first one)")
    option("--p99-ms", float, "N", "99 of 100 requests are answered within that (default: 100)")
    option("--refused-percent", float, "N", "most requests that may stay without an answer (default: 0.1)")
    option("--growth", float, "N", "factor by which the load may grow (default: 1)")
    option("--cores-per-machine", int, "N", "cores of a machine (default: 16)")
    option("--cores-per-pod", int, "N", "cores of a pod, which is one worker (default: as many as were measured)")
    option("--spare", int, "N", "machines that may fail (default: 1)")
    option("--hours-of-video", float, "N", "an archive to be masked at --fps (default: none)")
    option("--price-per-core-hour", float, "N", "for the cost a month (default: none)")
    option("--svg", Path, "FILE", "draw p99 over the load there (default: nowhere)")
    option("--helm-values", Path, "FILE", "write values for the Helm chart there (default: nowhere)")
    option("--json", Path, "FILE", JSON_HELP.format(what="the plan"))
    option("--check", str, "URL", "load the server there instead, predicted beside measured (default: none)")
    option("--frames", Path, "DIR", "pictures to post there (default: the bundled one)")
    option("--key-file", Path, "FILE", "its API key (default: none)")
    option("--seconds", float, "N", "of each load (default: 30)")


def run_serve(settings: Path | None = None, **flags: object) -> int:
    """`danmatte serve`: serves until SIGTERM or SIGINT."""
    import asyncio
    import os

    from danmatte.models.mounted import open_mounted
    from danmatte.preflight import check_extras
    from danmatte.settings import resolve_settings
    from danmatte.telemetry.log import log_to_errors, write_json_log
    from danmatte.workers import supervise

    log_to_errors()
    chosen = resolve_settings(settings, os.environ, flags).settings
    if chosen.log == "json":
        write_json_log("")
    check_extras(chosen)  # here, as a worker could only say that it can't start
    if chosen.workers > 1:
        with open_mounted(chosen) as mounted:
            asyncio.run(supervise(mounted))
    else:
        from danmatte.server import exit_in_time, serve

        with open_mounted(chosen) as mounted:
            asyncio.run(serve(mounted))
        exit_in_time()
    return 0


def run_check_config(settings: Path | None = None, **flags: object) -> int:
    """`danmatte check-config`: prints what serving would do."""
    import os

    from danmatte.preflight import check_settings
    from danmatte.settings import resolve_settings

    for line in check_settings(resolve_settings(settings, os.environ, flags)):
        print(line, flush=True)
    return 0


def run_check_health(url: str) -> int:
    """`danmatte check-health`: 0 where a server takes posts, otherwise 1."""
    import os

    from danmatte.probe import is_ready
    from danmatte.settings import resolve_settings

    return 0 if is_ready(resolve_settings(None, os.environ, {}).settings, url) else 1


def run_measure(out: Path, **options: Any) -> int:
    """`danmatte measure`: 0 when `out` is written."""
    from danmatte.capacity import commands

    return commands.run_measure(out, options)


def run_plan(file: Path, **options: Any) -> int:
    """`danmatte plan`: 0 when there is a plan, 2 when no number of machines is enough."""
    from danmatte.capacity import commands

    return commands.run_plan(file, options)


def run_key(name: str, key: str) -> int:
    """`danmatte key`: a new key on standard output, and the lines for the file of keys."""
    from danmatte.http.api_keys import make_key

    made, lines = make_key(name, key)
    print(f"# the key, shown only now; the server never has it: {made}\n{lines}", end="")
    return 0


def run_token(name: str, scope: str, seconds: int, subject: str) -> int:
    """`danmatte token`: signs with the key in the variable DANMATTE_KEY, which no list of processes shows."""
    import os

    from danmatte.errors import InvalidParameterError
    from danmatte.http.tokens import make_token

    key = os.environ.get("DANMATTE_KEY", "")
    if not key:
        raise InvalidParameterError("DANMATTE_KEY: expected the API key in this variable")
    print(make_token(key, name, subject=subject, scope=tuple(scope.split(",")), seconds=seconds))
    return 0


def run_schema() -> int:
    """`danmatte schema`: the contract's JSON Schema."""
    import json

    from danmatte.contract.manifest import describe_schema

    print(json.dumps(describe_schema(), indent=2))
    return 0
