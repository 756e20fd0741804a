"""The same recipe is never cooked twice, and none from its beginning where a part of it is there."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from danmatte_workbench import dataset
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.experiment.building import Cooking, prepare
from danmatte_workbench.experiment.result_cache import Results
from danmatte_workbench.processes.limits import ProcessLimits
from danmatte_workbench.recipe import RECIPES, Draft, read
from danmatte_workbench.source import Source
from tests.workbench import tiny

FLOAT = read(RECIPES / "float.toml")
CHILD = Draft("child", "", (*FLOAT.steps, ("reshape", {"height": 33, "width": 65})))


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    return tiny.write_scenes(tmp_path / "data", 3)


def cooking(source: Source, data: Dataset, folder: Path) -> Cooking:
    return Cooking(source, data, folder, Results(folder / "results"), ProcessLimits(120.0))


def cooked(folder: Path) -> dict[str, int]:
    """The candidates in the store, and when each was made."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/candidate.json")}


def test_the_second_time_it_comes_from_the_store(plain: Source, frames: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    order = cooking(plain, dataset.load(frames), store).order(FLOAT)
    first, made = prepare(order), cooked(store)
    assert prepare(order) == first
    assert cooked(store) == made
    assert cooking(plain, dataset.load(frames), store).kept(order) == first


def test_another_name_for_the_same_recipe_is_the_same(plain: Source, frames: Path, tmp_path: Path) -> None:
    here = cooking(plain, dataset.load(frames), tmp_path / "store")
    for name in ("one", "two"):
        prepare(here.order(Draft(name, "", FLOAT.steps)))
    assert len(cooked(tmp_path / "store")) == 1


def test_other_frames_matter_only_to_what_looks_at_them(plain: Source, frames: Path, tmp_path: Path) -> None:
    def keys() -> list[str]:
        here = cooking(plain, dataset.load(frames), tmp_path / "store")
        orders = (here.order(read(RECIPES / f"{name}.toml")) for name in ("float", "int8", "int8-pruned30"))
        return [order.key(order.recipe) for order in orders]

    before = keys()
    assert keys() == before
    cv2.imwrite(str(frames / "images/kind0_00.png"), np.zeros((96, 128, 3), np.uint8))
    after = keys()
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, False]


def test_only_as_many_frames_matter_as_a_step_looks_at(plain: Source, tmp_path: Path) -> None:
    data = dataset.load(tiny.write_scenes(tmp_path / "data", 6))
    few = Draft("few", "", (*FLOAT.steps, ("quantize", {"frames": 2})))
    more, less = (cooking(plain, some, tmp_path / "store").order(few) for some in (data, data.shuffled(4)))
    assert more.key(more.recipe) == less.key(less.recipe)


def test_it_goes_on_from_the_longest_part_that_is_there(plain: Source, frames: Path, tmp_path: Path) -> None:
    here = cooking(plain, dataset.load(frames), tmp_path / "store")
    part = prepare(here.order(Draft("part", "", FLOAT.steps[:1])))
    parent = prepare(here.order(FLOAT))
    child = prepare(here.order(CHILD))
    assert part.parent == plain.digest
    assert (parent.parent, child.parent) == (part.digest, parent.digest)
    assert child.notes[:-1] == parent.notes
    alone = cooking(plain, dataset.load(frames), tmp_path / "other").order(CHILD)
    assert prepare(alone).artifact.digest == child.artifact.digest


def test_a_refusal_is_kept_and_a_crash_is_not(plain: Source, frames: Path, tmp_path: Path) -> None:
    here = cooking(plain, dataset.load(frames), tmp_path / "store")
    order = here.order(Draft("rash", "", (("cut", {"output": "nowhere"}),)))
    assert here.kept(order) is None
    with pytest.raises(InputError, match="has no node nowhere"):
        here.cook(order)
    with pytest.raises(InputError, match="has no node nowhere"):
        here.kept(order)
    hasty = Cooking(plain, here.calibration, here.folder, here.results, ProcessLimits(0.01))
    with pytest.raises(MachineError, match="not done within 0 s"):
        hasty.cook(here.order(FLOAT))
    assert here.kept(here.order(FLOAT)) is None
