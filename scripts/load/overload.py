"""Load of 200 % of the capacity compared with 80 %: latency, responses to rejected posts, and the time afterwards."""

from argparse import Namespace
from typing import Any

from load.callers import mattes, run_a_second, run_at_once
from load.frames import jpegs
from load.server import served


def run(options: Namespace) -> dict[str, Any]:
    """Measure the capacity, then load the server with 80 %, 200 % and again 80 % of it."""
    with served(options.models) as server:
        target = mattes(server.address, jpegs(options.frames))
        run_at_once(target, options.connections, options.seconds / 4)  # warm-up, in which the server learns its rate
        capacity = run_at_once(target, options.connections, options.seconds)
        print(f"  capacity: {capacity}")
        phases = {}
        for name, share in (("before", 0.8), ("overload", 2.0), ("after", 0.8)):
            tally = run_a_second(target, share * capacity.per_s, options.seconds)
            phases[name] = tally.facts() | {"offered_per_s": share * capacity.per_s} | server.facts()
            print(f"  {name}, {share:.0%}: {tally}, {server.facts()['resident_bytes'] / 2**20:.0f} MiB")
    ratio = phases["overload"]["p99_ms"] / phases["before"]["p99_ms"]
    print(f"  p99 of accepted posts under overload is {ratio:.2f} times that at 80 %")
    return {"capacity": capacity.facts(), "phases": phases, "p99_ratio": ratio, "exit_code": server.exit_code}
