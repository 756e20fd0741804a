"""A compiled graph kept busy with pictures."""

from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.benchmark.load import InferenceLoad, are_same
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.hardware import list_instruction_sets
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.runtimes.isa_levels import FAMILIES
from tests.workbench import inner

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


def test_a_batch_counts_all_of_its_frames(graph: Path) -> None:
    load = InferenceLoad(
        graph, configure("CPU", "throughput", streams=1, threads=1, infer_requests=1, batch=4), PICTURES
    )
    window = load.run(6)
    assert len(window.latencies_ms) == 6
    assert window.frames_per_s * sum(window.latencies_ms) / 1000 == pytest.approx(24, rel=0.3)
    assert [answer.shape[0] for answer in load.infer_all()] == [4, 4]


def test_requests_are_as_many_as_were_asked_for(graph: Path) -> None:
    assert InferenceLoad(graph, configure(hint="throughput", infer_requests=3), PICTURES).requests == 3


def test_a_warm_window_takes_about_the_time_it_was_given(graph: Path) -> None:
    window = InferenceLoad(graph, ONE, PICTURES).warm_up(0.2)()
    assert 0.02 < len(window.latencies_ms) / window.frames_per_s < 2.0


def test_a_batch_answers_the_same_and_mixed_pictures_do_not(graph: Path) -> None:
    alone = InferenceLoad(graph, ONE, PICTURES).infer_all()
    many = InferenceLoad(graph, configure(infer_requests=1, batch=2), PICTURES).infer_all()
    assert are_same(alone, many)
    assert not are_same(alone, many[::-1])
    assert not are_same(alone, [answer[..., :1, :] for answer in many])
    assert openvino.make_runner(graph, ONE)(PICTURES[3]) == pytest.approx(alone[3], abs=1e-5)


def test_kernels_are_of_instruction_sets_that_this_cpu_has(graph: Path) -> None:
    kernels = InferenceLoad(graph, ONE, PICTURES).list_kernels()
    assert sum(kernels.names.values()) >= 2
    assert set(kernels.heavy) | set(kernels.light) <= set(FAMILIES)
    if "avx512f" not in list_instruction_sets():
        assert kernels.newest != "avx512"


@pytest.mark.parametrize("pictures", [[], [np.zeros((1, 9, 9, 3), np.uint8)], [np.zeros((2, 65, 65, 3), np.uint8)]])
def test_pictures_that_do_not_fit_are_refused(graph: Path, pictures: list[np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"graph\.xml: expected pictures of \(1, 65, 65, 3\), received"):
        InferenceLoad(graph, ONE, pictures)


def test_an_input_of_any_size_is_refused(graph: Path, tmp_path: Path) -> None:
    model = openvino.read(graph)
    model.reshape([1, -1, -1, 3])
    loose = openvino.save(model, tmp_path / "loose.xml")
    with pytest.raises(InputError, match=r"loose\.xml: expected one input of a fixed shape"):
        InferenceLoad(loose.path, ONE, PICTURES)


def test_a_device_that_is_not_there_is_the_machines_fault(graph: Path) -> None:
    with pytest.raises(MachineError, match=r"NOSUCH can't run graph\.xml"):
        InferenceLoad(graph, configure(device="NOSUCH"), PICTURES)
