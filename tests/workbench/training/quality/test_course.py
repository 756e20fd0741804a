"""From pictures to the quality graph: samples, counts, training, export."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.source import read
from danmatte_workbench.training.quality import architecture, course, export, fit, samples, statistics
from danmatte_workbench.training.quality.degradation import Picture, blur
from danmatte_workbench.training.quality.samples import (
    GROUP,
    SIDE,
    Samples,
    draw_crops,
    list_pictures,
    make_samples,
    to_scores,
)

COUNT = 2 * GROUP


def test_samples_are_groups_of_one_picture_with_growing_damage(people: Path, tmp_path: Path) -> None:
    made = make_samples(list_pictures(people, "train"), COUNT, tmp_path, seed=1)
    assert made.counts.shape == (COUNT, statistics.build().output.shape[1])
    for group in made.decibels.reshape(-1, GROUP):
        assert group[0] > group[-1]
        assert group[0] == group.max()


def test_stored_samples_are_reused(people: Path, tmp_path: Path) -> None:
    pictures = list_pictures(people, "train")
    first = make_samples(pictures, COUNT, tmp_path, seed=1)
    again = make_samples([], COUNT, tmp_path, seed=1)  # nothing to draw from
    assert (first.counts == again.counts).all()
    same = make_samples(pictures, COUNT, tmp_path / "other", seed=1)
    # OpenCV's rounding depends on memory alignment, and a codec amplifies the difference.
    assert np.allclose(same.decibels, first.decibels, atol=0.1)
    assert not np.allclose(
        make_samples(pictures, COUNT, tmp_path / "another", seed=2).decibels, first.decibels, atol=0.1
    )


def test_many_crops_are_taken_where_there_is_most_detail(tmp_path: Path) -> None:
    picture = np.full((600, 800, 3), 90, np.uint8)
    picture[:, :400:40] = 200  # bars with large gaps
    picture[:300, 500:] = np.random.default_rng(1).integers(0, 256, (300, 300, 3))
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    crops = draw_crops([tmp_path / "a.png"], np.random.default_rng(1))
    details = [float(np.median(cv2.absdiff(crop[1:], crop[:-1]))) for crop, _ in zip(crops, range(60), strict=False)]
    assert 0.2 < np.mean(np.array(details) > 2) < 0.9  # a tenth of all places has this much


def test_scores_map_a_range_of_decibels_to_0_to_100() -> None:
    ends = samples.WORST_DB, samples.BEST_DB
    assert to_scores(np.array([0.0, *ends, samples.SAME_DB], np.float32)).tolist() == [0, 0, 100, 100]


def test_frames_of_videos_are_held_out(tmp_path: Path) -> None:
    for place in ("train/images/a", "train/images/davis_a", "unlabelled/images/b", "val/images/c"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{place}.jpg").touch()
    assert [path.stem for path in list_pictures(tmp_path, "train")] == ["a", "b"]
    assert [path.stem for path in list_pictures(tmp_path, "val")] == ["c", "davis_a"]


def test_missing_pictures_are_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected val/images/\*\.jpg, found none"):
        list_pictures(tmp_path, "val")


@pytest.mark.parametrize("size", [(192, 192), (97, 130), (180, 320)])
def test_counts_can_be_computed_for_pictures_of_any_size(size: tuple[int, int], scene: Picture) -> None:
    picture = np.tile(scene, (1, 2, 1))[: size[0], : size[1]]
    counts = architecture.count(picture[None])
    assert counts.shape == (1, statistics.build().output.shape[1])
    assert np.isfinite(counts).all()


def test_counts_equal_those_of_the_exported_network(scene: Picture) -> None:
    pictures = np.stack([scene, scene[::-1]])
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(architecture.count, [pictures] * 4))
    expected = np.asarray(statistics.build()(pictures.astype(np.float32)))
    assert all(np.allclose(each, expected, atol=1e-3) for each in found)


def test_counts_change_with_blur_and_hardly_with_mirroring(scene: Picture) -> None:
    same, mirrored, blurred = architecture.count(np.stack([scene, scene[:, ::-1], blur(scene, 2.0)]))
    assert np.abs(mirrored - same).mean() < 0.1 * np.abs(blurred - same).mean()


def test_a_judge_learns_to_rank_and_is_reproducible_by_seed() -> None:
    rng = np.random.default_rng(1)
    decibels = rng.uniform(samples.WORST_DB, samples.BEST_DB, 40 * GROUP).astype(np.float32)
    counts = np.stack([decibels, rng.normal(0, 1, decibels.size)], axis=1).astype(np.float32)
    plan = fit.Plan(epochs=60, batch=32, peak=1e-2)
    made = Samples(counts, decibels)
    judges = [fit.fit(made, plan=plan, seed=3) for _ in range(2)]
    figures = fit.check(judges[0], made)
    assert figures.spearman > 0.95
    assert 0.95 < figures.in_order <= 1
    assert figures.samples == decibels.size
    assert np.allclose(*(np.asarray(judge(counts)) for judge in judges))


def test_pairs_in_the_wrong_order_cost_more_than_an_offset() -> None:
    truth = np.array([[80.0, 60.0, 40.0, 20.0]], np.float32)
    right, swapped = (float(fit.measure_loss(truth, truth[:, order])) for order in ([0, 1, 2, 3], [1, 0, 2, 3]))
    assert right == 0
    assert swapped > float(fit.measure_loss(truth, truth - 10.0))


def test_training_writes_figures_and_a_graph_with_the_output_of_the_network(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Picture
) -> None:
    import tensorflow as tf

    monkeypatch.setattr(course, "CHECKED", COUNT)
    trained, export_graph = [], export.export

    def note(network: keras.Model, path: Path) -> None:
        trained.append(network)
        export_graph(network, path)

    monkeypatch.setattr(course.export, "export", note)
    graph = course.train(people, tmp_path, seed=1, count=COUNT)
    facts = json.loads((tmp_path / course.FIGURES).read_text())
    assert (facts["seed"], facts["trained_on"], facts["samples"]) == (1, COUNT, COUNT)
    source = read(tmp_path / "model.toml")
    assert (source.name, source.path, source.size) == ("quality", graph, (SIDE, SIDE))
    definition = tf.compat.v1.GraphDef.FromString(graph.read_bytes())
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(definition, name="")
        answer = session.run("score:0", {"picture:0": scene[None]})
    assert answer.shape == (1, 1)
    assert answer[0, 0] == pytest.approx(float(np.asarray(trained[0](scene[None].astype(np.float32)))[0, 0]), abs=1e-2)
