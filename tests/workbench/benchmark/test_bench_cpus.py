"""The benchmark of masks under each instruction set measures every level; a float graph gives equal masks."""

import argparse
from pathlib import Path

import pytest

import bench_cpus
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.publish import publish
from danmatte_workbench.runtimes.isa_levels import find_highest, list_older
from danmatte_workbench.source import Source
from tests.workbench import facts, tiny
from tests.workbench.conftest import Build


@pytest.mark.slow
def test_each_isa_level_is_benchmarked_and_a_float_graph_loses_no_accuracy(
    plain: Source, labelled: Dataset, built: Build, tmp_path: Path
) -> None:
    winner = facts.trial("float", facts.measured("throughput", 90), artifact=built(tiny.PLAIN))
    folder = publish(winner, plain, tmp_path)
    options = argparse.Namespace(data=labelled.origins[0], frames=3)
    found = bench_cpus.measure_cpus(options, folder)
    assert [item["level"] for item in found["levels"]] == [*list_older(), find_highest()]
    assert [item["emulated"] for item in found["levels"]] == [True] * len(list_older()) + [False]
    for item in found["levels"]:
        assert item["masks_apart"]["value"] == pytest.approx(0, abs=0.5)  # a graph of floats
        assert item["iou_drop"]["value"] == pytest.approx(0, abs=0.5)
