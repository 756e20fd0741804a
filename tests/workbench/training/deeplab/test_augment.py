"""Training views depend on their seed alone, and their targets stay correct."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danmatte_workbench.training.deeplab import augment
from danmatte_workbench.training.deeplab.augment import EDGE_GAIN, FULL_WEIGHT, Scene, View, look, paste
from tests.workbench import tiny

VIEW = View(side=97, nearest=1.6, farthest=0.5, lean=0.2)


def scene(seed: int, *, people: int = 1) -> Scene:
    pixels, target = tiny.scene(seed, 200, 150, people=people)
    return Scene(pixels, target, np.full(target.shape, FULL_WEIGHT, np.uint8))


def views(seed: int) -> list[np.ndarray]:
    """Return everything that a seed determines."""
    rng = np.random.default_rng(seed)
    pasted = paste(scene(1), [scene(2), scene(3)], rng)
    return [pasted.pixels, pasted.target, pasted.weight, *look(pasted, VIEW, rng)]


@pytest.mark.parametrize("seed", range(6))
def test_the_same_seed_gives_the_same_view(seed: int) -> None:
    for first, second in zip(views(seed), views(seed), strict=True):
        assert np.array_equal(first, second)


def test_different_seeds_give_different_views() -> None:
    kept = [views(seed)[3] for seed in range(8)]
    assert all(not np.array_equal(a, b) for number, a in enumerate(kept) for b in kept[:number])


def test_augmenting_does_not_change_the_given_scene() -> None:
    given = scene(1)
    before = given.pixels.copy(), given.target.copy(), given.weight.copy()
    paste(given, [scene(2)], np.random.default_rng(0))
    look(given, VIEW, np.random.default_rng(0))
    for now, then in zip((given.pixels, given.target, given.weight), before, strict=True):
        assert np.array_equal(now, then)


def test_the_target_moves_with_the_pixels() -> None:
    """A white person on black stays brighter than its surroundings in every view."""
    _, target = tiny.scene(5, 200, 150)
    white = Scene(np.repeat(target[..., None], 3, axis=2), target, np.full(target.shape, FULL_WEIGHT, np.uint8))
    seen = 0
    for seed in range(40):
        pixels, planes = look(white, View(97, 1.2, 0.8, 0.1), np.random.default_rng(seed))
        assert pixels.shape == (97, 97, 3)
        assert planes.shape == (97, 97, 2)
        person, rest = planes[..., 0] > 200, planes[..., 0] < 50
        if person.sum() > 50 and rest.sum() > 50:
            seen += 1
            assert np.median(pixels[person]) > np.median(pixels[rest]) + 50
    assert seen >= 15


def test_ignored_pixels_keep_weight_0_and_edges_get_a_higher_weight() -> None:
    target = np.zeros((97, 97), np.uint8)
    target[:, :48] = 255
    ignored = Scene(np.zeros((97, 97, 3), np.uint8), target, np.zeros_like(target))
    trusted = Scene(ignored.pixels, target, np.full_like(target, FULL_WEIGHT))
    for seed in range(10):
        weight = look(ignored, View(97, 1.0, 1.0, 0.0), np.random.default_rng(seed))[1][..., 1]
        assert (weight == 0).mean() > 0.5
        weight = look(trusted, View(97, 1.0, 1.0, 0.0), np.random.default_rng(seed))[1][..., 1]
        assert set(np.unique(weight)) <= {FULL_WEIGHT, FULL_WEIGHT * (1 + EDGE_GAIN)}


def test_a_whole_view_shows_nearly_the_whole_picture() -> None:
    """A whole view is stretched to the square, except for a twentieth in size, a flip and a changed aspect ratio."""
    target = np.zeros((200, 100), np.uint8)
    target[50:150, 25:75] = 255
    pixels = np.repeat(target[..., None], 3, axis=2)
    middle = Scene(pixels, target, np.full(target.shape, FULL_WEIGHT, np.uint8))
    for seed in range(10):
        planes = look(middle, View(97, 2.0, 0.5, 0.0, whole=1.0), np.random.default_rng(seed))[1]
        assert (planes[..., 0] > 127).mean() == pytest.approx(0.25, abs=0.04)


def test_a_pasted_person_cut_off_below_touches_the_lower_border() -> None:
    empty = scene(1, people=0)
    target = np.zeros((200, 150), np.uint8)
    target[100:, 60:90] = 255
    cut = Scene(np.full((200, 150, 3), 255, np.uint8), target, np.full(target.shape, FULL_WEIGHT, np.uint8))
    for seed in range(10):
        pasted = paste(empty, [cut], np.random.default_rng(seed)).target
        assert not pasted.any() or pasted[-1].any()


def test_a_pasted_person_is_in_the_target() -> None:
    empty = scene(1, people=0)
    pasted = paste(empty, [scene(2)], np.random.default_rng(3))
    changed = (pasted.pixels != empty.pixels).any(axis=2)
    assert pasted.target.any()
    assert not (changed & (pasted.target == 0)).any()


# Any picture, any view


def pattern(height: int, width: int, seed: int) -> Scene:
    """Return noise with a person's box, and some pixels of low weight."""
    dice = np.random.default_rng(seed)
    target = np.zeros((height, width), np.uint8)
    target[height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] = 255
    weight = np.full((height, width), FULL_WEIGHT, np.uint8)
    weight[: height // 8] = 0
    return Scene(dice.integers(0, 256, (height, width, 3), np.uint8), target, weight)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 300),
    st.integers(2, 300),
    st.sampled_from([17, 65, 97]),
    st.floats(0.05, 4),
    st.floats(0, 0.5),
    st.integers(0, 2**16),
)
def test_every_picture_gives_a_view_of_the_requested_side(
    height: int, width: int, side: int, zoom: float, lean: float, seed: int
) -> None:
    view = View(side, nearest=zoom * 1.5, farthest=zoom, lean=lean)
    pixels, planes = look(pattern(height, width, seed), view, np.random.default_rng(seed))
    assert (pixels.shape, pixels.dtype) == ((side, side, 3), np.uint8)
    assert (planes.shape, planes.dtype) == ((side, side, 2), np.uint8)
    assert planes[..., 1].max() <= FULL_WEIGHT * (1 + EDGE_GAIN)


@pytest.mark.parametrize(("size", "zoom"), [((200, 150), 0.8), ((900, 700), 0.25)])
def test_the_mask_matches_the_person_after_every_transformation(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], zoom: float
) -> None:
    """On black, brightness is the mask. After rotation, flip, zoom and stretch they must still agree."""
    target = np.zeros(size, np.uint8)
    corners = [(0.1, 0.1), (0.8, 0.2), (0.3, 0.9)]
    cv2.fillPoly(target, [np.array([(x * size[1], y * size[0]) for x, y in corners], np.int32)], 255)
    white = Scene(np.repeat(target[..., None], 3, axis=2), target, np.full(size, FULL_WEIGHT, np.uint8))
    monkeypatch.setattr(augment, "NIGHT", 0.0)
    judged = 0
    for seed in range(24):
        pixels, planes = look(white, View(97, 1.3 * zoom, zoom, 0.2), np.random.default_rng(seed))
        brightness, person = pixels.mean(axis=2), planes[..., 0] > 127
        if 0.1 < person.mean() < 0.9:
            judged += 1
            assert (brightness[person] > 132).mean() > 0.8  # white, not the black background or the grey border
    assert judged > 10


@pytest.mark.parametrize("seed", range(8))
def test_a_pasted_persons_outline_is_mirrored_with_its_pixels(seed: int) -> None:
    target = np.zeros((60, 40), np.uint8)
    cv2.fillPoly(target, [np.array([(2, 2), (36, 10), (10, 57)], np.int32)], 255)
    person = Scene(np.where(target[..., None] > 0, 255, np.uint8([255, 0, 0])).astype(np.uint8), target, target)
    found = paste(paint(80, 100, BLUE, person=False), [person], np.random.default_rng(seed))
    inside = cv2.erode(found.target, np.ones((5, 5), np.uint8)) > 250
    assert not inside.any() or np.percentile(found.pixels[inside][:, 1], 2) > 120  # white, not the red background


def test_areas_outside_the_picture_are_trusted_background() -> None:
    """At a small zoom the picture is small, surrounded by grey or by its mirror image."""
    filled = Scene(np.full((60, 60, 3), 200, np.uint8), np.full((60, 60), 255, np.uint8), np.zeros((60, 60), np.uint8))
    empty = 0
    for seed in range(20):
        _, planes = look(filled, View(97, 0.1, 0.1, 0.0), np.random.default_rng(seed))
        outside = planes[..., 1] >= FULL_WEIGHT
        if outside.any():
            empty += 1
            assert (planes[..., 0][outside] < 255).all()
            assert outside.mean() > 0.4
    assert 8 <= empty <= 19  # a third of the views has mirrored borders


def test_the_size_of_a_person_in_views_follows_the_zoom() -> None:
    target = np.zeros((513, 513), np.uint8)
    target[156:356, 156:356] = 255
    person = Scene(np.zeros((513, 513, 3), np.uint8), target, np.full_like(target, FULL_WEIGHT))
    for zoom in (0.5, 1.0):
        areas = [
            (look(person, View(481, zoom, zoom, 0.0), np.random.default_rng(seed))[1][..., 0] > 127).sum()
            for seed in range(12)
        ]
        whole = max(areas)
        assert whole == pytest.approx((200 * zoom) ** 2, rel=0.05) or whole > (200 * zoom) ** 2


def test_only_pixels_on_both_sides_of_an_edge_have_a_higher_weight() -> None:
    target = np.zeros((193, 193), np.uint8)
    target[:, :96] = 255
    half = Scene(np.zeros((193, 193, 3), np.uint8), target, np.full_like(target, FULL_WEIGHT))
    judged = 0
    for seed in range(6):
        _, planes = look(half, View(193, 0.4, 0.4, 0.0), np.random.default_rng(seed))
        person = planes[..., 0] > 127
        edge = planes[..., 1] > FULL_WEIGHT
        if not edge.any():
            continue
        judged += 1
        assert edge.mean() < 0.3
        assert person[edge].any()
        assert (~person[edge]).any()
    assert judged


# Pasted people


def paint(height: int, width: int, colour: tuple[int, int, int], *, person: bool) -> Scene:
    """Return a picture of one colour that is completely person or completely background."""
    target = np.full((height, width), 255 if person else 0, np.uint8)
    return Scene(np.full((height, width, 3), colour, np.uint8), target, np.zeros((height, width), np.uint8))


RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)
SEEDS = range(30)


@pytest.mark.parametrize("seed", SEEDS)
def test_pasting_no_people_changes_nothing(seed: int) -> None:
    given_ = pattern(60, 80, seed)
    found = paste(given_, [], np.random.default_rng(seed))
    for now, then in zip(
        (found.pixels, found.target, found.weight), (given_.pixels, given_.target, given_.weight), strict=True
    ):
        assert np.array_equal(now, then)


def test_pasted_pixels_are_trusted_people_and_others_are_unchanged() -> None:
    covered = 0
    for seed in SEEDS:
        room = paint(80, 100, BLUE, person=False)
        found = paste(room, [paint(40, 20, RED, person=True)], np.random.default_rng(seed))
        pasted = found.target > 0
        assert np.array_equal(found.weight == FULL_WEIGHT, pasted)
        assert (found.pixels[~pasted] == BLUE).all()
        certain = found.target == 255
        assert (found.pixels[certain][:, 0] > found.pixels[certain][:, 2]).all()
        covered += pasted.any()
    assert covered > 20


def test_a_pasted_person_covers_a_person_pasted_before() -> None:
    hidden = 0
    for seed in SEEDS:
        people = [paint(40, 20, RED, person=True), paint(40, 20, GREEN, person=True)]
        one = paste(paint(80, 100, BLUE, person=False), people[:1], np.random.default_rng(seed))
        both = paste(paint(80, 100, BLUE, person=False), people, np.random.default_rng(seed))
        green = (both.pixels != one.pixels).any(axis=2) & (both.pixels[..., 1] > 100)
        overlap = green & (one.target == 255)
        hidden += overlap.any()
        assert (both.pixels[overlap][:, 1] > both.pixels[overlap][:, 0]).all()
        assert (both.target[overlap] > 100).all()
    assert hidden >= 3


def test_a_pasted_person_may_be_larger_than_the_picture_or_partly_outside() -> None:
    shares = []
    for seed in range(60):
        found = paste(
            paint(80, 100, BLUE, person=False), [paint(40, 40, RED, person=True)], np.random.default_rng(seed)
        )
        shares.append((found.target > 127).mean())
    assert max(shares) > 0.6
    assert min(shares) < 0.05
    assert len({round(share, 3) for share in shares}) > 30


def test_the_outline_of_a_pasted_person_is_soft() -> None:
    found = paste(scene(1, people=0), [scene(2)], np.random.default_rng(3))
    between = (found.target > 20) & (found.target < 235)
    assert between.any()
    assert between.sum() < (found.target == 255).sum()


@settings(max_examples=20, deadline=None)
@given(st.integers(8, 120), st.integers(8, 120), st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**16))
def test_people_of_any_size_are_pasted_into_pictures_of_any_size(
    height: int, width: int, tall: int, broad: int, seed: int
) -> None:
    room = pattern(height, width, seed)
    found = paste(room, [paint(tall, broad, RED, person=True)] * 3, np.random.default_rng(seed))
    assert found.pixels.shape == room.pixels.shape
    assert found.target.shape == found.weight.shape == room.target.shape
    assert (found.target[found.weight > FULL_WEIGHT] == 0).all()


def test_planes_hold_target_and_weight() -> None:
    given_ = pattern(10, 12, 1)
    planes = given_.planes()
    assert np.array_equal(planes[..., 0], given_.target)
    assert np.array_equal(planes[..., 1], given_.weight)
