"""Strict reading of model.toml."""

import math
from pathlib import Path
from typing import Any

import pytest

from danmatte_workbench import source
from danmatte_workbench.artifact import digest
from danmatte_workbench.errors import InputError
from tests.workbench import tiny


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "tiny", tiny.BGR)


def write_changed(file: Path, place: str, value: Any) -> None:
    """Write the good description with one value changed, or removed with `...`."""
    table = tiny.description(tiny.BGR)
    *sections, key = place.split("/")
    part = table[sections[0]] if sections else table
    part[key] = value
    if value is ...:
        del part[key]
    file.write_text(tiny.toml(table))


def test_a_good_description_is_read(file: Path) -> None:
    found = source.read(file)
    assert found.path == file.parent / tiny.GRAPH
    assert found.digest == digest(found.path)
    assert (found.shape, found.colour, found.mean) == ((1, 65, 65, 3), "BGR", tiny.BGR.mean)
    assert found.fill == (127, 127, 127)


def test_the_description_of_the_default_model_is_valid() -> None:
    file = Path(__file__).parents[2] / "models/deeplab/model.toml"
    if not (file.parent / "frozen_inference_graph.pb").exists():
        pytest.skip("models/deeplab has no graph yet")
    assert source.read(file).name == "deeplab"


def test_a_student_is_read_with_its_own_size_and_digest(file: Path) -> None:
    assert not source.read(file).student.digest
    write_changed(file, "student", {"graph": tiny.GRAPH, "height": 49, "width": 33})
    found = source.read(file).student
    assert (found.path, found.size, found.digest) == (file.parent / tiny.GRAPH, (49, 33), digest(found.path))


WRONG = [
    ("input/hight", 65, "unknown key hight in [input]; did you mean 'height'?"),
    ("output/classes", 2, "unknown key classes in [output]"),
    ("extra", 2, "unknown key extra in the top"),
    ("resize/rule", ..., "[resize] lacks rule"),
    ("licence", ..., "the top lacks licence"),
    ("input", 3, "expected a table [input]"),
    ("name", 3, "name: expected text, found 3"),
    ("name", "My Model", "name: "),
    ("input/height", "65", "height: expected a whole number from 16 to 4096, found '65'"),
    ("input/height", 65.5, "height: expected a whole number from 16 to 4096, found 65.5"),
    ("input/width", -1, "width: expected a whole number from 16 to 4096, found -1"),
    ("input/width", True, "width: expected a whole number from 16 to 4096, found True"),
    ("input/width", 15, "width: "),
    ("input/width", 5000, "width: "),
    ("input/colour", "YUV", "colour: expected one of RGB, BGR, found 'YUV'"),
    ("input/mean", [1.0, 2.0], "mean: expected three numbers"),
    ("input/mean", [1.0, 2.0, math.nan], "mean: expected three numbers"),
    ("input/scale", [1.0, 2.0, 0.0], "scale: "),
    ("output/person", -1, "person: expected a whole number"),
    ("resize/rule", "crop", "rule: expected one of stretch, letterbox, found 'crop'"),
    ("resize/fill", [0, 0, 256], "fill: "),
    ("resize/fill", [0, 0, 1.5], "fill: "),
    ("student", 3, "expected a table [student]"),
    ("student", {"graph": "graph.pb"}, "[student] lacks height"),
    ("student", {"graph": "graph.pb", "height": 5, "width": 65}, "height: expected a whole number from 16 to 4096"),
]


@pytest.mark.parametrize(("place", "value", "says"), WRONG, ids=lambda value: str(value)[:24])
def test_an_invalid_value_is_reported_with_its_file(file: Path, place: str, value: Any, says: str) -> None:
    write_changed(file, place, value)
    with pytest.raises(InputError) as refused:
        source.read(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert says in str(refused.value)


def test_a_missing_graph_is_reported(file: Path) -> None:
    (file.parent / tiny.GRAPH).unlink()
    with pytest.raises(InputError, match=rf"{tiny.GRAPH}: can't be read"):
        source.read(file)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    tiny.write(tmp_path / "models/deeplab", tiny.PLAIN)
    return tmp_path / "models"


def test_a_model_is_found_by_its_name(models: Path) -> None:
    assert source.find("deeplab", models) == models / "deeplab/model.toml"


def test_a_path_is_not_taken_for_the_name_of_a_model(models: Path) -> None:
    assert source.find(str(models / "deeplab" / tiny.GRAPH), models) is None


def test_an_unknown_name_suggests_the_nearest(models: Path) -> None:
    with pytest.raises(InputError, match=r"deplab: no such file, .*; did you mean 'deeplab'\?"):
        source.find("deplab", models)


def test_an_unknown_name_without_a_similar_one_lists_the_models(models: Path) -> None:
    with pytest.raises(InputError, match="known: deeplab"):
        source.find("xyz", models)
    with pytest.raises(InputError, match="known: none"):
        source.find("xyz", models / "deeplab")
