"""Training pictures: their kinds, and the teachers' predictions."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from danmatte_workbench.dataset import BACKGROUND, IGNORE, PERSON
from danmatte_workbench.training.deeplab.augment import FULL_WEIGHT, Scene
from danmatte_workbench.training.deeplab.scenes import KINDS, TEACHER_IN_LABELS, TRUST_IN_TEACHER, Scenes

SIZE = (120, 160)
FIGURE = np.s_[20:100, 20:60]
FAR = np.s_[40:80, 110:130]


def mask(*places: tuple[slice, slice], ignored: tuple[slice, slice] | None = None) -> np.ndarray:
    drawn = np.full(SIZE, BACKGROUND, np.uint8)
    for place in places:
        drawn[place] = PERSON
    if ignored is not None:
        drawn[ignored] = IGNORE
    return drawn


def people(folder: Path, masks: dict[str, np.ndarray], beliefs: dict[str, np.ndarray]) -> Scenes:
    """Return training pictures of noise with these masks and predictions by name; without a mask, one is unlabelled."""
    for name in {**masks, **beliefs}:
        images = folder / ("train" if name in masks else "unlabelled") / "images"
        images.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), np.uint8)
        cv2.imwrite(str(images / f"{name}.jpg"), noise)
    for kind, pictures in (("train/masks", masks), ("beliefs", beliefs)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name, picture in pictures.items():
            cv2.imwrite(str(folder / kind / f"{name}.png"), picture)
    return Scenes(folder, folder / "beliefs")


def only(scenes: Scenes) -> Scene:
    (picture,) = (each for pictures in scenes.pictures.values() for each in pictures)
    return scenes.read(picture)


def test_pictures_are_sorted_by_kind_and_by_the_persons_size(tmp_path: Path) -> None:
    scenes = people(
        tmp_path,
        {
            "ccp_1": mask(FIGURE),
            "coco_1": mask(FIGURE),
            "coco_2": mask(np.s_[0:10, 0:10]),
            "coco_3": mask(np.s_[:, 0:120]),
            "coco_4": mask(ignored=FAR),
            "davis_1": mask(FIGURE),
            "pf_1": mask(FIGURE),
        },
        {"ccp_2": mask(FIGURE)},
    )
    found = {kind: [picture.stem for picture in pictures] for kind, pictures in scenes.pictures.items()}
    assert found == {
        "fashion": ["ccp_1"],
        "everyday": ["coco_1"],
        "distant": ["coco_2"],
        "close": ["coco_3"],
        "empty": ["coco_4"],
        "video": ["davis_1"],
        "street": ["pf_1"],
        "unlabelled": ["ccp_2"],
    }
    assert set(found) == set(KINDS)


@pytest.mark.parametrize(("name", "forgotten"), [("ccp_1", True), ("pf_1", True), ("coco_1", False)])
def test_an_unlabelled_person_is_not_background_where_labels_are_incomplete(
    tmp_path: Path, name: str, forgotten: bool
) -> None:
    scene = only(people(tmp_path, {name: mask(FIGURE)}, {name: mask(FIGURE, FAR)}))
    assert (scene.weight[FAR] < FULL_WEIGHT).all() == forgotten
    assert (scene.target[FAR] > 127).all() == forgotten
    assert (scene.weight[FIGURE] == FULL_WEIGHT).all()


def test_a_prediction_that_touches_a_label_is_not_an_unlabelled_person(tmp_path: Path) -> None:
    wide = mask(np.s_[20:100, 20:75])
    assert (only(people(tmp_path, {"ccp_1": mask(FIGURE)}, {"ccp_1": wide})).weight == FULL_WEIGHT).all()


def test_the_teachers_share_in_everyday_labels_follows_its_agreement(tmp_path: Path) -> None:
    half = mask(np.s_[20:60, 20:60])
    scene = only(people(tmp_path, {"coco_1": mask(FIGURE)}, {"coco_1": half}))
    assert scene.target[30, 30] == 255
    assert scene.target[80, 30] == pytest.approx(255 * (1 - TEACHER_IN_LABELS / 2), abs=1)


def test_ignored_pixels_take_the_prediction_weighted_by_its_certainty(tmp_path: Path) -> None:
    belief = mask(FIGURE)
    belief[FAR] = 128
    scene = only(people(tmp_path, {"davis_1": mask(ignored=np.s_[:, :])}, {"davis_1": belief}))
    assert np.array_equal(scene.target, belief)
    assert (scene.weight[FAR] == 0).all()
    assert (scene.weight[FIGURE] == round(TRUST_IN_TEACHER * FULL_WEIGHT)).all()


def test_people_cut_off_at_a_side_or_beside_ignored_pixels_are_not_cut_out(tmp_path: Path) -> None:
    scenes = people(
        tmp_path,
        {
            "ccp_1": mask(FIGURE),
            "ccp_2": mask(FIGURE, ignored=np.s_[50:60, 60:70]),
            "coco_1": mask(FIGURE),
            "coco_2": mask(np.s_[20:100, 0:40]),
            "coco_3": mask(np.s_[40:120, 20:60]),
            "davis_1": mask(FIGURE),
        },
        {},
    )
    assert [picture.stem for picture in scenes.cut_outs] == ["ccp_1", "coco_1", "coco_3"]
