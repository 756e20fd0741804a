"""Hostile inputs in parts: each run takes the next numbers, and the sum over all runs is stored.

The inputs are those of `tests/real/test_fuzz*.py`; a number always gives the same input. A part whose tests fail isn't
counted; pytest's output has the number that failed.
"""

import json
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from load.server import ROOT

# The test of each kind of input.
KINDS = {
    "pictures": "test_fuzz.py::test_no_picture_crashes_or_hangs_its_decoder",
    "requests": "test_fuzz.py::test_no_request_causes_a_server_error",
    "connections": "test_fuzz.py::test_no_raw_bytes_stop_the_server",
    "messages": "test_fuzz.py::test_no_live_message_ends_more_than_its_connection",
    "calls": "test_fuzz_grpc.py::test_no_grpc_message_causes_a_server_error",
    "tracks": "test_fuzz_tracks.py::test_a_mutated_track_is_read_or_refused",
}
TALLY = ROOT / "models/deeplab/measurements/service/fuzz.json"
_SIDE_BY_SIDE = 2
Part: TypeAlias = dict[str, Any]
"""A range of numbers of one kind of input: kind, first, inputs, outcomes."""


def run(options: Namespace) -> dict[str, Any]:
    """Run `inputs` more inputs and return the new sums.

    They are stored after every part, so an interrupted run loses at most one part.
    """
    tally = read_tally(options.json)
    wanted = count_inputs(tally["parts"]) + options.inputs
    first = options.first if options.first is not None else find_next(tally["parts"])
    while count_inputs(tally["parts"]) < wanted:
        found = run_part(first, options.step, options.kinds)
        check_new(tally["parts"], found)
        tally["parts"] = merge_parts(tally["parts"] + found)
        tally |= summarize(tally["parts"])
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(tally, indent=1) + "\n", encoding="utf-8")
        print(f"  numbers {first} to {first + options.step}: {tally['inputs']} inputs so far", flush=True)
        first += options.step
    return tally


def read_tally(path: Path) -> dict[str, Any]:
    """Return the stored sums; without a file, no parts."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {"parts": []}


def run_part(first: int, step: int, kinds: Sequence[str]) -> list[Part]:
    """Run the kinds' tests over `step` numbers, two at a time; return the parts. Raises SystemExit if one fails."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "parts"
        given = {"DANMATTE_FUZZ_FIRST": first, "DANMATTE_FUZZ_INPUTS": step, "DANMATTE_FUZZ_PARTS": lines}
        environment = os.environ | {name: str(value) for name, value in given.items()}
        tests = [f"{ROOT}/tests/real/{KINDS[kind]}" for kind in kinds]
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            done = list(pool.map(partial(run_tests, environment=environment), tests))
        failed = [each.stdout[-8000:] for each in done if each.returncode]
        if failed:
            raise SystemExit("\n".join([*failed, f"numbers {first} to {first + step}: failed"]))
        return [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]


def run_tests(test: str, *, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run one test; return its exit code and output."""
    flags = ["-q", "-m", "slow", "-p", "no:cacheprovider", "--timeout=7200"]
    command = [sys.executable, "-m", "pytest", *flags, test]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def find_next(parts: list[Part]) -> int:
    """Return the first number that isn't counted for any kind."""
    return max((part["first"] + part["reserved"] for part in parts), default=0)


def check_new(parts: list[Part], found: list[Part]) -> None:
    """Raise SystemExit if an input would be counted twice."""
    for new in found:
        for old in parts:
            apart = new["first"] >= old["first"] + old["reserved"] or old["first"] >= new["first"] + new["reserved"]
            if new["kind"] == old["kind"] and not apart:
                raise SystemExit(
                    f"{new['kind']}: numbers from {new['first']} are counted already; expected another --first"
                )


def merge_parts(parts: list[Part]) -> list[Part]:
    """Return the parts with adjacent ranges of a kind merged."""
    merged: list[Part] = []
    for part in sorted(parts, key=lambda part: (part["kind"], part["first"])):
        last = merged[-1] if merged else None
        if last and last["kind"] == part["kind"] and last["first"] + last["reserved"] == part["first"]:
            merged[-1] = {
                "kind": part["kind"],
                "first": last["first"],
                "reserved": last["reserved"] + part["reserved"],
                "inputs": last["inputs"] + part["inputs"],
                "outcomes": dict(sorted((Counter(last["outcomes"]) + Counter(part["outcomes"])).items())),
            }
        else:
            merged.append(part)
    return merged


def count_inputs(parts: list[Part]) -> int:
    """Return the number of inputs of all kinds."""
    return sum(part["inputs"] for part in parts)


def summarize(parts: list[Part]) -> dict[str, Any]:
    """Return the sums that papers show, and the current time."""
    kinds: Counter[str] = Counter()
    for part in parts:
        kinds[part["kind"]] += part["inputs"]
    return {"inputs": kinds.total(), "kinds": dict(kinds), "at": datetime.now(UTC).isoformat(timespec="seconds")}
