"""What contenders answer on frames, and how far that is from the truth: functions for processes of their own."""

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.budget import DISAGREEMENT
from danmatte_workbench.dataset import BACKGROUND, PERSON, Dataset
from danmatte_workbench.metrics import agreement
from danmatte_workbench.metrics.accuracy import Score, score
from danmatte_workbench.metrics.contender import Contender

TOP1 = "top1"


def clock(contender: Contender, dataset: Dataset) -> float:
    """Seconds of one inference, the fastest of a few: enough to guess what hundreds will take."""
    pictures = [contender.framing.fit_exactly(sample.pixels) for sample in dataset]
    run = contender.open_all()
    run(pictures[0])
    took = []
    for picture in pictures:
        started = time.perf_counter()
        run(picture)
        took.append(time.perf_counter() - started)
    return min(took)


def believe(contender: Contender, dataset: Dataset, target: Path) -> None:
    """Write the contender's masks to ``target`` (.npz), as the truth that others are to agree with."""
    masks = {sample.name: np.packbits(mask, axis=None) for sample, mask in contender.masks(dataset)}
    _write(target, masks)


def compare(contender: Contender, dataset: Dataset, truth: Path | None) -> list[Score]:
    """The contender's scores, against the dataset's own masks or those in ``truth``."""
    believed = dict(np.load(truth)) if truth else {}
    scores = []
    for sample, mask in contender.masks(dataset):
        right = sample.truth
        if truth:
            bits = np.unpackbits(believed[sample.name], count=mask.size).reshape(mask.shape)
            right = np.where(bits > 0, PERSON, BACKGROUND).astype(np.uint8)
        assert right is not None, f"{sample.name} has no mask"
        scores.append(score(sample.name, mask, right))
    return scores


def answer(contender: Contender, dataset: Dataset, target: Path) -> None:
    """Write all tensors that the contender answers to ``target`` (.npz), for others to agree with."""
    answers = enumerate(contender.tensors(dataset))
    _write(target, {f"{n} {i}": tensor for n, (_, tensors) in answers for i, tensor in enumerate(tensors)})


def agree(contender: Contender, dataset: Dataset, truth: Path, host: Host) -> list[Measurement]:
    """How far the contender's tensors are from those in ``truth``, and whether the same class is highest."""
    kept = np.load(truth)
    count = len({name.split()[0] for name in kept.files})
    outputs = len(kept.files) // max(1, count)
    source = [tuple(kept[f"{number} {output}"] for output in range(outputs)) for number in range(count)]
    candidate = [tensors for _, tensors in contender.tensors(dataset)]
    found = [
        agreement.disagreement(source, candidate, DISAGREEMENT, host),
        agreement.top1(source, candidate, TOP1, host),
    ]
    return [item for item in found if item is not None]


def _write(target: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(prefix=".", suffix=".npz", dir=target.parent)
    with os.fdopen(handle, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    Path(unfinished).replace(target)
