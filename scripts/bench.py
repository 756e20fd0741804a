"""What `scripts/bench` does: `workbench` races a published version against stock TensorFlow, `service` posts frames."""

import argparse
import asyncio
import contextlib
import dataclasses
import itertools
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from workbench import hardware, probe, source
from workbench.backends import openvino
from workbench.configuration import Configuration
from workbench.dataset import SAMPLES, load
from workbench.measurement import Measurement
from workbench.metrics.contender import Contender, cooked, published, stock
from workbench.metrics.contest import Rounds, hold
from workbench.report.facts import write

ROOT = Path(__file__).resolve().parent.parent
MATTING = ROOT / ".venv" / "bin" / "matting"
READY_WITHIN_S = 60.0


def main() -> int:
    """Run one benchmark, print its figures, and write them as JSON with facts about the host."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    benches = parser.add_subparsers(dest="bench", required=True)
    add_workbench(benches.add_parser("workbench", help="throughput against stock TensorFlow, in turn"))
    add_service(benches.add_parser("service", help="many posts of real frames: speed, losses, memory"))
    options = parser.parse_args()
    facts = options.run(options)
    write({"bench": options.bench, "host": dataclasses.asdict(hardware.host()), **facts}, options.json)
    print(f"written: {options.json}")
    return 0


def add_workbench(parser: argparse.ArgumentParser) -> None:
    """What is raced, on which frames, and for how long."""
    parser.add_argument("--model", default="deeplab", help="a model's name, or a frozen graph")
    parser.add_argument("--published", type=Path, help="the version to race; the model's newest by default")
    parser.add_argument("--data", type=Path, default=SAMPLES, help="frames")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--round-s", type=float, default=1.0, help="seconds of each contender in a round")
    parser.add_argument("--json", type=Path, default=ROOT / "build/bench/workbench.json")
    parser.set_defaults(run=race)


def race(options: argparse.Namespace) -> dict[str, Any]:
    """Stock TensorFlow, oneDNN on and off, OpenVINO's default of the uncut graph, and the published version."""
    described = source.find(options.model, ROOT / "models")
    graph = source.read(described) if described else probe.inspect(Path(options.model))
    winner = published(options.published or newest(ROOT / "models" / graph.name))
    contenders = [stock(graph), stock(graph, onednn=False), uncut(graph), winner]
    window = graph.framing
    pictures = [window.prepare(sample.pixels) for sample in load(options.data).shuffled(16)]
    print(f"racing {', '.join(item.name for item in contenders)} on {len(pictures)} frames, {options.rounds} rounds")
    rounds = hold(contenders, pictures, rounds=options.rounds, round_s=options.round_s)
    return figures(rounds, contenders, winner)


def figures(rounds: Rounds, contenders: list[Contender], winner: Contender) -> dict[str, Any]:
    """Medians with their intervals, and the winner's ratios round by round."""
    host = hardware.host()
    throughput = {
        item.name: Measurement.median("throughput", rounds.throughput[item.name], "frames/s", host)
        for item in contenders
    }
    fastest = max(contenders[:2], key=lambda item: throughput[item.name].value).name
    others = [item.name for item in contenders if item is not winner]
    ratios = {name: Measurement.median("ratio", rounds.ratios(winner.name, name), "×", host) for name in others}
    for name, item in throughput.items():
        print(f"  {name:26} {item}")
    for name, item in ratios.items():
        print(f"  {winner.name} over {name}: {item}{'  ← stock, the faster setting' if name == fastest else ''}")
    return {
        "winner": winner.name,
        "configuration": dataclasses.asdict(winner.configuration),
        "input": list(winner.framing.size),
        "fastest_stock": fastest,
        "speedup": plain(ratios[fastest]),
        "ratios": {name: plain(item) for name, item in ratios.items()},
        "throughput": {name: plain(item) for name, item in throughput.items()},
        "rounds": rounds.throughput,
    }


def plain(item: Measurement) -> dict[str, float | int | str]:
    """The measurement without its host, which is told once."""
    return {"value": item.value, "low": item.low, "high": item.high, "unit": item.unit, "samples": item.samples}


def uncut(graph: source.Source) -> Contender:
    """OpenVINO's own conversion of the whole graph, at its defaults but in float32 as the source is."""
    path = ROOT / "build/bench/uncut" / graph.digest[:16] / "graph.xml"
    artifact = openvino.save(openvino.convert(graph.path, shape=graph.shape), path)
    return cooked("OpenVINO, uncut", graph, artifact, Configuration(precision="f32"))


def newest(home: Path) -> Path:
    """The highest version in a model's folder."""
    versions = [int(path.name) for path in home.iterdir() if path.name.isdecimal()] if home.is_dir() else []
    if not versions:
        raise SystemExit(f"{home}: no published version; workbench optimize publishes one")
    return home / str(max(versions))


def add_service(parser: argparse.ArgumentParser) -> None:
    """How many posts, of what, from how many connections."""
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--frames", type=Path, default=SAMPLES, help="a folder of JPEG frames")
    parser.add_argument("--posts", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--size", default="320x180", help="of the masks, WIDTHxHEIGHT")
    parser.add_argument("--json", type=Path, default=ROOT / "build/bench/service.json")
    parser.set_defaults(run=load_service)


def load_service(options: argparse.Namespace) -> dict[str, Any]:
    """Start the service, post the frames round and round, and stop it; every answer must be a PNG."""
    bodies = [path.read_bytes() for path in sorted(options.frames.glob("*.jpg"))]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([MATTING, "serve", "--models", options.models, "--port", str(port)])
    load = Load(f"http://127.0.0.1:{port}", options.size, bodies, server)
    try:
        asyncio.run(load.go(options.posts, options.connections))
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(30)
    return load.facts(options.connections, len(bodies), code)


class Load:
    """Posts under way, their times, what failed, and the server's memory."""

    def __init__(self, address: str, size: str, bodies: list[bytes], server: subprocess.Popen[bytes]) -> None:
        width, height = size.split("x")
        self._address, self._url = address, f"{address}/v1/mattes?width={width}&height={height}"
        self._server = server
        self._bodies = itertools.cycle(bodies)
        self._left = 0
        self.times_ms: list[float] = []
        self.failures: list[str] = []
        self.memory: list[tuple[int, int]] = []
        self.seconds = 0.0

    async def go(self, posts: int, connections: int) -> None:
        """All posts, over so many connections at once."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:
            await self._until_ready(session)
            self._left = posts
            started = time.monotonic()
            await asyncio.gather(*(self._connection(session, max(1, posts // 50)) for _ in range(connections)))
            self.seconds = time.monotonic() - started

    async def _until_ready(self, session: aiohttp.ClientSession) -> None:
        until = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < until:
            if self._server.poll() is not None:
                raise SystemExit(f"the server ended with {self._server.returncode}")
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{self._address}/v2/health/ready") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
        raise SystemExit(f"the server wasn't ready within {READY_WITHIN_S:.0f} s")

    async def _connection(self, session: aiohttp.ClientSession, every: int) -> None:
        while self._left > 0:
            self._left -= 1
            await self._post(session)
            done = len(self.times_ms) + len(self.failures)
            if done % every == 0:
                self.memory.append((done, resident_bytes(self._server.pid)))
                print(f"\r  {done} posts, {self.memory[-1][1] / 2**20:.0f} MiB", end="", flush=True)

    async def _post(self, session: aiohttp.ClientSession) -> None:
        started = time.perf_counter()
        try:
            async with session.post(self._url, data=next(self._bodies)) as answer:
                body = await answer.read()
                if answer.status == 200 and body.startswith(b"\x89PNG"):
                    self.times_ms.append(1000 * (time.perf_counter() - started))
                else:
                    self.failures.append(f"{answer.status} {body[:200]!r}")
        except aiohttp.ClientError as error:
            self.failures.append(repr(error))

    def facts(self, connections: int, frames: int, exit_code: int) -> dict[str, Any]:
        """The figures; memory's slope is between the first and the last fifth of the run, in bytes a post."""
        fifth = max(1, len(self.memory) // 5)
        early, late = self.memory[fifth : 2 * fifth] or self.memory, self.memory[-fifth:]
        posts, bytes_ = ([statistics.mean(item[side] for item in part) for part in (early, late)] for side in (0, 1))
        slope = (bytes_[1] - bytes_[0]) / max(1.0, posts[1] - posts[0])
        cuts = statistics.quantiles(self.times_ms, n=100)
        answered = len(self.times_ms)
        print(
            f"\n  {answered} answered, {len(self.failures)} failed; {answered / self.seconds:.1f} posts/s, "
            f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms; memory {bytes_[0] / 2**20:.1f} → "
            f"{bytes_[1] / 2**20:.1f} MiB, {slope:.0f} bytes a post; exit {exit_code}"
        )
        return {
            "frames": frames,
            "connections": connections,
            "answered": answered,
            "failed": len(self.failures),
            "failures": self.failures[:10],
            "posts_per_s": answered / self.seconds,
            "p50_ms": cuts[49],
            "p99_ms": cuts[98],
            "memory_bytes": self.memory,
            "memory_slope_bytes_per_post": slope,
            "exit_code": exit_code,
        }


def resident_bytes(pid: int) -> int:
    """The process's resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    raise SystemExit(f"process {pid} has gone")


if __name__ == "__main__":
    sys.exit(main())
