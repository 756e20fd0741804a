"""The parts of `scripts/bench service`, and their common options."""

import argparse
import importlib
from argparse import Namespace
from pathlib import Path
from typing import Any

from load.fuzz import KINDS, TALLY

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "workbench/danmatte_workbench/samples"
PARTS = {
    "fuzz": "hostile inputs, which every run adds to the stored sum",
    "soak": "a long run of posts: losses, speed, memory",
    "cost": "CPU time of a frame compared with its parts alone, V2 compared with benchmark_app",
    "scaling": "two cores compared with one",
    "overload": "load of 200 percent of the capacity compared with 80 percent",
    "swaps": "versions swapped under full load",
    "leavers": "half of the callers disconnect at a random moment",
    "workers": "kill -9 of workers, and SIGTERM, under load",
    "plan": "predictions of `danmatte plan` compared with measurements, in rounds that every run adds to --json",
    "clients": "common clients, unmodified, in one run, with their versions",
    "peers": "comparison with FastAPI and LitServe",
}


def add_service(parser: argparse.ArgumentParser) -> None:
    """Add the options: which part, on which frames, and how long."""
    told = "; ".join(f"{name}: {says}" for name, says in PARTS.items())
    parser.add_argument("--part", choices=PARTS, default="soak", help=told)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--model", default="deeplab")
    parser.add_argument(
        "--frames", type=Path, default=SAMPLES, help="folder of JPEG pictures, which are resized to 720p"
    )
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60, help="duration of each phase")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of parts that compare sides in turn")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of every frame for the parts alone (cost)")
    parser.add_argument("--posts", type=int, default=10_000, help="number of posts (soak)")
    parser.add_argument("--toy", action="store_true", help="use a graph that only averages brightness (soak)")
    parser.add_argument("--frame-height", type=int, default=720, help="height of 16:9 frames, in pixels (soak)")
    parser.add_argument("--inputs", type=int, default=50_000, help="number of further inputs of all kinds (fuzz)")
    parser.add_argument("--step", type=int, default=2000, help="numbers of a part (fuzz)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="kinds of inputs (fuzz)")
    parser.add_argument("--first", type=int, help="first number; by default the next new one (fuzz)")
    parser.add_argument("--swaps", type=int, default=50)
    parser.add_argument("--pause-s", type=float, default=1.0, help="pause between swaps")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument(
        "--json", type=Path, help="by default build/bench/service-PART.json; fuzz adds to its stored sum"
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> dict[str, Any]:
    """Run the part and return its figures."""
    stored = TALLY if options.part == "fuzz" else ROOT / f"build/bench/service-{options.part}.json"
    options.json = options.json or stored
    options.models = options.models.resolve()
    print(f"{options.part}: {PARTS[options.part]}")
    facts: dict[str, Any] = importlib.import_module(f"load.{options.part}").run(options)
    return {"part": options.part, **facts}
