"""The parts of `scripts/bench service`, and what all of them can be told."""

import argparse
import importlib
from argparse import Namespace
from pathlib import Path
from typing import Any

from load.fuzz import KINDS, TALLY

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "workbench/danmatte_workbench/samples"
PARTS = {
    "fuzz": "hostile inputs, more with every run; the tally adds up",
    "soak": "very many posts: losses, speed, memory",
    "cost": "CPU seconds a frame against its parts alone, V2 against benchmark_app",
    "scaling": "one core against two",
    "overload": "twice the capacity against 80 percent of it",
    "swaps": "versions swapped under full load",
    "leavers": "half of the callers leave at a random moment",
    "workers": "kill -9 of workers, and SIGTERM, under load",
    "plan": "what `danmatte plan` predicts beside what the service does; rounds of a few minutes add up in --json",
    "clients": "clients that people have, unmodified, all in one run, with their versions",
    "peers": "side by side with FastAPI and LitServe",
}


def add_service(parser: argparse.ArgumentParser) -> None:
    """Which part, on what, and for how long."""
    told = "; ".join(f"{name}: {says}" for name, says in PARTS.items())
    parser.add_argument("--part", choices=PARTS, default="soak", help=told)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--model", default="deeplab")
    parser.add_argument("--frames", type=Path, default=SAMPLES, help="a folder of JPEG pictures, made 720p")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60, help="of each phase")
    parser.add_argument("--rounds", type=int, default=9, help="of those parts that take turns")
    parser.add_argument("--repeats", type=int, default=3, help="of every frame, where parts are measured alone")
    parser.add_argument("--posts", type=int, default=10_000, help="of the soak")
    parser.add_argument("--toy", action="store_true", help="soak a graph that only averages brightness")
    parser.add_argument("--frame-height", type=int, default=720, help="of the soak, in pixels, 16:9")
    parser.add_argument("--inputs", type=int, default=50_000, help="of the fuzz: how many more, of all kinds together")
    parser.add_argument("--step", type=int, default=2000, help="of the fuzz: numbers of a part")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="of the fuzz's inputs")
    parser.add_argument("--first", type=int, help="of the fuzz: the first number; the next that is new unless given")
    parser.add_argument("--swaps", type=int, default=50)
    parser.add_argument("--pause-s", type=float, default=1.0, help="between swaps")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--json", type=Path, help="build/bench/service-PART.json unless given; fuzz adds to its tally")
    parser.set_defaults(run=run)


def run(options: Namespace) -> dict[str, Any]:
    """The part's figures."""
    stored = TALLY if options.part == "fuzz" else ROOT / f"build/bench/service-{options.part}.json"
    options.json = options.json or stored
    options.models = options.models.resolve()
    print(f"{options.part}: {PARTS[options.part]}")
    facts: dict[str, Any] = importlib.import_module(f"load.{options.part}").run(options)
    return {"part": options.part, **facts}
