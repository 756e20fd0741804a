"""Subjects are interleaved, and the error of one whose process dies names it."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from danmatte.contract.framing import Framing
from danmatte_workbench.benchmark.benchmark import Benchmark, Rounds, Sample, Worker, run_benchmark
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.processes.limits import ProcessLimits
from tests.workbench import inner
from tests.workbench.crimes import Sleeper, turns

PICTURES = [np.zeros((1, 4, 4, 3), np.uint8)] * 2


def test_subjects_take_turns_and_the_order_is_reversed_every_other_round(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    results = run_benchmark(
        [Sleeper("A", diary=diary), Sleeper("B", delay_s=0.004, diary=diary)], PICTURES, rounds=4, round_s=0.02
    )
    # Both warm up, A first; then A B, B A, A B, B A, where neighbours that are the same run together.
    assert turns(diary) == "AB" + "ABABA"
    assert [len(results.throughput[name]) for name in "AB"] == [4, 4]
    assert np.median(results.compute_ratios("A", "B")) > 1.5
    assert min(results.latency_ms["B"]) >= 4


@pytest.mark.parametrize(
    ("ill", "error", "says"),
    [
        ("dies", MachineError, r"B: its process died \(exit code 7\)"),
        ("refuses", InputError, "x.pb: isn't a graph"),
    ],
)
def test_the_error_of_a_failed_subject_names_it_and_ends_the_benchmark(
    ill: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        run_benchmark([Sleeper("A"), Sleeper("B", ill=ill)], PICTURES, rounds=2, round_s=0.01)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("ill", "limits", "says"),
    [
        ("hangs", ProcessLimits(2.0), "B: timed out after 2 s"),
        ("hoards", ProcessLimits(60.0, 0.6), r"B: uses [\d.]+ GiB of memory, the limit is 0.6"),
    ],
)
def test_a_subject_that_exceeds_its_time_or_memory_limit_is_stopped(ill: str, limits: ProcessLimits, says: str) -> None:
    with (
        pytest.raises(MachineError, match=says),
        Benchmark([Sleeper("B", ill=ill)], PICTURES, round_s=0.01, limits=limits) as benchmark,
    ):
        benchmark.run_round(0)
    assert multiprocessing.active_children() == []


def test_with_on_dropout_the_other_subjects_continue_after_one_fails() -> None:
    out: list[str] = []
    subjects = [Sleeper("A"), Sleeper("B", ill="dies"), Sleeper("C")]
    with Benchmark(
        subjects, PICTURES, round_s=0.01, on_dropout=lambda name, error: out.append(f"{name}: {error}")
    ) as benchmark:
        first, second = benchmark.run_round(0), benchmark.run_round(1)
    assert list(first) == list(second) == ["A", "C"]
    assert out == ["B: B: its process died (exit code 7)"]


def test_only_requested_subjects_are_started_and_only_kept_ones_stay_alive(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    subjects = [Sleeper(name, diary=diary) for name in "ABC"]
    with Benchmark(subjects, PICTURES, round_s=0.005) as benchmark:
        assert multiprocessing.active_children() == []
        assert list(benchmark.run_round(0, ["A", "B"])) == ["A", "B"]
        assert len(multiprocessing.active_children()) == 2
        benchmark.keep(["A"])
        assert len(multiprocessing.active_children()) == 1
        assert list(benchmark.run_round(1, ["A"])) == ["A"]
    assert set(turns(diary)) == {"A", "B"}


def test_frames_are_prepared_by_each_subjects_own_framing(tmp_path: Path) -> None:
    frames = [np.zeros((6, 8, 3), np.uint8)]
    sleepers = [Sleeper("A", sizes=tmp_path / "a"), Sleeper("B", sizes=tmp_path / "b", framing=Framing((2, 3)))]
    run_benchmark(sleepers, frames, rounds=1, round_s=0.005)
    assert set((tmp_path / "a").read_text().split(";")) == {"(1, 4, 4, 3)", ""}
    assert set((tmp_path / "b").read_text().split(";")) == {"(1, 2, 3, 3)", ""}


def test_ratios_are_computed_round_by_round() -> None:
    rounds = Rounds(throughput={"A": [10.0, 2.0], "B": [5.0, 1.0]})
    assert rounds.compute_ratios("A", "B") == [2.0, 2.0]


def test_a_worker_warms_up_and_then_runs_as_many_frames_as_fit_in_a_round(tmp_path: Path) -> None:
    sizes = tmp_path / "sizes"
    worker = Worker(Sleeper("A", delay_s=0.002, sizes=sizes), PICTURES)
    assert worker(0.02) is None
    warm = sizes.read_text().count(";")
    assert warm == 1 + 3 * len(PICTURES)
    sample = worker(None)
    assert sample is not None
    ran = sizes.read_text().count(";") - warm
    assert 4 <= ran <= 10  # at 2 ms each or slower, 20 ms hold at most ten
    assert len(sample.latency_ms) == ran
    assert min(sample.latency_ms) >= 2
    assert sample.throughput <= 500


def test_a_round_holds_at_least_four_frames_however_slow_they_are() -> None:
    worker = Worker(Sleeper("A", delay_s=0.01), PICTURES)
    worker(0.001)
    sample = worker(None)
    assert sample is not None
    assert len(sample.latency_ms) == 4


def test_each_frame_is_timed_when_several_requests_run_concurrently(tmp_path: Path) -> None:
    graph = inner.write(tmp_path / "graph.xml")
    several = configure(hint="throughput", precision="f32", streams=1, threads=1, infer_requests=2)
    subject = Subject("several", "openvino", graph.path, Framing((65, 65)), configuration=several)
    worker = Worker(subject, [np.zeros((1, 65, 65, 3), np.uint8)] * 2)
    worker(0.02)
    sample = worker(None)
    assert sample is not None
    frames = len(worker._batch)
    assert len(sample.latency_ms) == frames
    # Little's law: with all requests busy, two frames are in progress on average.
    assert np.mean(sample.latency_ms) * sample.throughput / 1000 == pytest.approx(2, rel=0.3)


def test_the_load_by_other_processes_is_the_median_over_all_rounds() -> None:
    rounds = Rounds()
    rounds.add({"A": Sample(10.0, (100.0,), 0.5), "B": Sample(20.0, (50.0,), 0.25)})
    rounds.add({"A": Sample(10.0, (100.0,), 0.95)})
    assert rounds.compute_load() == 0.5
    assert Rounds().compute_load() == 0


def test_discard_removes_all_rounds_of_a_subject_and_keeps_the_others() -> None:
    rounds = Rounds()
    rounds.add({"A": Sample(10.0, (100.0,)), "B": Sample(20.0, (50.0, 60.0))})
    rounds.add({"A": Sample(12.0, (90.0,))})
    rounds.discard("B")
    rounds.discard("unknown")
    by_round = {"A": [(100.0,), (90.0,)]}
    assert rounds == Rounds({"A": [10.0, 12.0]}, {"A": [100.0, 90.0]}, {"A": [0.0, 0.0]}, by_round)


def test_no_child_process_remains_after_an_interrupted_round() -> None:
    def interrupt() -> None:
        with Benchmark([Sleeper("A")], PICTURES, round_s=0.005) as benchmark:
            benchmark.run_round(0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert multiprocessing.active_children() == []
