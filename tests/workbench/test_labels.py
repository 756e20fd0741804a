"""Labels of pictures: classes from folders, boxes from a file in COCO's format; and the metrics that use them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from danmatte_workbench.dataset import load
from danmatte_workbench.errors import InputError
from danmatte_workbench.labels import LabelledBox
from danmatte_workbench.metrics.agreement import FrameLabels, label_kinds, score_tensors
from danmatte_workbench.metrics.outputs import LabelledBoxesMeasure, LabelledScoresMeasure

SIZE = (100, 200)  # height, width


def write_pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.zeros((*SIZE, 3), np.uint8))
    return folder


def write_boxes(folder: Path, images: list[dict[str, object]], annotations: list[dict[str, object]]) -> Path:
    (folder / "boxes.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return folder


def describe(number: int, name: str) -> dict[str, object]:
    return {"id": number, "file_name": name, "width": SIZE[1], "height": SIZE[0], "licence": "unread"}


def test_folders_named_by_numbers_are_classes_and_not_kinds(tmp_path: Path) -> None:
    found = load(write_pictures(tmp_path, "7/a.png", "7/b.png", "281/c.png"))
    assert found.classified
    assert [(frame.name, frame.class_number) for frame in found] == [("281/c.png", 281), ("7/a.png", 7), ("7/b.png", 7)]
    assert not found.kinds


def test_folders_are_numbered_by_their_lines_in_classes_txt(tmp_path: Path) -> None:
    write_pictures(tmp_path, "cat/a.png", "dog/b.png")
    (tmp_path / "classes.txt").write_text("background\ncat\ndog\n")
    assert [frame.class_number for frame in load(tmp_path)] == [1, 2]
    (tmp_path / "classes.txt").write_text("cats\ndogs\n")
    with pytest.raises(InputError, match=r"classes\.txt: expected the folder of cat/a\.png as one of its lines.*cats"):
        load(tmp_path)


def test_other_folders_are_kinds_of_scene(tmp_path: Path) -> None:
    found = load(write_pictures(tmp_path, "day/a.png", "night/b.png"))
    assert not found.classified
    assert set(found.kinds.values()) == {"day", "night"}


def test_boxes_are_read_as_shares_of_the_picture(tmp_path: Path) -> None:
    write_pictures(tmp_path, "a.png", "b.png")
    box = {"image_id": 4, "category_id": 17, "bbox": [20, 10, 100, 50], "iscrowd": 0}
    write_boxes(tmp_path, [describe(4, "a.png"), describe(5, "b.png")], [box])
    first, second = load(tmp_path)
    assert first.boxes == (LabelledBox(0.1, 0.1, 0.6, 0.6, 17),)
    assert (second.boxes, load(tmp_path).boxed) == ((), True)


@pytest.mark.parametrize(
    ("images", "annotations", "says"),
    [
        ([describe(4, "a.png")], [{"image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1]}], "has the image_id 9"),
        ([describe(4, "z.png")], [], r"1 of 1 pictures are missing in it, such as a\.png"),
        ([describe(4, "a.png")], [{"image_id": 4, "category_id": 1, "bbox": [0, 0, 1]}], "expected images and annot"),
        ([{"id": 4}], [], "expected images and annotations in COCO's format"),
    ],
)
def test_a_file_of_boxes_that_does_not_match_the_pictures_is_refused(
    tmp_path: Path, images, annotations, says: str
) -> None:
    write_boxes(write_pictures(tmp_path, "a.png"), images, annotations)
    with pytest.raises(InputError, match=says):
        load(tmp_path)


def test_labelled_metrics_are_used_only_if_all_frames_have_labels(tmp_path: Path) -> None:
    classes, bare = tmp_path / "classes", tmp_path / "bare"
    data = load(write_pictures(classes, "7/a.png", "281/c.png"))
    assert label_kinds(("scores", "boxes", "tensor"), data) == ("labelled scores", "boxes", "tensor")
    assert label_kinds(("scores",), load(write_pictures(bare, "a.png"))) == ("scores",)
    write_boxes(classes, [describe(1, "7/a.png"), describe(2, "281/c.png")], [])
    assert label_kinds(("boxes",), load(classes)) == ("labelled boxes",)


def answer(*scores: float) -> tuple[np.ndarray, ...]:
    return (np.array([scores], np.float32),)


def lose(kind: str, source: list, candidate: list, labels: list[FrameLabels]) -> float:
    names = [str(number) for number in range(len(source))]
    scores = score_tensors(names, source, candidate, (kind,), labels)
    measure = {"labelled scores": LabelledScoresMeasure, "labelled boxes": LabelledBoxesMeasure}[kind]
    return float(measure.compute(np.array([[score.samples[0] for score in scores]]))[0])


def test_only_frames_that_the_source_classifies_correctly_can_be_lost() -> None:
    """The source's answer for the first frame is wrong; of the other three, the candidate loses one and keeps two."""
    source = [answer(5, 0, 0), answer(0, 6, 5.8), answer(4, 0, 0), answer(0, 0, 7)]
    candidate = [answer(0, 5, 0), answer(0, 5.8, 6), answer(4, 0, 0), answer(0, 0, 7)]
    labels = [FrameLabels(number, None, SIZE) for number in (2, 1, 0, 2)]
    assert lose("labelled scores", source, candidate, labels) == pytest.approx(25)
    assert lose("labelled scores", source, source, labels) == 0


def test_a_candidate_that_classifies_more_frames_correctly_has_no_loss() -> None:
    source = [answer(1, 0.9, 0), answer(0, 3, 1), answer(0, 0, 2)]
    candidate = [answer(0.9, 1, 0), answer(0, 3, 1), answer(0, 0, 2)]
    labels = [FrameLabels(number, None, SIZE) for number in (1, 1, 2)]
    assert lose("labelled scores", source, candidate, labels) < 1


def test_labels_that_the_source_never_finds_are_refused() -> None:
    with pytest.raises(InputError, match="the source finds the class of no frame"):
        lose(
            "labelled scores",
            [answer(1, 0), answer(0, 1)],
            [answer(1, 0), answer(0, 1)],
            [FrameLabels(9, None, SIZE)] * 2,
        )


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 3, 2)], ids=["xyxy", "yxyx"])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (200.0, 100.0)], ids=["shares", "pixels"])
@pytest.mark.parametrize("offset", [0, -1], ids=["classes as labelled", "classes from 0"])
def test_boxes_are_compared_in_any_corner_order_unit_and_class_offset(order, scale, offset: int) -> None:
    corners = np.array([[0.1, 0.2, 0.4, 0.6], [0.5, 0.1, 0.9, 0.7]])
    truth = tuple(LabelledBox(*row, number) for row, number in zip(corners.tolist(), (1, 2), strict=True))

    def detect(shift: float) -> tuple[np.ndarray, ...]:
        boxes = ((corners + shift) * (scale * 2))[:, order]
        classes = np.array([[1, 2]], np.float32) + offset
        return boxes[None].astype(np.float32), classes, np.array([[0.9, 0.8]], np.float32)

    labels = [FrameLabels(-1, truth, SIZE)] * 3
    source, near, far = ([detect(shift)] * 3 for shift in (0.0, 0.02, 0.3))
    assert lose_boxes(source, source, labels) == 0
    assert 0 < lose_boxes(source, near, labels) < lose_boxes(source, far, labels) == pytest.approx(100)


def lose_boxes(source: list, candidate: list, labels: list[FrameLabels]) -> float:
    names = [str(number) for number in range(len(source))]
    scores = score_tensors(names, source, candidate, ("labelled boxes",) * 3, labels)
    return float(LabelledBoxesMeasure.compute(np.array([[score.samples[0] for score in scores]]))[0])
