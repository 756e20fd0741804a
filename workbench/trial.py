"""Trials, each in a process of its own: what crashes, hangs or leaks there harms nobody else."""

import hashlib
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from workbench.dataset import BACKGROUND, PERSON, Dataset
from workbench.errors import MachineError, WorkbenchError
from workbench.metrics.accuracy import Score, score
from workbench.metrics.contender import Contender
from workbench.recipe import Recipe
from workbench.steps import Kitchen
from workbench.steps.base import cook
from workbench.store import Candidate, Store


def isolated(function: Callable[..., Any], *arguments: Any, timeout_s: float) -> Any:
    """``function(*arguments)`` in a fresh process; its WorkbenchError comes back as it was.

    Raises MachineError when the process dies or takes longer than ``timeout_s``.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_run, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    try:
        if not ours.poll(timeout_s):
            raise MachineError(f"{function.__name__}: not done within {timeout_s:.0f} s")
        answer = ours.recv()
    except EOFError as error:
        process.join()
        raise MachineError(f"{function.__name__}: its process died (exit code {process.exitcode})") from error
    finally:
        process.kill()
        process.join()
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _run(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        pipe.send(function(*arguments))
    except WorkbenchError as error:
        pipe.send(error)


def prepare(recipe: Recipe, kitchen: Kitchen, folder: Path) -> Candidate:
    """The candidate of the recipe, from the store if it was cooked before on the same frames."""
    store = Store(folder)
    frames = kitchen.calibration.digest() if any(step.kind == "quantize" for step in recipe.steps) else ""
    key = hashlib.sha256(f"{recipe.digest} {frames}".encode()).hexdigest()
    return store.get(recipe, key) or store.put(recipe, key, lambda target: cook(recipe, kitchen, target))


def believe(contender: Contender, dataset: Dataset, target: Path) -> None:
    """Write the contender's masks to ``target`` (.npz), as the truth that others are to agree with."""
    masks: dict[str, Any] = {sample.name: np.packbits(mask, axis=None) for sample, mask in contender.masks(dataset)}
    np.savez(target, **masks)


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
