"""Pictures of masks: they include the worst frames, and show the masks unchanged."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from danmatte_workbench.dataset import Dataset, LabelledFrame, load
from danmatte_workbench.errors import MachineError
from danmatte_workbench.experiment import painting

SIZE = (120, 1200)


@dataclass(frozen=True)
class Painter:
    """A subject whose mask is the left part of each frame."""

    share: float

    def predict_masks(self, samples: Iterable[LabelledFrame]) -> Iterable[tuple[LabelledFrame, np.ndarray]]:
        for sample in samples:
            mask = np.zeros(sample.pixels.shape[:2], bool)
            mask[:, : int(self.share * mask.shape[1])] = True
            yield sample, mask


def frames(folder: Path, count: int) -> Dataset:
    for number in range(count):
        cv2.imwrite(str(folder / f"{number:02}.png"), np.full((*SIZE, 3), (9, 99, 199), np.uint8))
    return load(folder)


def test_the_frames_with_the_highest_losses_and_the_best_frame_are_shown(tmp_path: Path) -> None:
    data = frames(tmp_path, 20)
    losses = {name: float(number) for number, name in enumerate(data.names)}
    chosen = painting.choose_frames(data, losses).names
    assert len(chosen) == painting.FRAMES
    assert {f"{number}.png" for number in range(13, 20)} <= set(chosen)
    assert "00.png" in chosen
    assert len(painting.choose_frames(data.pick(3), losses)) == 3


def test_each_frame_is_written_with_both_masks_and_their_agreement(tmp_path: Path) -> None:
    data = frames(tmp_path, 2)
    losses = {"00.png": 0.125}
    rows = painting.paint(Painter(0.5), Painter(0.25), data, tmp_path / "masks", losses)  # type: ignore[arg-type]
    assert [row["lost"] for row in rows] == [12.5, None]
    assert [row["frame"] for row in rows] == ["00.png", "01.png"]
    assert rows[0]["size"] == [96, 960]
    assert rows[0]["iou"] == 0.5
    assert sorted(path.name for path in (tmp_path / "masks").iterdir())[:3] == list(rows[0]["files"].values())
    files = {name: str(tmp_path / "masks" / file) for name, file in rows[0]["files"].items()}
    source, winner = (cv2.imread(files[name], cv2.IMREAD_GRAYSCALE) for name in ("source", "winner"))
    assert (source[:, :478].min(), source[:, 482:].max()) == (255, 0)
    assert (winner[:, :238].min(), winner[:, 242:].max()) == (255, 0)
    assert np.abs(cv2.imread(files["frame"]).astype(int) - (9, 99, 199)).max() < 6


def test_a_frames_label_is_written_beside_its_masks(tmp_path: Path) -> None:
    for place in ("images", "masks"):
        (tmp_path / place).mkdir()
    cv2.imwrite(str(tmp_path / "images/1.png"), np.zeros((*SIZE, 3), np.uint8))
    label = np.zeros(SIZE, np.uint8)
    label[:, :300], label[:, 300:600] = 255, 128
    cv2.imwrite(str(tmp_path / "masks/1.png"), label)
    (row,) = painting.paint(Painter(0.5), Painter(0.25), load(tmp_path), tmp_path / "out", {})  # type: ignore[arg-type]
    written = cv2.imread(str(tmp_path / "out" / row["files"]["label"]), cv2.IMREAD_GRAYSCALE)
    assert set(np.unique(written)) == {0, 128, 255}
    assert written.shape == (96, 960)


@pytest.mark.parametrize("taken", ["masks", "masks/01-frame.jpg", "masks/02-winner.png"])
def test_a_picture_that_cannot_be_written_is_named(tmp_path: Path, taken: str) -> None:
    data = frames(tmp_path, 2)
    if taken == "masks":
        (tmp_path / taken).write_text("a file, no folder")
    else:
        (tmp_path / taken).mkdir(parents=True)
    with pytest.raises(MachineError, match=rf"{taken}\S*: can't be written"):
        painting.paint(Painter(0.5), Painter(0.25), data, tmp_path / "masks", {})  # type: ignore[arg-type]


def test_writing_pictures_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = frames(tmp_path, 1)
    painting.paint(Painter(0.5), Painter(0.25), data, tmp_path / "masks", {})  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", "")
