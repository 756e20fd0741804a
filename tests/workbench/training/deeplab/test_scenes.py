"""Training pictures: their kinds, target and weight of each pixel, and how often each kind is drawn."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from danmatte_workbench.dataset import IGNORE, PERSON
from danmatte_workbench.errors import InputError
from danmatte_workbench.training.deeplab import augment, scenes
from danmatte_workbench.training.deeplab.augment import FULL_WEIGHT, View
from danmatte_workbench.training.deeplab.scenes import KINDS, TEACHER_IN_LABELS, TRUST_IN_TEACHER, Scenes

HEIGHT, WIDTH = 24, 32
BOX = np.s_[6:18, 10:20]


def write_picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dice = np.random.default_rng(sum(path.stem.encode()))
    cv2.imwrite(str(path), dice.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    return path


def write_grey(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), values.astype(np.uint8))


def make_mask(*, person: bool = True, ignored: bool = False) -> np.ndarray:
    """Return a mask with a person's box and, if requested, an ignored column at its right."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    if person:
        mask[BOX] = PERSON
    if ignored:
        mask[6:18, 20:22] = IGNORE
    return mask


def add(people: Path, name: str, mask: np.ndarray) -> Path:
    """Write a labelled picture."""
    write_grey(people / f"train/masks/{name}.png", mask)
    return write_picture(people / f"train/images/{name}.jpg")


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Write a picture of each kind, and a second fashion picture with an ignored object beside the person."""
    folder = tmp_path / "people"
    add(folder, "ccp_1", make_mask())
    add(folder, "ccp_2", make_mask(ignored=True))
    add(folder, "coco_1", make_mask())
    add(folder, "coco_2", make_mask(person=False))
    add(folder, "davis_1", make_mask())
    add(folder, "other_1", make_mask(ignored=True))
    write_picture(folder / "unlabelled/images/free_1.jpg")
    return folder


@pytest.fixture
def beliefs(tmp_path: Path) -> Path:
    return tmp_path / "beliefs"


def read(people: Path, beliefs: Path, name: str) -> augment.Scene:
    folder = "unlabelled" if name.startswith("free") else "train"
    return Scenes(people, beliefs).read(people / f"{folder}/images/{name}.jpg")


# Kinds


def test_the_kind_of_a_picture_follows_from_its_source_and_its_people(people: Path, beliefs: Path) -> None:
    found = {kind: [path.stem for path in paths] for kind, paths in Scenes(people, beliefs).pictures.items()}
    assert found == {
        "fashion": ["ccp_1", "ccp_2"],
        "everyday": ["coco_1", "other_1"],
        "empty": ["coco_2"],
        "video": ["davis_1"],
        "unlabelled": ["free_1"],
    }


def test_only_whole_people_are_cut_out(people: Path, beliefs: Path) -> None:
    add(people, "ccp_3", make_mask(person=False))
    assert [path.stem for path in Scenes(people, beliefs).cut_outs] == ["ccp_1", "coco_1"]


def test_a_folder_without_labelled_pictures_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "unlabelled/images/free_1.jpg")
    with pytest.raises(InputError, match=r"expected train/images/\*\.jpg with train/masks/\*\.png beside them"):
        Scenes(tmp_path, tmp_path / "beliefs")


def test_scenes_can_be_drawn_from_a_single_kind(tmp_path: Path) -> None:
    add(tmp_path, "davis_1", make_mask())
    found = Scenes(tmp_path, tmp_path / "beliefs")
    for seed in range(20):
        pixels, planes = found.draw(17, 0.1, False, np.random.default_rng(seed))
        assert (pixels.shape, planes.shape) == ((17, 17, 3), (17, 17, 2))


def test_the_shares_of_the_kinds_sum_to_one() -> None:
    assert sum(kind.share for kind in KINDS.values()) == pytest.approx(1)
    assert all(0 <= kind.pasted <= 1 and kind.farthest < kind.nearest for kind in KINDS.values())


# Target and weight of each pixel


def test_without_a_teacher_labels_have_full_weight_and_ignored_pixels_none(people: Path, beliefs: Path) -> None:
    found = read(people, beliefs, "other_1")
    mask = make_mask(ignored=True)
    assert np.array_equal(found.target == 255, mask == PERSON)
    assert np.array_equal(found.weight, np.where(mask == IGNORE, 0, FULL_WEIGHT))
    assert found.pixels.shape == (HEIGHT, WIDTH, 3)


def test_fashion_masks_are_shifted_one_pixel_to_the_left(people: Path, beliefs: Path) -> None:
    found = read(people, beliefs, "ccp_1")
    assert np.array_equal(found.target == 255, np.roll(make_mask(), -1, axis=1) == PERSON)


@pytest.mark.parametrize("name", ["coco_1", "davis_1", "other_1"])
def test_other_masks_are_not_shifted(people: Path, beliefs: Path, name: str) -> None:
    mask = make_mask(ignored=name == "other_1")
    assert np.array_equal(read(people, beliefs, name).target == 255, mask == PERSON)


def test_the_teachers_share_in_everyday_labels_follows_its_iou(people: Path, beliefs: Path) -> None:
    belief = np.full((HEIGHT, WIDTH), 200)
    for name in ("coco_1", "davis_1"):
        write_grey(beliefs / f"{name}.png", belief)
    everyday, video = (read(people, beliefs, name) for name in ("coco_1", "davis_1"))
    assert set(np.unique(video.target)) == {0, 255}
    share = TEACHER_IN_LABELS * (make_mask() == PERSON).mean()  # the teacher sees people everywhere
    assert everyday.target[8, 12] == round((1 - share) * 255 + share * 200)
    assert everyday.target[0, 0] == round(share * 200)
    assert (everyday.weight == FULL_WEIGHT).all()


def test_a_teacher_that_finds_no_person_has_no_share_in_labels(people: Path, beliefs: Path) -> None:
    write_grey(beliefs / "coco_1.png", np.full((HEIGHT, WIDTH), 127))  # just below the probability of a person
    found = read(people, beliefs, "coco_1")
    assert np.array_equal(found.target, np.where(make_mask() == PERSON, 255, 0))
    assert (found.weight == FULL_WEIGHT).all()


def test_ignored_pixels_take_the_prediction_weighted_by_its_certainty(people: Path, beliefs: Path) -> None:
    belief = np.zeros((HEIGHT, WIDTH), np.uint8)
    belief[:, 20], belief[:, 21] = 255, 160
    write_grey(beliefs / "other_1.png", belief)
    found = read(people, beliefs, "other_1")
    assert (found.target[8, 20], found.weight[8, 20]) == (255, round(TRUST_IN_TEACHER * FULL_WEIGHT))
    certainty = (160 / 127.5 - 1) ** 2
    assert (found.target[8, 21], found.weight[8, 21]) == (160, round(TRUST_IN_TEACHER * FULL_WEIGHT * certainty))
    assert (found.target[8, 12], found.weight[8, 12]) == (255, FULL_WEIGHT)


def test_unlabelled_pictures_take_the_prediction_of_the_teacher(people: Path, beliefs: Path) -> None:
    belief = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    write_grey(beliefs / "free_1.png", belief)
    found = read(people, beliefs, "free_1")
    assert np.array_equal(found.target, belief)
    assert found.weight.max() == round(TRUST_IN_TEACHER * FULL_WEIGHT)
    middle = abs(belief[0].astype(int) - 127).argmin()
    assert found.weight[0, middle] == 0


def test_an_unlabelled_picture_without_a_prediction_has_no_weight(people: Path, beliefs: Path) -> None:
    found = read(people, beliefs, "free_1")
    assert not found.target.any()
    assert not found.weight.any()


def test_a_picture_is_read_only_once(people: Path, beliefs: Path) -> None:
    found = Scenes(people, beliefs)
    picture = found.pictures["video"][0]
    assert found.read(picture) is found.read(picture)


# Drawing


def test_the_same_seed_draws_the_same_view(people: Path, beliefs: Path) -> None:
    found, again = Scenes(people, beliefs), Scenes(people, beliefs)
    for seed in range(8):
        for one, other in zip(
            found.draw(33, 0.1, False, np.random.default_rng(seed)),
            again.draw(33, 0.1, False, np.random.default_rng(seed)),
            strict=True,
        ):
            assert np.array_equal(one, other)


def test_each_kind_is_drawn_as_often_as_its_share(people: Path, beliefs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Scenes(people, beliefs)
    kinds = {path: kind for kind, paths in found.pictures.items() for path in paths}
    drawn: Counter[str] = Counter()
    read, first = found.read, []

    def note(picture: Path) -> augment.Scene:
        first.append(picture)
        return read(picture)

    found.read = note
    rng = np.random.default_rng(0)
    for _ in range(1500):
        first.clear()
        found.draw(17, 0.0, False, rng)
        drawn[kinds[first[0]]] += 1  # read after the paste
    total = sum(KINDS[kind].share for kind in found.pictures)
    for kind in found.pictures:
        assert drawn[kind] / 1500 == pytest.approx(KINDS[kind].share / total, abs=0.04)


def test_people_are_pasted_as_often_as_the_kind_specifies(people: Path, beliefs: Path) -> None:
    found = Scenes(people, beliefs)
    kinds = {path: kind for kind, paths in found.pictures.items() for path in paths}
    read, seen = found.read, []

    def note(picture: Path) -> augment.Scene:
        seen.append(picture)
        return read(picture)

    found.read = note
    pasted: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    rng = np.random.default_rng(1)
    for _ in range(1200):
        seen.clear()
        found.draw(17, 0.0, False, rng)
        pasted[kinds[seen[0]]].append(len(seen) > 1)
        assert len(seen) <= 5
        assert all(path in found.cut_outs for path in seen[1:])
    for kind in found.pictures:
        assert np.mean(pasted[kind]) == pytest.approx(KINDS[kind].pasted, abs=0.12)


@pytest.mark.parametrize("whole", [0.0, 0.4])
def test_views_of_whole_frames_have_zooms_near_the_serving_size(
    people: Path, beliefs: Path, monkeypatch: pytest.MonkeyPatch, whole: float
) -> None:
    views: list[View] = []

    def note(scene: augment.Scene, view: View, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        views.append(view)
        return scene.pixels, scene.planes()

    monkeypatch.setattr(scenes.augment, "look", note)
    found, rng = Scenes(people, beliefs), np.random.default_rng(2)
    for _ in range(200):
        found.draw(97, 0.25, whole, rng)
    zooms = {(view.nearest, view.farthest) for view in views}
    expected = {(kind.nearest, kind.farthest) for kind in (KINDS[name] for name in found.pictures)}
    if whole:
        expected = {(min(nearest, 1.9), max(farthest, 0.7)) for nearest, farthest in expected}
    assert zooms == expected
    assert {(view.side, view.lean, view.whole) for view in views} == {(97, 0.25, whole)}
