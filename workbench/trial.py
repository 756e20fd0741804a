"""Trials, each in a process of its own: what crashes, hangs or leaks there harms nobody else."""

import hashlib
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from workbench.budget import DISAGREEMENT
from workbench.dataset import BACKGROUND, PERSON, Dataset
from workbench.errors import MachineError, WorkbenchError
from workbench.leash import Limits, end, end_with_parent, heard
from workbench.measurement import Host, Measurement
from workbench.metrics import agreement
from workbench.metrics.accuracy import Score, score
from workbench.metrics.contender import Contender
from workbench.recipe import Recipe
from workbench.steps import Kitchen
from workbench.steps.base import Begun, beginnings, cook
from workbench.store import Candidate, Store

TOP1 = "top1"


def isolated(function: Callable[..., Any], *arguments: Any, timeout_s: float, memory_gib: float = math.inf) -> Any:
    """``function(*arguments)`` in a fresh process; its WorkbenchError comes back as it was.

    Raises MachineError when the process dies, or takes more time or memory than it may.
    """
    limits = Limits(timeout_s, memory_gib)
    ours, theirs = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_run, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    try:
        answer = heard(ours, process, limits, function.__name__)
    except EOFError as error:
        process.join()
        raise MachineError(f"{function.__name__}: its process died (exit code {process.exitcode})") from error
    finally:
        end(process)
        ours.close()
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _run(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    end_with_parent()
    try:
        pipe.send(function(*arguments))
    except WorkbenchError as error:
        pipe.send(error)


@dataclass(frozen=True)
class Order:
    """A recipe to be cooked; ``folder`` is the store's. ``digests`` are the kitchen's frames', by their number."""

    recipe: Recipe
    kitchen: Kitchen
    folder: Path
    digests: Mapping[int, str]

    def key(self, recipe: Recipe) -> str:
        """Where a candidate of this recipe, or of a part of it, is kept: the frames that its steps look at count."""
        looked_at = max((step.fields["frames"] for step in recipe.steps if "frames" in step.fields), default=0)
        return hashlib.sha256(f"{recipe.digest} {self.digests[looked_at] if looked_at else ''}".encode()).hexdigest()

    def kept(self) -> Candidate | None:
        """The candidate, if it was cooked before."""
        return Store(self.folder).get(self.recipe, self.key(self.recipe))


def prepare(order: Order) -> Candidate:
    """The candidate, from the store if it is there, from the longest part of its recipe that is there if it isn't."""
    recipe, kitchen, store = order.recipe, order.kitchen, Store(order.folder)
    parent = _parent(order, store)
    begun = Begun(parent.artifact.path, parent.notes) if parent else None
    return order.kept() or store.put(
        recipe,
        order.key(recipe),
        lambda target: cook(recipe, kitchen, target, begun),
        parent=parent.digest if parent else kitchen.source.digest,
    )


def _parent(order: Order, store: Store) -> Candidate | None:
    """Of the candidates that this one's steps go on from, the one that most steps made."""
    shorter = beginnings(order.recipe, order.kitchen.source)[-2::-1]
    return next((found for part in shorter if (found := store.get(part, order.key(part)))), None)


def clock(contender: Contender, dataset: Dataset) -> float:
    """Seconds of one inference, the fastest of a few: enough to guess what hundreds will take."""
    pictures = [contender.framing.prepare(sample.pixels) for sample in dataset]
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
