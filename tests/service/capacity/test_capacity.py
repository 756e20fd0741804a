"""A capacity file, and the worker model made of it."""

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from danmatte.capacity.capacity import Capacity, FrameKind
from danmatte.errors import InvalidParameterError
from tests.service.capacity.measured import JPEG, RAW, make_capacity, make_loop


def test_a_capacity_survives_a_round_trip_through_its_file(tmp_path: Path) -> None:
    file = tmp_path / "capacity.json"
    file.write_bytes(msgspec.json.encode(make_capacity(deadline_s=3.0)))
    assert Capacity.read(file) == make_capacity(deadline_s=3.0)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 2}', "\x00"])
def test_a_file_that_is_no_capacity_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(text)
    with pytest.raises(InvalidParameterError, match=r"other\.json: expected a file of `danmatte measure`"):
        Capacity.read(file)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match=r"none\.json"):
        Capacity.read(tmp_path / "none.json")


def test_a_capacity_without_a_busy_loop_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "capacity.json"
    alone = make_capacity(make_loop(1, 1, 20, 46), make_loop(2, 1, 20, 46))
    file.write_bytes(msgspec.json.encode(alone))
    with pytest.raises(InvalidParameterError, match="one with several"):
        Capacity.read(file)


def test_a_modelled_worker_has_the_services_default_or_configured_limits() -> None:
    worker = make_capacity().model_worker(2)
    assert (worker.cores, worker.permits, worker.places, worker.together) == (2, 8, 64, 2)
    chosen = make_capacity(queue=10, in_flight=3, deadline_s=2.0, max_wait_s=0.5).model_worker(2)
    assert (chosen.permits, chosen.places, chosen.deadline_s, chosen.max_wait_s) == (3, 10, 2.0, 0.5)


def test_a_busy_worker_has_the_measured_rate_and_counts_event_loop_time_once() -> None:
    for cores, per_s, loop_s in ((1, 1000 / 22, 0.001), (2, 2000 / 24, 0.001)):
        worker = make_capacity().model_worker(cores)
        assert worker.per_s == pytest.approx(per_s)
        assert worker.light_s.mean() == pytest.approx(0.020 + loop_s)  # the event loop delays other requests
        assert worker.light_overhead_s == worker.full_overhead_s == pytest.approx(0.0015 - loop_s)


def test_a_worker_is_no_faster_than_measured_in_open_loops() -> None:
    loops = (make_loop(1, 0, 21, 30), make_loop(1, 4, 19, 50), make_loop(2, 0, 21, 60), make_loop(2, 8, 19, 100))
    worker = make_capacity(*loops).model_worker(2)
    assert worker.light_s.mean() == pytest.approx(0.022)  # including a millisecond of the event loop
    assert worker.per_s == pytest.approx(2 / 0.022)


def test_loops_have_equal_weight_whatever_their_number_of_frames() -> None:
    few, many = make_loop(1, 0, 20, 30), make_loop(1, 4, 20, 50)
    many = msgspec.structs.replace(many, thread_ms=tuple(np.linspace(10, 30, 300).tolist()))
    few = msgspec.structs.replace(few, thread_ms=(10.0, 20.0, 30.0))
    worker = make_capacity(few, many).model_worker(1)
    assert worker.light_s.size == worker.full_s.size
    assert worker.light_s.mean() == pytest.approx(0.020)
    assert np.percentile(worker.full_s, 95) == pytest.approx(0.029, rel=0.01)


def test_light_load_times_come_from_an_open_loop_rather_than_one_connection() -> None:
    loops = (make_loop(1, 4, 21, 1000 / 22), make_loop(1, 1, 25, 20), make_loop(1, 0, 20, 30))
    assert make_capacity(*loops).model_worker(1).light_s.mean() == pytest.approx(0.021)


def test_rates_of_unmeasured_core_counts_are_extrapolated() -> None:
    per_core = [make_capacity().model_worker(cores).per_s / cores for cores in (1, 2, 4, 8)]
    slower = [before / after for before, after in pairwise(per_core)]
    assert slower == pytest.approx([24 / 22] * 3)


def test_two_cores_are_predicted_as_twice_as_fast_if_only_one_was_measured() -> None:
    one = make_capacity(make_loop(1, 1, 20, 46), make_loop(1, 4, 21, 1000 / 22))
    assert one.model_worker(2).per_s == pytest.approx(2 * 1000 / 22)
    assert one.model_worker(2).permits == 8


def test_a_second_kind_of_frame_scales_the_rate_by_its_measured_time() -> None:
    capacity = make_capacity()
    assert capacity.frames == [JPEG, RAW]
    assert capacity.model_worker(2, RAW).per_s == pytest.approx(2 * 2000 / 24)
    with pytest.raises(InvalidParameterError, match="jpeg:1280x720, nv12:640x360"):
        capacity.model_worker(2, FrameKind("png", 10, 10))


def test_more_threads_than_cores_do_not_raise_the_rate() -> None:
    worker = make_capacity(pixel_threads=4).model_worker(2)
    assert worker.cores == 4
    assert worker.per_s == pytest.approx(2000 / 24)


@pytest.mark.parametrize("text", ["jpeg", "jpeg:0x10", "jpeg:axb", "gif:10x10", "jpeg:10", "jpeg:10x-1", ""])
def test_invalid_kinds_of_frames_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="FORMAT:WIDTHxHEIGHT"):
        FrameKind.parse(text)


def test_a_kind_of_frame_survives_a_round_trip_as_text() -> None:
    assert FrameKind.parse("webp:640x360") == FrameKind("webp", 640, 360)
    assert str(FrameKind("webp", 640, 360)) == "webp:640x360"
