"""Run one of the benchmarks below, and write its figures and facts about the host as JSON."""

import argparse
import importlib
import sys

from msgspec import structs

from danmatte_workbench import hardware
from danmatte_workbench.report.facts import write
from finite import drop_infinite

BENCHES = {
    "workbench": (
        "bench_workbench",
        "add_workbench",
        "throughput compared with stock TensorFlow, in alternating rounds",
    ),
    "models": (
        "bench_models",
        "add_models",
        "graphs by others: in their framework, in OpenVINO uncut, and optimized by the workbench",
    ),
    "service": ("load.parts", "add_service", "the service under load, in parts"),
    "page": (
        "bench_page",
        "add_page",
        "the page in a browser: script time, layouts, memory, time to the first mask of a long track",
    ),
    "library": (
        "bench_library",
        "add_library",
        "libraries of videos: killed workers, two workers compared with one, memory, seams between parts",
    ),
    "assess": ("bench_assess", "add_assess", "quality scores of known damage, and speed of scoring"),
    "players": ("bench_players", "add_players", "tracks of videos: concurrency, reuse, size, flicker, memory"),
}


def main() -> int:
    """Run one benchmark, print its figures and write them."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    benches = parser.add_subparsers(dest="bench", required=True)
    for name, (module, add, says) in BENCHES.items():
        bench = benches.add_parser(name, help=says)
        if name in sys.argv[1:2]:  # other benchmarks aren't imported, so that they take no memory
            getattr(importlib.import_module(module), add)(bench)
    options = parser.parse_args()
    facts = options.run(options)
    found = {"bench": options.bench, "host": structs.asdict(hardware.describe_host()), **facts}
    write(drop_infinite(found), options.json)
    print(f"written: {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
