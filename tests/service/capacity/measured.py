"""A capacity as `danmatte measure` writes it: one and two cores, and a second kind of frame."""

import numpy as np

from danmatte.capacity.capacity import Capacity, FrameKind, MeasuredLoop
from danmatte.contract.measurement import Host
from danmatte.settings import Settings

JPEG, RAW = FrameKind("jpeg", 1280, 720), FrameKind("nv12", 640, 360)


def make_loop(cores: int, connections: int, mean_ms: float, per_s: float, frame: FrameKind = JPEG) -> MeasuredLoop:
    """Return a loop whose thread times are within 20 % of the mean."""
    return MeasuredLoop(
        cores=cores,
        connections=connections,
        frame=frame,
        seconds=10,
        answered=100,
        per_s=per_s,
        p50_ms=mean_ms * connections / cores + 1,
        p99_ms=mean_ms * connections / cores * 1.3,
        thread_ms=tuple((mean_ms * np.linspace(0.8, 1.2, 50)).tolist()),
        overhead_ms=1.5 if connections <= 1 else 3.0,
    )


def make_capacity(*loops: MeasuredLoop, **settings: object) -> Capacity:
    """Return a worker that takes 20 ms a frame alone, 22 ms with one busy core, and 24 ms with two."""
    usual = (
        make_loop(1, 1, 20, 46),
        make_loop(1, 4, 21, 1000 / 22),
        make_loop(1, 1, 10, 90, RAW),
        make_loop(2, 1, 20, 46),
        make_loop(2, 8, 23, 2000 / 24),
    )
    host = Host(cpu="x", cores=2, memory_bytes=1, features=("avx2",), os="Linux", python="3.12")
    return Capacity(
        created="2026-11-30T00:00:00+00:00",
        danmatte="0.2.0",
        host=host,
        model="toy",
        version=1,
        mask="320x180",
        settings=Settings(**settings),
        resident_bytes=230 * 2**20,
        loops=loops or usual,
    )
