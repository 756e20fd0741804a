"""`danmatte library`: mask tracks of whole libraries of videos."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from danmatte.contract.command_line import JSON_HELP

if TYPE_CHECKING:
    from danmatte.library.executor import Executor
    from danmatte.library.inventory import Inventory
    from danmatte.library.library import Library

_TERMINATED = 143  # exit code of a program that SIGTERM ended, as shells report it


def add_library(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command and its flags."""
    command = add(
        "library",
        run_library,
        "make the mask tracks of a library of videos, or of one shard of it; existing tracks are kept",
        "danmatte library videos/ tracks/",
        "danmatte library videos/ tracks/ --shard 3/1000 --json results.jsonl",
        "danmatte library s3://bucket/videos s3://bucket/tracks --ray 10.0.0.7:6379",
    )

    def option(flag: str, kind: type, metavar: str, text: str) -> None:
        command.add_argument(flag, type=kind, metavar=metavar, help=text)

    command.add_argument("source", metavar="SOURCE", help="folder or URL of the videos, including all subfolders")
    command.add_argument("target", metavar="TARGET", help="folder or URL for the tracks")
    option("--shard", str, "I/N", "process only shard I of N, counted from 0 (default: 0/1, everything)")
    option("--max-attempts", int, "N", "failed attempts, over all runs, after which a video is abandoned (default: 3)")
    option("--split-mib", float, "N", "split videos larger than this at cuts; 0 disables splitting (default: 256)")
    option("--item-timeout-s", float, "N", "maximum seconds for a unit of work (default: 3600)")
    option("--stall-timeout-s", float, "N", "maximum seconds without a new frame (default: 120)")
    option("--ray", str, "ADDRESS", "run on the Ray cluster at HOST:PORT (default: on this machine)")
    option("--workers", int, "N", "videos processed at once on this machine (default: one for every two cores)")
    option("--format", str, "FORMAT", "track format, as a file extension such as webmask (default: mattes)")
    option("--size", str, "WIDTHxHEIGHT", "maximum size of the masks, which keep the video's shape (default: 320x180)")
    option("--fps", float, "N", "maximum masks a second (default: 30)")
    option("--clock", str, "CLOCK", "media for a player's times, file for the file's times (default: media)")
    option("--models", Path, "DIR", "folder of <name>/<version>/ (default: ./models, or the bundled one)")
    option("--model", str, "NAME", "model that makes the masks (default: the only one that makes masks)")
    option(
        "--region",
        str,
        "NAMES",
        "regions to mask, separated by commas, such as person,text, if the model finds them (default: the model's own)",
    )
    option("--margin", float, "SHARE", "margin around people, 0 to 0.05 of the height (default: 0)")
    command.add_argument(
        "--closer", action="store_true", help="add a second pass over people, for finer masks (default: off)"
    )
    command.add_argument("--raw", action="store_true", help="don't stabilise the masks over time (default: off)")
    command.add_argument(
        "--assess", action="store_true", help="also assess the videos' quality in the same pass (default: off)"
    )
    command.add_argument("--dry-run", action="store_true", help="report the work to do without doing it (default: off)")
    option(
        "--capacity",
        Path,
        "FILE",
        "file written by danmatte measure, to estimate time and cores in a dry run (default: none)",
    )
    option("--json", Path, "FILE", JSON_HELP.format(what="a line for each unit"))


def run_library(source: str, target: str, **options: Any) -> int:
    """Run `danmatte library`.

    The exit code is 0 if every video has a complete track, 1 if a video is broken or was abandoned, and 4 if a storage
    failed, so that some videos are left for another run.
    """
    import signal

    from danmatte.library.inventory import Inventory
    from danmatte.library.library import Shard
    from danmatte.models.standalone import find_version
    from danmatte.tracks.regions import RegionUnion

    library = _choose_library(source, target, options)
    manifest = find_version(library.models, library.model)
    RegionUnion(manifest, library.options.regions)  # report an unknown region once, not for every video
    inventory = Inventory(library, manifest, Shard.parse(options.get("shard", "0/1")))
    signal.signal(signal.SIGTERM, _leave)
    if options.get("dry_run"):
        return _estimate(inventory, options)
    return _run(inventory, manifest.version, options)


def _choose_library(source: str, target: str, options: dict[str, Any]) -> "Library":
    from danmatte.commands.track import choose_track_options
    from danmatte.library.judging import Judging
    from danmatte.library.library import Library
    from danmatte.settings import Settings

    if "split_mib" in options:
        options["split_bytes"] = round(options["split_mib"] * 2**20)
    limits = ("model", "split_bytes", "max_attempts", "item_timeout_s", "stall_timeout_s")
    chosen: dict[str, Any] = {key: options[key] for key in limits if key in options}
    if "format" in options:
        chosen["suffix"] = f".{options['format'].removeprefix('.')}"
    # The paths are absolute, because the nodes of a cluster have other working directories.
    models = options.get("models", Settings().models_folder).absolute()
    source, target = (place if "://" in place else str(Path(place).absolute()) for place in (source, target))
    if options.get("assess"):
        chosen["judging"] = Judging.choose(models)
    return Library(source, target, models, options=choose_track_options(options), **chosen)


def _estimate(inventory: "Inventory", options: dict[str, Any]) -> int:
    from danmatte.capacity.capacity import Capacity
    from danmatte.library.estimate import estimate
    from danmatte.library.summary import open_lines

    capacity = Capacity.read(options["capacity"]) if "capacity" in options else None
    with open_lines(options.get("json")) as write:
        told = estimate(inventory, capacity)
        write(told)
    print(told.describe(), file=sys.stderr if str(options.get("json")) == "-" else sys.stdout)
    return 0


def _run(inventory: "Inventory", version: int, options: dict[str, Any]) -> int:
    from contextlib import redirect_stdout

    from danmatte.library.progress import LibraryProgress
    from danmatte.library.run import run_units
    from danmatte.library.summary import LibrarySummary, open_lines

    totals, summary = inventory.count(), LibrarySummary()
    progress = LibraryProgress(totals)
    progress.say(f"{totals.units} units, {totals.kept} of them finished before")
    with open_lines(options.get("json")) as write, redirect_stdout(sys.stderr):  # Ray can't be kept from printing
        executor = _choose_executor(inventory.library, version, options)
        try:
            for result in run_units(inventory, executor, progress):
                summary.add(result)
                write(result)
                if result.exit_code:
                    progress.say(result.describe())
        finally:
            executor.close()
    progress.say(summary.describe())
    return summary.exit_code


def _choose_executor(library: "Library", version: int, options: dict[str, Any]) -> "Executor":
    if "ray" in options:
        from danmatte.library.cluster import RayExecutor

        return RayExecutor(library, version, options["ray"])
    from danmatte.library.executor import LocalExecutor, make_supervisors

    return LocalExecutor(make_supervisors(library, version, options.get("workers", 0)))


def _leave(*_: object) -> NoReturn:
    """Exit by an exception, as Python does for SIGINT, so that every `finally` block runs."""
    sys.exit(_TERMINATED)
