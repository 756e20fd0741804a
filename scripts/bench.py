"""What `scripts/bench` does: one bench of those below, with facts about the host, as JSON."""

import argparse
import importlib
import sys

from msgspec import structs

from danmatte_workbench import hardware
from danmatte_workbench.report.facts import write
from finite import drop_infinite

BENCHES = {
    "workbench": ("bench_workbench", "add_workbench", "throughput against stock TensorFlow, in turn"),
    "models": ("bench_models", "add_models", "graphs by others: their framework, OpenVINO uncut, and ours"),
    "service": ("load.parts", "add_service", "the service under load, part by part"),
    "page": ("bench_page", "add_page", "a viewer's browser: script time, layouts, memory, a long track's first mask"),
    "library": ("bench_library", "add_library", "libraries of videos: kills, two workers over one, memory, seams"),
    "assess": ("bench_assess", "add_assess", "quality against known damage, and how long it takes"),
    "players": ("bench_players", "add_players", "tracks of videos: concurrency, reuse, size, flicker, memory"),
}


def main() -> int:
    """Run one benchmark, print its figures, and write them."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    benches = parser.add_subparsers(dest="bench", required=True)
    for name, (module, add, says) in BENCHES.items():
        bench = benches.add_parser(name, help=says)
        if name in sys.argv[1:2]:  # the others stay out of its memory
            getattr(importlib.import_module(module), add)(bench)
    options = parser.parse_args()
    facts = options.run(options)
    found = {"bench": options.bench, "host": structs.asdict(hardware.describe_host()), **facts}
    write(drop_infinite(found), options.json)
    print(f"written: {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
