"""A compiled graph under load, and the worker of a sweep."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.benchmark.load import (
    BatchProbe,
    InferenceLoad,
    SweepJob,
    SweepWorker,
    TimingTask,
    are_same,
)
from danmatte_workbench.benchmark.windows import Patience, Window
from danmatte_workbench.configuration import Setting, configure
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.hardware import list_instruction_sets
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.runtimes.isa_levels import FAMILIES
from tests.workbench import inner
from tests.workbench.facts import HOST

ONE = configure(streams=1, threads=1, infer_requests=1)
RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, (1, inner.SIDE, inner.SIDE, 3), np.uint8) for _ in range(5)]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inner.write(tmp_path_factory.mktemp("load") / "graph.xml").path


def test_a_window_counts_frames_and_times_each_inference(graph: Path) -> None:
    window = InferenceLoad(graph, ONE, PICTURES).run(12)
    assert len(window.latencies_ms) == 12
    alone_s = sum(window.latencies_ms) / 1000
    assert 12 / window.frames_per_s >= alone_s * 0.9  # one at a time: nothing overlaps


def test_throughput_counts_all_frames_of_a_batch(graph: Path) -> None:
    load = InferenceLoad(
        graph, configure("CPU", "throughput", streams=1, threads=1, infer_requests=1, batch=4), PICTURES
    )
    window = load.run(6)
    assert len(window.latencies_ms) == 6
    assert window.frames_per_s * sum(window.latencies_ms) / 1000 == pytest.approx(24, rel=0.3)
    assert [output.shape[0] for output in load.infer_all()] == [4, 4]


def test_the_requested_number_of_infer_requests_is_used(graph: Path) -> None:
    assert InferenceLoad(graph, configure(hint="throughput", infer_requests=3), PICTURES).requests == 3


def test_a_window_runs_as_many_inferences_as_fit_in_its_time(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load, seen, speeds = InferenceLoad(graph, ONE, PICTURES), list[int](), iter([1.0, 90.0, 2.0, 100.0])

    def run(inferences: int) -> Window:
        seen.append(inferences)
        return Window(next(speeds, 100.0), (10.0,) * inferences)

    monkeypatch.setattr(load, "run", run)
    load.warm_up(0.2)()  # the first run is cold, and the third was slowed by other processes
    assert seen == [1, 1, 1, 1, 20]


def test_a_batch_gives_the_outputs_of_single_pictures_and_swapped_ones_differ(graph: Path) -> None:
    alone = InferenceLoad(graph, ONE, PICTURES).infer_all()
    many = InferenceLoad(graph, configure(infer_requests=1, batch=2), PICTURES).infer_all()
    assert are_same(alone, many)
    assert not are_same(alone, many[::-1])
    assert not are_same(alone, [output[..., :1, :] for output in many])
    assert openvino.make_runner(graph, ONE)(PICTURES[3]) == pytest.approx(alone[3], abs=1e-5)


def test_listed_kernels_use_only_instruction_sets_of_this_cpu(graph: Path) -> None:
    kernels = InferenceLoad(graph, ONE, PICTURES).list_kernels()
    assert sum(kernels.names.values()) >= 2
    assert set(kernels.heavy) | set(kernels.light) <= set(FAMILIES)
    if "avx512f" not in list_instruction_sets():
        assert kernels.newest != "avx512"


@pytest.mark.parametrize("pictures", [[], [np.zeros((1, 9, 9, 3), np.uint8)], [np.zeros((2, 65, 65, 3), np.uint8)]])
def test_missing_pictures_and_pictures_of_a_wrong_shape_are_refused(graph: Path, pictures: list[np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"graph\.xml: expected pictures of \(1, 65, 65, 3\), received"):
        InferenceLoad(graph, ONE, pictures)


def test_a_graph_with_an_input_of_dynamic_size_is_refused(graph: Path, tmp_path: Path) -> None:
    model = openvino.read(graph)
    model.reshape([1, -1, -1, 3])
    loose = openvino.save(model, tmp_path / "loose.xml")
    with pytest.raises(InputError, match=r"loose\.xml: expected one input of a fixed shape"):
        InferenceLoad(loose.path, ONE, PICTURES)


def test_a_missing_device_is_reported_as_a_machine_error(graph: Path) -> None:
    with pytest.raises(MachineError, match=r"NOSUCH can't run graph\.xml"):
        InferenceLoad(graph, configure(device="NOSUCH"), PICTURES)


def make_job(graph: Path, reference: Setting, **changes: object) -> SweepJob:
    patience = Patience(min_windows=2, max_windows=2, tolerance=0.5)
    job = SweepJob(graph, configure(), tuple(PICTURES), reference, 0.02, HOST, patience)
    return replace(job, **changes)  # type: ignore[arg-type]


USUAL = Setting(1, 1, 1, 2)


def test_a_sweeps_worker_times_a_setting_beside_the_reference(graph: Path) -> None:
    timing = SweepWorker(make_job(graph, USUAL))(TimingTask(Setting(2, 1, 1, 2), 0.0))
    assert timing is not None
    assert (timing.throughput.samples, timing.ratio.samples) == (2, 2)
    assert (timing.throughput.unit, timing.latency.unit, timing.ratio.unit) == ("frames/s", "ms", "×")
    assert not timing.mended
    assert timing.throughput.host == HOST


def test_the_reference_is_timed_beside_itself(graph: Path) -> None:
    timing = SweepWorker(make_job(graph, USUAL))(TimingTask(USUAL, 0.0))
    assert timing is not None
    assert 0.2 < timing.ratio.value < 5


def test_after_its_deadline_a_setting_gets_the_minimum_of_windows(graph: Path) -> None:
    strict = Patience(min_windows=2, max_windows=9, tolerance=0.0001)
    timing = SweepWorker(make_job(graph, USUAL, patience=strict))(TimingTask(Setting(1, 1, 1, 1), time.monotonic() - 1))
    assert timing is not None
    assert timing.ratio.samples == 2


def test_a_graph_with_equal_outputs_in_a_batch_passes_the_batch_probe(graph: Path) -> None:
    assert SweepWorker(make_job(graph, USUAL))(BatchProbe(2)) is None


def test_a_graph_that_mixes_pictures_of_a_batch_fails_the_batch_probe(tmp_path: Path) -> None:
    """The graph subtracts the mean over the batch, which is the picture itself in a batch of 1."""
    picture = ops.parameter([1, inner.SIDE, inner.SIDE, 3], np.uint8, name="image")
    floats = ops.convert(picture, "f32")
    mixed = ops.subtract(floats, ops.reduce_mean(floats, np.array([0]), keep_dims=True))
    model = ov.Model([ops.result(ops.add(mixed, floats))], [picture], "mixed")
    path = openvino.save(model, tmp_path / "mixed.xml").path
    with pytest.raises(InputError, match="in a batch of 2 its outputs differ from those for single pictures"):
        SweepWorker(make_job(path, USUAL))(BatchProbe(2))


@pytest.mark.parametrize(("count", "batch"), [(5, 2), (1, 4), (4, 4), (3, 1)])
def test_pictures_are_repeated_until_the_last_batch_is_full(graph: Path, count: int, batch: int) -> None:
    load = InferenceLoad(graph, configure(infer_requests=1, batch=batch), PICTURES[:count])
    outputs = load.infer_all()
    assert len(outputs) == -(-count // batch)
    assert {len(output) for output in outputs} == {batch}
