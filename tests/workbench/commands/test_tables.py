"""Output of the commands for known figures: tables, their order, and signs for missing values."""

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from danmatte_workbench.benchmark import layers, sweep
from danmatte_workbench.benchmark.layers import LayerTime
from danmatte_workbench.benchmark.space import Point
from danmatte_workbench.benchmark.windows import Timing
from danmatte_workbench.commands import devices as devices_command
from danmatte_workbench.commands import profile as profile_command
from danmatte_workbench.commands import sweep as sweep_command
from danmatte_workbench.configuration import Setting
from danmatte_workbench.hardware import Hardware
from danmatte_workbench.runtimes import devices, profiling
from danmatte_workbench.runtimes.devices import Device
from tests.workbench import inner
from tests.workbench.facts import measured

Row = list[str]


def run(command: ModuleType, *words: object) -> int:
    parser = argparse.ArgumentParser()
    command.add(parser)
    return int(command.run(parser.parse_args([str(word) for word in words])))


def read_rows(text: str) -> list[Row]:
    """Return the cells of all rows of the printed tables, including headings."""
    lines = [re.split("[│┃]", line)[1:-1] for line in text.splitlines() if line.startswith(("│", "┃"))]
    return [[cell.strip() for cell in line] for line in lines]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that is wide enough not to wrap lines."""
    monkeypatch.setenv("COLUMNS", "200")


# Sweeps


def make_point(speed: float | None, *, ratio: float = 1.0, agreed: bool = True, note: str = "", **at: object) -> Point:
    if speed is None:
        return Point(Setting(**at), None, note)  # type: ignore[arg-type]
    figures = (
        measured("throughput", speed, low=speed - 1, high=speed + 1),
        measured("latency", 1000 / speed),
        measured("ratio", ratio, low=ratio - 0.25, high=ratio + 0.25),
    )
    return Point(Setting(**at), Timing(*figures, agreed=agreed), note)  # type: ignore[arg-type]


POINTS = (
    make_point(50.0, ratio=1.0, batch=1, streams=1, threads=2, requests=2),
    make_point(80.0, ratio=1.5, batch=4, streams=2, threads=2, requests=4, pinning=False, note="batch mended"),
    make_point(None, batch=16, note="out of memory"),
    make_point(60.0, ratio=1.25, batch=2, agreed=False),
)


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Runs the command on a small graph with the points above instead of a sweep."""
    graph = inner.write(tmp_path / "graph.xml")
    requested: dict[str, object] = {}

    def run_sweep(artifact: object, pictures: list[object], **options: object) -> tuple[Point, ...]:
        requested.update(options, pictures=pictures)
        options["report"]("half [bold]done[/bold]")  # type: ignore[operator]
        return POINTS

    monkeypatch.setattr(sweep, "run_sweep", run_sweep)
    start = lambda *words: run(sweep_command, graph.path, *words)  # noqa: E731
    start.requested = requested  # type: ignore[attr-defined]
    return start


def test_a_sweeps_points_are_listed_from_the_best_ratio_down_and_failures_last(
    swept: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept() == 0
    headings, *rows = read_rows(capsys.readouterr().out)
    assert headings == ["batch", "streams", "threads", "requests", "pinned", "frames/s", "ms", "× reference", ""]
    assert rows == [
        ["4", "2", "2", "4", "no", "80.0", "12.5", "1.50 [1.25, 1.75]", "batch mended"],
        ["2", "1", "0", "1", "yes", "60.0", "16.7", "1.25 [1.00, 1.50]", "disagree"],
        ["1", "1", "2", "2", "yes", "50.0", "20.0", "1.00 [0.75, 1.25]", ""],
        ["16", "1", "0", "1", "yes", "–", "–", "–", "out of memory"],
    ]


def test_progress_of_a_sweep_is_printed_without_interpreting_markup(
    swept: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    swept()
    assert "half [bold]done[/bold]" in capsys.readouterr().out


OBJECTIVES = ("throughput", "latency")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_best_setting_is_named_if_none_is_certainly_better(
    swept: Callable[..., int], capsys: pytest.CaptureFixture[str], objective: str
) -> None:
    swept()
    expected = f"best {objective}: no setting is certainly better than the default\n"
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_best_setting_is_named_for_each_objective(
    swept: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    single = make_point(40.0, ratio=0.8, batch=1, streams=1, threads=2, requests=1)
    better = make_point(100.0, ratio=2.0, batch=1, streams=2, threads=2, requests=4)
    monkeypatch.setattr(sweep, "run_sweep", lambda *_, **__: (*POINTS, single, better))
    swept()
    assert f"best {objective}: {better.setting}\n" in capsys.readouterr().out


def test_without_frames_a_sweep_runs_on_reproducible_noise(swept: Callable[..., int]) -> None:
    seen = []
    for _ in range(2):
        swept()
        seen.append(swept.requested["pictures"])  # type: ignore[attr-defined]
    first, second = seen
    assert len(first) == len(second) == sweep_command.PICTURES
    assert all((one == other).all() for one, other in zip(first, second, strict=True))
    assert len({item.tobytes() for item in first}) == len(first)
    assert {(item.shape, str(item.dtype)) for item in first} == {((1, inner.SIDE, inner.SIDE, 3), "uint8")}


def test_device_precision_and_seconds_reach_the_sweep(swept: Callable[..., int]) -> None:
    swept("--precision", "bf16", "--seconds", "7", "--device", "AUTO:CPU")
    requested = swept.requested  # type: ignore[attr-defined]
    assert requested["budget_s"] == 7
    assert (requested["base"].precision, requested["base"].device) == ("bf16", "AUTO:CPU")


def test_the_json_of_a_sweep_includes_failed_settings(swept: Callable[..., int], tmp_path: Path) -> None:
    assert swept("--json", tmp_path / "sweep.json") == 0
    written = json.loads((tmp_path / "sweep.json").read_text("utf-8"))
    assert [point["batch"] for point in written["points"]] == [1, 4, 16, 2]
    assert [point["agreed"] for point in written["points"]] == [True, True, False, False]
    assert written["points"][2]["throughput"] is None
    assert written["points"][2]["note"] == "out of memory"
    assert written["points"][1]["ratio"] == {"value": 1.5, "low": 1.25, "high": 1.75, "unit": "u", "samples": 5}
    assert written["hardware"]["threads"] >= 1


# Layers


def layer(name: str, ms: float, kind: str = "Convolution", precision: str = "f32", kernel: str = "jit") -> LayerTime:
    return LayerTime(name, kind, precision, kernel, ms)


BEFORE = (layer("a", 6.0), layer("b", 1.0, "Add", kernel=""), layer("c", 3.0, "Pool"))
AFTER = (layer("a", 2.0, precision="i8", kernel="brgconv"), layer("c", 1.5, "Pool"), layer("new", 0.5, "Reorder"))


@pytest.fixture
def profiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Runs the command on one or two graphs with the layers above."""
    paths = [inner.write(tmp_path / name / "graph.xml").path for name in ("before", "after")]
    found = dict(zip(paths, (BEFORE, AFTER), strict=True))
    monkeypatch.setattr(layers, "profile_layers", lambda graph, *_, **__: found[graph.path])
    monkeypatch.setattr(
        profiling, "read_precision", lambda path, configuration: "bf16" if "after" in str(path) else "f32"
    )
    return lambda *words, graphs=2: run(profile_command, *paths[:graphs], *words)


def test_shares_are_relative_to_each_graphs_own_time(
    profiled: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert profiled() == 0
    rows = read_rows(capsys.readouterr().out)
    assert rows[0] == ["kind", "before, ms", "share", "after, ms", "share"]
    by_kind = {row[0]: row[1:] for row in rows[1 : rows.index(["precision", *rows[0][1:]])]}
    assert by_kind == {
        "Convolution": ["6.00", "60%", "2.00", "50%"],
        "Pool": ["3.00", "30%", "1.50", "38%"],
        "Add": ["1.00", "10%", "–", "–"],
        "Reorder": ["–", "–", "0.50", "12%"],
    }


def test_layers_of_two_graphs_are_listed_side_by_side_slowest_first(
    profiled: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    profiled()
    rows = read_rows(capsys.readouterr().out)
    start = next(number for number, row in enumerate(rows) if row[0] == "layer")
    assert rows[start] == ["layer", "kind", "before, ms", "by", "after, ms", "by"]
    assert rows[start + 1] == ["a", "Convolution", "6.000", "jit f32", "2.000", "brgconv i8"]
    assert rows[start + 2] == ["c", "Pool", "3.000", "jit f32", "1.500", "jit f32"]
    assert ["b", "Add", "1.000", "– f32", "–", ""] in rows
    assert ["new", "Reorder", "–", "", "0.500", "jit f32"] in rows


def test_one_graph_is_shown_in_one_column(profiled: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    profiled("--rows", "1", graphs=1)
    rows = read_rows(capsys.readouterr().out)
    assert rows[-2:] == [["layer", "kind", "before, ms", "by"], ["a", "Convolution", "6.000", "jit f32"]]


def test_the_total_time_and_a_precision_that_differs_from_the_request_are_printed(
    profiled: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    profiled()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("before/graph.xml: 10.00 ms in 3 layers, floats in f32")
    assert lines[1].endswith("after/graph.xml: 4.00 ms in 3 layers, floats in bf16 instead of f32")


# Devices

MACHINE = Hardware(
    cpu="A CPU",
    machine="x86_64",
    instruction_sets=("avx2", "vnni"),
    sockets=1,
    physical_cores=4,
    logical_cpus=8,
    numa_nodes=1,
    allowed_cpus=6,
    quota_cores=2.5,
    threads=2,
    threads_from="the cgroup's quota",
    memory_bytes=2**34,
)
FOUND = (Device("CPU", "A CPU", ("FP32", "INT8"), 8), Device("GPU.0", "A [card]", (), 2))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Hardware], None]:
    """Return a function that replaces the facts of the machine."""
    import danmatte_workbench.hardware as hardware

    monkeypatch.setattr(devices, "list_devices", lambda: FOUND)

    def become(described: Hardware) -> None:
        monkeypatch.setattr(hardware, "describe_hardware", lambda: described)

    become(MACHINE)
    return become


@pytest.mark.usefixtures("machine")
def test_every_device_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(devices_command) == 0
    headings, *rows = read_rows(capsys.readouterr().out)
    assert headings == ["device", "what it is", "capabilities", "streams"]
    assert rows[0] == ["CPU", "A CPU", "FP32, INT8", "up to 8"]
    assert rows[1][0] == "GPU.0"
    assert rows[1][2:] == ["", "up to 2"]


def test_the_threads_and_cpus_available_to_the_process_are_printed(
    machine: Callable[[Hardware], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run(devices_command)
    text = capsys.readouterr().out
    assert "threads: 2, from the cgroup's quota" in text
    assert "CPUs: 8 on 4 cores, sockets 1, NUMA nodes 1; allowed 6, cgroup quota 2.5 cores" in text
    assert "instruction sets: avx2 vnni" in text
    machine(replace(MACHINE, quota_cores=None, instruction_sets=()))
    run(devices_command)
    text = capsys.readouterr().out
    assert "cgroup quota none" in text
    assert "instruction sets: unknown" in text


@pytest.mark.usefixtures("machine")
def test_devices_can_be_written_as_json_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(devices_command, "--json", "-") == 0
    text = capsys.readouterr().out
    written = json.loads(text[text.index("{") :])
    assert [device["name"] for device in written["devices"]] == ["CPU", "GPU.0"]
    assert written["hardware"]["quota_cores"] == 2.5
