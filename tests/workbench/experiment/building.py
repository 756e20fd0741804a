"""A build that counts its calls, and one that is killed. Without heavy imports, for child processes."""

import os
import signal
from pathlib import Path

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.experiment.store import CandidateStore
from danmatte_workbench.runtimes import openvino
from tests.workbench.facts import recipe


class CountedBuild:
    """Write a graph, and count the calls."""

    def __init__(self, graph: Path) -> None:
        self.model, self.count = graph, 0

    def __call__(self, target: Path) -> tuple[Artifact, tuple[str, ...]]:
        self.count += 1
        return openvino.save(openvino.read(self.model), target), ("cut: done",)


def build_and_die(graph: Path, folder: Path, key: str) -> None:
    """Kill the process after the graph is written and before the rest is."""

    def half(target: Path) -> tuple[Artifact, tuple[str, ...]]:
        CountedBuild(graph)(target)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    CandidateStore(folder).put(recipe(), key, half)
