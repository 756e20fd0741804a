"""A recipe is never built twice, and a build continues from the longest stored beginning."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from danmatte_workbench import dataset
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.experiment.build import Builder
from danmatte_workbench.recipe import Recipe, find_recipe
from danmatte_workbench.source import Source
from danmatte_workbench.steps import Distil, Quantize, Reshape, make_step
from tests.workbench import tiny
from tests.workbench.facts import workspace


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    return tiny.write_scenes(tmp_path / "data", 3)


@pytest.fixture
def whole(plain: Source) -> Recipe:
    return find_recipe("float", plain)


def builder(source: Source, data: Dataset, folder: Path, *, time_s: float = 120.0) -> Builder:
    return Builder(source, data, workspace(folder, time_s=time_s))


def list_built(folder: Path) -> dict[str, int]:
    """Return the candidates in the store with their times."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/candidate.json")}


def test_a_recipe_built_before_is_returned_from_the_store(
    plain: Source, whole: Recipe, frames: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    first, made = builder(plain, dataset.load(frames), store).build(whole), list_built(store)
    assert builder(plain, dataset.load(frames), store).build(whole) == first
    assert list_built(store) == made
    assert builder(plain, dataset.load(frames), store).find(whole) == first


def test_equal_recipes_with_different_names_are_built_once(
    plain: Source, whole: Recipe, frames: Path, tmp_path: Path
) -> None:
    here = builder(plain, dataset.load(frames), tmp_path / "store")
    for name in ("one", "two"):
        here.build(replace(whole, name=name, priority=7))
    assert len(list_built(tmp_path / "store")) == 1


def test_changed_frames_change_the_keys_only_of_recipes_that_use_frames(
    plain: Source, frames: Path, tmp_path: Path
) -> None:
    recipes = [find_recipe(name, plain) for name in ("float", "int8", "int8-pruned30")]

    def compute_keys() -> list[str]:
        here = builder(plain, dataset.load(frames), tmp_path / "store")
        return [here.compute_key(recipe) for recipe in recipes]

    before = compute_keys()
    assert compute_keys() == before
    cv2.imwrite(str(frames / "images/kind0_00.png"), np.zeros((96, 128, 3), np.uint8))
    assert [a == b for a, b in zip(before, compute_keys(), strict=True)] == [True, False, False]


def test_a_key_depends_only_on_the_frames_that_a_step_uses(plain: Source, whole: Recipe, tmp_path: Path) -> None:
    data = dataset.load(tiny.write_scenes(tmp_path / "data", 6))
    few = replace(whole, steps=(*whole.steps, Quantize(frames=2)))
    more, less = (builder(plain, some, tmp_path / "store") for some in (data, data.pick(4)))
    assert more.compute_key(few) == less.compute_key(few)


def test_changed_masks_change_the_keys_only_of_steps_that_use_masks(
    plain: Source, whole: Recipe, tmp_path: Path
) -> None:
    folder = tiny.write_scenes(tmp_path / "data", 6)
    steps = [Quantize(), Quantize(max_drop=0.5), Distil(), Distil(truth=0.5)]

    def compute_keys() -> list[str]:
        here = builder(plain, dataset.load(folder), tmp_path / "store")
        return [here.compute_key(replace(whole, steps=(*whole.steps, step))) for step in steps]

    before = compute_keys()
    cv2.imwrite(str(folder / "masks/kind0_00.png"), np.full((96, 128), 255, np.uint8))
    assert [a == b for a, b in zip(before, compute_keys(), strict=True)] == [True, False, True, False]


def test_a_key_depends_on_the_frames_that_accuracy_is_checked_on(plain: Source, whole: Recipe, tmp_path: Path) -> None:
    data = dataset.load(tiny.write_scenes(tmp_path / "data", 6))
    checked = replace(whole, steps=(*whole.steps, Quantize(frames=2, max_drop=0.5, checked_frames=3)))
    assert checked.frames == 5
    more, less = (builder(plain, some, tmp_path / "store") for some in (data, data.pick(4)))
    assert more.compute_key(checked) != less.compute_key(checked)


def test_a_build_continues_from_the_longest_stored_beginning(
    plain: Source, whole: Recipe, frames: Path, tmp_path: Path
) -> None:
    longer = replace(whole, name="child", steps=(*whole.steps, Reshape(33, 65)))
    here = builder(plain, dataset.load(frames), tmp_path / "store")
    part = here.build(replace(whole, name="part", steps=whole.steps[:1]))
    parent = here.build(whole)
    child = here.build(longer)
    assert part.parent == plain.digest
    assert (parent.parent, child.parent) == (part.digest, parent.digest)
    assert child.notes[:-1] == parent.notes
    alone = builder(plain, dataset.load(frames), tmp_path / "other").build(longer)
    assert alone.artifact.digest == child.artifact.digest


def test_a_refusal_is_stored_and_a_timeout_is_not(plain: Source, whole: Recipe, frames: Path, tmp_path: Path) -> None:
    data = dataset.load(frames)
    here = builder(plain, data, tmp_path / "store")
    rash = replace(whole, name="rash", steps=(make_step("cut", {"output": "nowhere"}, plain),))
    assert here.find(rash) is None
    with pytest.raises(InputError, match="has no node nowhere"):
        here.build(rash)
    with pytest.raises(InputError, match="has no node nowhere"):
        here.find(rash)
    with pytest.raises(MachineError, match="timed out after 0 s"):
        builder(plain, data, tmp_path / "store", time_s=0.01).build(whole)
    with pytest.raises(MachineError, match="timed out after 0 s"):
        here.build(whole, time_s=0.01)
    assert here.find(whole) is None


def test_a_slow_beginning_that_recipes_share_is_stored(
    plain: Source, whole: Recipe, frames: Path, tmp_path: Path
) -> None:
    here = builder(plain, dataset.load(frames), tmp_path / "store")
    quantized = (*whole.steps, Quantize(frames=2))
    first = here.build(replace(whole, name="first", steps=(*quantized, Reshape(33, 65))))
    part = here.find(replace(whole, name="part", steps=quantized))
    assert part is not None  # stored because its last step uses frames
    assert here.find(whole) is None  # fast steps aren't stored
    assert first.parent == part.digest
    assert 0 < part.seconds < first.seconds  # the time includes that of the stored beginning
    begun = here.find_beginning(first.recipe)
    assert begun is not None
    assert begun.digest == part.digest
    assert here.find_beginning(whole) is None
