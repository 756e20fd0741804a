"""The same recipe is never cooked twice."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.workbench import tiny
from workbench import dataset, trial
from workbench.recipe import RECIPES, Draft, Recipe, read
from workbench.source import Source
from workbench.steps import Kitchen, refine


class Counter:
    """Cooks, and counts."""

    def __init__(self) -> None:
        self.cook, self.count = trial.cook, 0

    def __call__(self, *arguments):
        self.count += 1
        return self.cook(*arguments)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter()
    monkeypatch.setattr(trial, "cook", counter)
    return counter


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    return tiny.write_scenes(tmp_path / "data", 3)


def test_the_second_time_it_comes_from_the_store(plain: Source, frames: Path, tmp_path: Path, counter: Counter) -> None:
    recipe, kitchen = refine(read(RECIPES / "float.toml"), plain), Kitchen(plain, dataset.load(frames))
    first = trial.prepare(recipe, kitchen, tmp_path / "store")
    assert trial.prepare(recipe, kitchen, tmp_path / "store") == first
    assert counter.count == 1


def test_another_name_for_the_same_recipe_is_the_same(
    plain: Source, frames: Path, tmp_path: Path, counter: Counter
) -> None:
    kitchen = Kitchen(plain, dataset.load(frames))
    for name in ("one", "two"):
        steps = read(RECIPES / "float.toml").steps
        trial.prepare(refine(Draft(name, "", steps), plain), kitchen, tmp_path / "store")
    assert counter.count == 1


@pytest.mark.parametrize(("name", "times"), [("int8", 2), ("float", 1)])
def test_other_frames_matter_only_to_what_is_calibrated(
    plain: Source, frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, times: int
) -> None:
    """Quantizing itself is left out: only how often it is asked for matters."""
    asked: list[Recipe] = []
    float_recipe = refine(read(RECIPES / "float.toml"), plain)

    def cook(recipe: Recipe, kitchen: Kitchen, target: Path):
        asked.append(recipe)
        return real(float_recipe, kitchen, target)

    real = trial.cook
    monkeypatch.setattr(trial, "cook", cook)
    recipe = refine(read(RECIPES / f"{name}.toml"), plain)
    trial.prepare(recipe, Kitchen(plain, dataset.load(frames)), tmp_path / "store")
    cv2.imwrite(str(frames / "images/kind0_00.png"), np.zeros((96, 128, 3), np.uint8))
    trial.prepare(recipe, Kitchen(plain, dataset.load(frames)), tmp_path / "store")
    assert len(asked) == times
