"""The command line `danmatte`. Each command imports its libraries when it runs, so that `--help` is fast."""

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
    """Run a command and return its exit code.

    0 is success, 2 invalid input, 3 a missing optional extra, 4 a storage error, 130 an interrupt. Some commands
    also return 1, as their docstrings say.
    """
    from danmatte.errors import ServiceError

    options = vars(make_parser().parse(arguments))
    options.pop("command")
    run = options.pop("run")
    try:
        return run_to_end(lambda: int(run(**options)))
    except ServiceError as error:
        from danmatte.telemetry.log import flush

        flush()  # print the log lines that led to the error before the error itself
        print(f"danmatte: {error}", file=sys.stderr)
        return error.exit_code


def make_parser() -> CommandLine:
    """Build the parser of all commands."""
    line = CommandLine("danmatte", "Person masks for video frames: over HTTP, and for whole videos.")

    def add(name: str, run: Run, description: str, *examples: str) -> argparse.ArgumentParser:
        # without SUPPRESS, the parser's None would replace the default of the function that runs the command
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
        "check whether a running server is ready to serve; exit code 0 if it is, 1 if not",
        "danmatte check-health --url http://127.0.0.1:8080",
    )
    health.add_argument("--url", default="", help="URL of the server (default: from the settings in the environment)")
    add_library(add)
    add_assess(add)
    _add_measure(add)
    _add_plan(add)
    _add_small(add)
    return line


def _add_settings(command: argparse.ArgumentParser) -> None:
    """Add a flag for every setting."""
    from danmatte.settings import describe_settings, to_flag

    command.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="TOML file of settings (default: the one named by the variable DANMATTE_SETTINGS)",
    )
    for name, facts in describe_settings().items():
        words: dict[str, Any] = {"metavar": "N" if isinstance(facts.default, int | float) else "TEXT"}
        default = "empty" if facts.default == "" else str(facts.default)
        if isinstance(facts.default, bool):
            words, default = {"action": "store_const", "const": True}, "off"
        text = f"{facts.description} ({f'{facts.allowed}; ' if facts.allowed else ''}default: {default})"
        command.add_argument(to_flag(name), dest=name, help=text.replace("%", "%%"), **words)


def _add_small(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the small commands: key, token and schema."""
    key = add("key", run_key, "create an API key, and print its entry for the key file", "danmatte key phone-app")
    key.add_argument("name", help="name of the key in the key file, in logs and in quotas")
    key.add_argument("--key", default="", help="an existing key to print the entry for (default: a new key)")
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
        "print the JSON Schema of the manifest of a published version",
        "danmatte schema > manifest.schema.json",
    )


def _add_token(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", help="name of the key in the server's key file")
    command.add_argument(
        "--scope", default="mattes,live", help="allowed APIs, separated by commas (default: mattes,live)"
    )
    command.add_argument(
        "--seconds", type=int, default=300, metavar="N", help="seconds until the token expires (default: 300)"
    )
    command.add_argument(
        "--subject",
        default="",
        help="identifier of the token's user, such as a viewer's id (default: none)",
    )


def _add_measure(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add(
        "measure",
        run_measure,
        "measure the capacity of one worker on this machine, as input of `plan`; takes some minutes",
        "danmatte measure --out capacity.json",
        "danmatte measure --out capacity.json --frame jpeg:1280x720 --frames pictures/ --seconds 30",
    )
    command.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file to write")
    command.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="TOML file of the server's settings (default: the one named by the variable DANMATTE_SETTINGS)",
    )
    command.add_argument(
        "--models", type=Path, metavar="DIR", help="folder of <name>/<version>/ (default: ./models, or the bundled one)"
    )
    command.add_argument("--model", metavar="NAME", help="model to measure (default: the only one that makes masks)")
    command.add_argument(
        "--frame",
        action="append",
        metavar="FORMAT:WIDTHxHEIGHT",
        help="kind of frame to measure; may be repeated; the first is also measured with all cores busy (default: 720p "
        "JPEG and five others)",
    )
    command.add_argument("--frames", type=Path, metavar="DIR", help="pictures to send (default: the bundled one)")
    command.add_argument("--mask", metavar="WIDTHxHEIGHT", help="size of the masks (default: 320x180)")
    command.add_argument("--seconds", type=float, metavar="N", help="duration of each measurement (default: 10)")


def _add_plan(add: Callable[..., argparse.ArgumentParser]) -> None:
    command = add(
        "plan",
        run_plan,
        "calculate how many cores, pods and machines a load needs",
        "danmatte plan capacity.json --streams 1000 --fps 5 --jitter-ms 10 --p99-ms 100 --growth 1.3",
        "danmatte plan capacity.json --trace access.jsonl --svg curve.svg --helm-values values.yaml",
        "danmatte plan capacity.json --check http://127.0.0.1:8080",
    )

    def option(flag: str, kind: type, metavar: str, text: str) -> None:
        command.add_argument(flag, type=kind, metavar=metavar, help=text)

    command.add_argument("file", type=Path, metavar="CAPACITY", help="the file written by `danmatte measure`")
    option("--streams", int, "N", "number of live streams (default: none)")
    option("--fps", float, "N", "frames a second of each stream (default: 5)")
    option("--jitter-ms", float, "N", "standard deviation of frames' arrival times (default: 0)")
    option("--trace", Path, "FILE", "access log in JSON lines to use as the load instead of --streams (default: none)")
    option("--frame", str, "FORMAT:WIDTHxHEIGHT", "one of the measured kinds of frames (default: the first one)")
    option("--p99-ms", float, "N", "maximum 99th percentile of the latency (default: 100)")
    option("--refused-percent", float, "N", "maximum share of requests that may be refused (default: 0.1)")
    option("--growth", float, "N", "factor by which the load may grow (default: 1)")
    option("--cores-per-machine", int, "N", "cores of a machine (default: 16)")
    option("--cores-per-pod", int, "N", "cores of a pod, which runs one worker (default: as many as were measured)")
    option("--spare", int, "N", "number of machines that may fail (default: 1)")
    option("--hours-of-video", float, "N", "hours of archived video to process at --fps (default: none)")
    option("--price-per-core-hour", float, "N", "price used for the monthly cost (default: none)")
    option("--svg", Path, "FILE", "draw p99 over the load to this file (default: none)")
    option("--helm-values", Path, "FILE", "write values of the Helm chart to this file (default: none)")
    option("--json", Path, "FILE", JSON_HELP.format(what="the plan"))
    option("--check", str, "URL", "load this server, and compare the prediction with the measurement (default: none)")
    option("--frames", Path, "DIR", "pictures to send with --check (default: the bundled one)")
    option("--key-file", Path, "FILE", "file with the API key for --check (default: none)")
    option("--seconds", float, "N", "duration of each load with --check (default: 30)")


def run_serve(settings: Path | None = None, **flags: object) -> int:
    """Run `danmatte serve`: serve until SIGTERM or SIGINT."""
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
    check_extras(chosen)  # here, because a worker's error would lose its exit code 3
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
    """Run `danmatte check-config`: print the resolved settings and the models, or raise what would stop the server."""
    import os

    from danmatte.preflight import check_settings
    from danmatte.settings import resolve_settings

    for line in check_settings(resolve_settings(settings, os.environ, flags)):
        print(line, flush=True)
    return 0


def run_check_health(url: str) -> int:
    """Run `danmatte check-health`; the exit code is 0 if the server is ready, otherwise 1."""
    import os

    from danmatte.probe import is_ready
    from danmatte.settings import resolve_settings

    return 0 if is_ready(resolve_settings(None, os.environ, {}).settings, url) else 1


def run_measure(out: Path, **options: Any) -> int:
    """Run `danmatte measure`, which writes `out`."""
    from danmatte.capacity import commands

    return commands.run_measure(out, options)


def run_plan(file: Path, **options: Any) -> int:
    """Run `danmatte plan`; the exit code is 2 if no number of machines is enough."""
    from danmatte.capacity import commands

    return commands.run_plan(file, options)


def run_key(name: str, key: str) -> int:
    """Run `danmatte key`: print a new API key and its entry for the key file."""
    from danmatte.http.api_keys import make_key

    made, lines = make_key(name, key)
    print(f"# the key, shown only once; the server stores its digest only: {made}\n{lines}", end="")
    return 0


def run_token(name: str, scope: str, seconds: int, subject: str) -> int:
    """Run `danmatte token`.

    The key comes from the variable DANMATTE_KEY, because command-line arguments are visible in process lists.
    """
    import os

    from danmatte.errors import InvalidParameterError
    from danmatte.http.tokens import make_token

    key = os.environ.get("DANMATTE_KEY", "")
    if not key:
        raise InvalidParameterError("DANMATTE_KEY: expected the API key in this environment variable")
    print(make_token(key, name, subject=subject, scope=tuple(scope.split(",")), seconds=seconds))
    return 0


def run_schema() -> int:
    """Run `danmatte schema`: print the JSON Schema of manifests."""
    import json

    from danmatte.contract.manifest import describe_schema

    print(json.dumps(describe_schema(), indent=2))
    return 0
