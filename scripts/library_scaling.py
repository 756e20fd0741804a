"""Speed of two workers compared with one, each pinned to a separate core; and the same of the network alone."""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import library_clips
from danmatte.contract.cores import list_cpus
from danmatte.models.standalone import open_version
from danmatte_workbench.hardware import LoadMeter
from library_runs import read_lines, start

SCALED_CLIPS = 24
NETWORK_S = 4.0


def measure_scaling(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compare two workers on two cores with one worker on either core, in turn; and the same with the network alone.

    The cores may differ in speed, so one worker's speed is the mean of both cores.
    """
    library_clips.cut_clips(options.video, folder / "clips", count=SCALED_CLIPS, frames=60)
    first, second = list_cpus()[:2]
    pinned = ([first], [first, second], [second])
    workers, alone = list[list[dict[str, float]]](), list[list[float]]()
    for at in range(options.rounds):
        targets = [folder / f"tracks-{at}-{turn}" for turn in range(len(pinned))]
        workers.append(
            [
                _time_workers(options, (folder / "clips", target), cpus)
                for target, cpus in zip(targets, pinned, strict=True)
            ]
        )
        alone.append([_time_network(options, cpus) for cpus in pinned])
    ratios = [_compare(*(turn["masks_a_second"] for turn in each)) for each in workers]
    network = [_compare(*each) for each in alone]
    return {
        "clips": SCALED_CLIPS,
        "one_two_one": workers,
        "ratios": ratios,
        "ratio": round(statistics.median(ratios), 3),
        "ratios_of_the_network_alone": network,
        "ratio_of_the_network_alone": round(statistics.median(network), 3),
    }


def _compare(one: float, both: float, other: float) -> float:
    return round(2 * both / (one + other), 3)


def _time_workers(options: argparse.Namespace, places: tuple[Path, Path], cpus: list[int]) -> dict[str, float]:
    """Measure while all workers are busy, without their start and without the end, when some have no work left."""
    workers, lines = len(cpus), list[tuple[float, int]]()
    before, load = resource.getrusage(resource.RUSAGE_CHILDREN), LoadMeter()
    with start(options, *places, "--workers", workers, cpus=frozenset(cpus)) as process:
        for line in read_lines(process):
            lines.append((time.monotonic(), line["masks"]))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    inner = lines[workers : len(lines) - workers]
    seconds = inner[-1][0] - lines[workers - 1][0]
    others = load.read_load() - used_s / (load.seconds * (os.cpu_count() or 1))
    return {
        "masks_a_second": round(sum(masks for _, masks in inner) / seconds, 1),
        "cpu_ms_a_mask": round(1000 * used_s / sum(masks for _, masks in lines), 2),
        "cpu_share_of_others": round(max(0.0, others), 3),
    }


def _time_network(options: argparse.Namespace, cpus: list[int]) -> float:
    """Return the total frames a second of processes, each pinned to a core, that run the network alone."""
    code = f"import library_scaling; library_scaling.repeat_network({str(options.models)!r})"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])}
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    running = [
        subprocess.Popen(
            command,
            env=environment,
            stdin=pipe,
            stdout=pipe,
            text=True,
            preexec_fn=partial(os.sched_setaffinity, 0, {cpu}),
        )
        for cpu in cpus
    ]
    for process in running:  # wait until all are ready before any starts
        assert process.stdout is not None
        process.stdout.readline()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("begin\n")
        process.stdin.flush()
    return sum(float(process.communicate()[0]) for process in running)


def repeat_network(models: str) -> None:
    """Print frames a second over ``NETWORK_S``, starting when a line arrives on standard input."""
    served = open_version(Path(models), for_many=True)
    (port,) = served.manifest.inputs
    picture = np.zeros([side for side in port.shape if isinstance(side, int)], np.uint8)
    served.engine.compute((picture,))
    print("ready", flush=True)
    sys.stdin.readline()
    began, count = time.monotonic(), 0
    while (seconds := time.monotonic() - began) < NETWORK_S:
        served.engine.compute((picture,))
        count += 1
    print(count / seconds)
