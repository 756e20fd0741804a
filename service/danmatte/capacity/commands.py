"""The commands `danmatte measure` and `danmatte plan`."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from danmatte.capacity.arrivals import PATTERNS, Streams, read_trace
from danmatte.capacity.capacity import Capacity, FrameKind
from danmatte.capacity.check import CheckOptions, Comparison, check
from danmatte.capacity.demand import Demand, StreamDemand, TraceDemand
from danmatte.capacity.frames import make_bodies
from danmatte.capacity.load import Target, post_once
from danmatte.capacity.measure import KINDS, PLAYERS_MASK, MeasureOptions, make_target, measure
from danmatte.capacity.plan import Cluster, Plan, Requirement, make_plan
from danmatte.capacity.render import draw_svg, write_comparison, write_helm_values, write_text
from danmatte.contract.command_line import check_place, parse_size, write_json
from danmatte.errors import InvalidParameterError
from danmatte.settings import resolve_settings

_HOURS_A_MONTH = 730
_LONGEST_LOOP_S = 300.0


def run_measure(out: Path, options: Mapping[str, Any]) -> int:
    """Run `danmatte measure`, which takes some minutes, and write the results to `out`."""
    flags = {name: options[name] for name in ("models", "model") if name in options}
    flags = {name: str(value) for name, value in flags.items()}
    settings = resolve_settings(options.get("settings"), os.environ, flags).settings
    # stated explicitly, because the server is started in another environment and might choose another folder
    settings = msgspec.structs.replace(settings, models=str(settings.models_folder))
    seconds = options.get("seconds", MeasureOptions.seconds)
    _check_range("--seconds", seconds, 1, _LONGEST_LOOP_S)
    kinds = tuple(FrameKind.parse(kind) for kind in options.get("frame", KINDS))
    try:
        mask = parse_size(options["mask"]) if "mask" in options else PLAYERS_MASK
    except ValueError as error:
        raise InvalidParameterError(f"--mask: {error}") from error
    try:
        check_place(out)  # before measuring for minutes
    except OSError as error:
        raise InvalidParameterError(f"{out}: can't be written ({error.strerror})") from error
    wanted = MeasureOptions(settings, kinds, options.get("frames"), mask, seconds)
    found = measure(wanted, lambda line: print(line, file=sys.stderr, flush=True))
    _write(msgspec.to_builtins(found), out)
    return 0


def run_plan(file: Path, options: Mapping[str, Any]) -> int:
    """Run `danmatte plan`: print the plan, or with `check` a comparison of its predictions with a running server."""
    capacity = Capacity.read(file)
    frame = FrameKind.parse(options["frame"]) if "frame" in options else None
    streams = _read_streams(options)
    if "check" in options:
        return _check_server(capacity, streams or Streams(1, 5.0), frame, options)
    demand: Demand
    if "trace" in options:
        demand = TraceDemand(read_trace(options["trace"]))
    elif streams:
        demand = StreamDemand(streams)
    else:
        raise InvalidParameterError("expected --streams or --trace, received neither")
    plan = add_costs(_make(capacity, demand, frame, options), capacity, frame, options)
    for line in write_text(plan):
        print(line)
    for name, text in (("svg", draw_svg), ("helm_values", write_helm_values)):
        if name in options:
            try:
                options[name].write_text(text(plan), encoding="utf-8")
            except OSError as error:
                raise InvalidParameterError(f"{options[name]}: can't be written ({error.strerror})") from error
    if "json" in options:
        _write(msgspec.json.decode(msgspec.json.encode(plan)), options["json"])
    return 0


def add_costs(plan: Plan, capacity: Capacity, frame: FrameKind | None, options: Mapping[str, Any]) -> Plan:
    """Return the plan with the cost per month and the core-hours of an archive, if a price or hours are given.

    The masks of an archive are assumed to cost as much as posted frames of this kind. That is an upper bound, because
    `danmatte track` reuses a mask while nothing moves.
    """
    changes: dict[str, float] = {}
    if "price_per_core_hour" in options:
        changes["cost_a_month"] = plan.cores * options["price_per_core_hour"] * _HOURS_A_MONTH
    if "hours_of_video" in options:
        per_core_s = capacity.model_worker(plan.cores_per_pod, frame).per_s / plan.cores_per_pod
        changes["video_core_hours"] = options["hours_of_video"] * options.get("fps", 5.0) / per_core_s
    return msgspec.structs.replace(plan, **changes) if changes else plan


def _make(capacity: Capacity, demand: Demand, frame: FrameKind | None, options: Mapping[str, Any]) -> Plan:
    numbers = {
        "cores_per_machine": (16, 1, 4096),
        "cores_per_pod": (0, 0, 4096),
        "spare": (1, 0, 1000),
        "growth": (1.0, 0.01, 1000),
        "p99_ms": (100.0, 0.1, 3.6e6),
        "refused_percent": (0.1, 0, 100),
        "price_per_core_hour": (0, 0, 1e6),
        "hours_of_video": (0, 0, 1e9),
    }
    values = {name: options.get(name, default) for name, (default, _, _) in numbers.items()}
    for name, (_, low, high) in numbers.items():
        _check_range(f"--{name.replace('_', '-')}", values[name], low, high)
    requirement = Requirement(values["p99_ms"] / 1e3, values["refused_percent"] / 100)
    cluster = Cluster(*(values[name] for name in ("cores_per_machine", "cores_per_pod", "spare", "growth")))
    return make_plan(capacity, demand, requirement, cluster, frame)


def _read_streams(options: Mapping[str, Any]) -> Streams | None:
    fps, jitter_ms = options.get("fps", 5.0), options.get("jitter_ms", 0.0)
    _check_range("--fps", fps, 0.01, 1000)
    _check_range("--jitter-ms", jitter_ms, 0, 1e5)
    if "streams" not in options:
        return None
    _check_range("--streams", options["streams"], 1, 10_000_000)
    return Streams(options["streams"], fps, "jitter" if jitter_ms else "periodic", jitter_ms / 1e3)


def _check_server(capacity: Capacity, streams: Streams, frame: FrameKind | None, options: Mapping[str, Any]) -> int:
    seconds = options.get("seconds", CheckOptions.seconds)
    _check_range("--seconds", seconds, 1, _LONGEST_LOOP_S)
    kind = frame or capacity.frame
    mask = parse_size(capacity.mask)
    target = make_target(options["check"], kind, mask, make_bodies(kind, options.get("frames")))
    if "key_file" in options:
        try:
            key = options["key_file"].read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise InvalidParameterError(
                f"{options['key_file']}: expected a readable file with a key: {error}"
            ) from error
        target = Target(target.url, target.bodies, {**target.headers, "Authorization": f"Bearer {key}"})
    _check_answer(options["check"], target)
    worker = capacity.model_worker(options.get("cores_per_pod") or capacity.cores[-1], frame)
    patterns = PATTERNS if streams.jitter_s else ("periodic", "poisson")
    found: list[Comparison] = []
    for comparison in check(
        worker, target, streams, CheckOptions(seconds, patterns), lambda line: print(line, file=sys.stderr, flush=True)
    ):
        print(write_comparison(comparison), flush=True)
        found.append(comparison)
    if "json" in options:
        _write(msgspec.json.decode(msgspec.json.encode(found)), options["json"])
    return 0


def _check_answer(url: str, target: Target) -> None:
    """Raise InvalidParameterError if the server returns no masks, instead of measuring its errors for minutes."""
    status = asyncio.run(post_once(target)).status
    if status in (200, 429, 503):  # 429 and 503: the server is busy, which the check measures
        return
    hint = "; --key-file takes its API key" if status == 401 else ""
    raise InvalidParameterError(
        f"--check: {url}: expected a mask, received {f'status {status}' if status else 'no answer'}{hint}"
    )


def _check_range(flag: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also False for NaN
        raise InvalidParameterError(f"{flag}: expected {low:g} to {high:g}, received {value:g}")


def _write(content: object, target: Path) -> None:
    try:
        write_json(content, target)
    except OSError as error:
        raise InvalidParameterError(f"{target}: can't be written ({error.strerror})") from error
