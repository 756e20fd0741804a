"""Kinds of scene are detected in the pictures if the user gives none."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from danmatte_workbench import dataset
from danmatte_workbench.budget import MIN_KIND_SAMPLES
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import MachineError
from danmatte_workbench.experiment.build import Builder
from danmatte_workbench.experiment.scenes import SceneFacts, find_scenes, look_at_scenes, sort_by_scene
from danmatte_workbench.experiment.store import Workspace
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.recipe import find_recipe
from danmatte_workbench.source import Source
from tests.workbench.experiment.runs import in_process, make_run
from tests.workbench.facts import workspace

__all__ = ["in_process"]


def make_facts(count: int, *, share: float, brightness: float, seed: int = 0) -> list[SceneFacts]:
    """Return the facts of ``count`` similar pictures."""
    rng = np.random.default_rng(seed)
    return [
        SceneFacts(
            share * float(np.exp(rng.normal(0, 0.1))),
            brightness + float(rng.normal(0, 0.02)),
            tuple(rng.normal(0, 0.1, 6)),
        )
        for _ in range(count)
    ]


def name_facts(*groups: list[SceneFacts]) -> dict[str, SceneFacts]:
    everything = [facts for group in groups for facts in group]
    return {f"{number:03}": facts for number, facts in enumerate(everything)}


def test_small_people_in_the_dark_and_large_ones_in_the_light_are_two_kinds() -> None:
    night, day = make_facts(40, share=0.01, brightness=0.15), make_facts(60, share=0.4, brightness=0.7, seed=1)
    kinds = sort_by_scene(name_facts(night, day), {})
    assert kinds["000"] != kinds["099"]
    counts = Counter(word.split(",")[0] for word in kinds.values())
    assert counts == {"tiny people": 40, "large people": 60}
    assert kinds["000"].startswith("tiny people, dark")
    assert kinds["099"].startswith("large people, bright")


def test_features_alone_distinguish_kinds_and_equal_names_are_numbered() -> None:
    first, second = make_facts(50, share=0.1, brightness=0.5), make_facts(50, share=0.1, brightness=0.5, seed=1)
    moved = [SceneFacts(item.share, item.brightness, tuple(value + 9 for value in item.features)) for item in second]
    kinds = sort_by_scene(name_facts(first, moved), {})
    assert kinds["000"] != kinds["099"]
    assert {"small people 1", "small people 2"} <= set(kinds.values())


def test_every_kind_has_at_least_the_minimum_of_pictures() -> None:
    few, many = (
        make_facts(MIN_KIND_SAMPLES - 5, share=0.01, brightness=0.1),
        make_facts(60, share=0.4, brightness=0.7, seed=1),
    )
    kinds = sort_by_scene(name_facts(few, many), {})
    assert not kinds or min(Counter(kinds.values()).values()) >= MIN_KIND_SAMPLES
    assert sort_by_scene(name_facts(make_facts(2 * MIN_KIND_SAMPLES - 1, share=0.2, brightness=0.5)), {}) == {}


def test_frames_of_one_scene_are_of_one_kind() -> None:
    rng = np.random.default_rng(3)
    facts = {
        f"{number:03}": SceneFacts(float(rng.uniform(0.01, 0.6)), float(rng.uniform(0.1, 0.9)), (0.0,))
        for number in range(120)
    }
    scenes = {name: str(int(name) // 12) for name in facts}
    kinds = sort_by_scene(facts, scenes)
    assert len(set(kinds.values())) > 1
    for scene in set(scenes.values()):
        assert len({kinds[name] for name in facts if scenes[name] == scene}) == 1


def test_sorting_pictures_into_kinds_is_reproducible() -> None:
    facts = name_facts(make_facts(40, share=0.01, brightness=0.2), make_facts(40, share=0.3, brightness=0.5, seed=1))
    assert sort_by_scene(facts, {}) == sort_by_scene(facts, {})


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A dark picture whose mask covers a quarter, and a bright one with an empty mask."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name, light, people in (("dark", 10, 48), ("light", 250, 0)):
        mask = np.zeros((96, 96), np.uint8)
        mask[:people, :people] = dataset.PERSON
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.full((96, 96, 3), light, np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), mask)
    return tmp_path


@pytest.mark.usefixtures("in_process")
def test_scene_facts_are_computed_once_from_masks_brightness_and_features(
    plain: Source, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dataset.load(pictures)
    builder = Builder(plain, data, workspace(tmp_path / "store"))
    exact = Trial.propose(find_recipe("float", plain), configure(), plain.size)
    assert find_scenes(exact, builder, data) == {}  # two pictures are too few
    subject = Trial.propose(exact.recipe, configure())
    built = builder.find(exact.recipe)
    assert built is not None
    facts = look_at_scenes(Trial(subject.name, subject.recipe, configure(), candidate=built).to_subject(plain), data)
    assert facts["dark.png"]["share"] == pytest.approx(0.25)
    assert facts["light.png"]["share"] == 0
    assert facts["dark.png"]["brightness"] < 0.1 < 0.9 < facts["light.png"]["brightness"]
    assert facts["dark.png"]["features"] != facts["light.png"]["features"]

    def refuse(*_: object, **__: object) -> None:
        raise MachineError("the facts are stored already")

    monkeypatch.setattr(Workspace, "isolate", refuse)
    lines: list[str] = []
    again = Builder(plain, data, workspace(tmp_path / "store", lines=lines))
    assert find_scenes(exact, again, data) == {}
    assert any(line.endswith("kinds of scene found: none that differ enough") for line in lines)


@pytest.mark.usefixtures("in_process")
def test_an_error_while_detecting_kinds_is_reported_and_no_kind_is_found(
    plain: Source, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MachineError("its process died")

    monkeypatch.setattr(Workspace, "isolate", fail)
    lines: list[str] = []
    builder = Builder(plain, dataset.load(pictures), workspace(tmp_path / "store", lines=lines))
    exact = Trial.propose(find_recipe("float", plain), configure(), plain.size)
    assert find_scenes(exact, builder, dataset.load(pictures)) == {}
    assert any("kinds of scene: its process died" in line for line in lines)


def test_kinds_given_by_the_user_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("kinds were given by the user")

    monkeypatch.setattr("danmatte_workbench.experiment.run.find_scenes", refuse)
    monkeypatch.setattr("danmatte_workbench.experiment.run.MIN_KIND_SAMPLES", 1)
    run = make_run(tmp_path)
    assert set(run.frames.kinds.values()) == {"kind0", "kind1"}
    assert not run.has_found_kinds


@pytest.mark.usefixtures("in_process")
def test_without_kinds_given_by_the_user_the_detected_ones_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("danmatte_workbench.experiment.run.MIN_KIND_SAMPLES", 1)
    monkeypatch.setattr(
        "danmatte_workbench.experiment.run.find_scenes",
        lambda exact, builder, frames: dict.fromkeys(frames.names, f"{exact.recipe.name} scene"),
    )
    run = make_run(tmp_path)
    without_kinds = run.experiment.data.sort_into(dict.fromkeys(run.experiment.data.names, ""))
    found = make_run(tmp_path, data=without_kinds)
    assert set(found.frames.kinds.values()) == {"float scene"}
    assert found.has_found_kinds
