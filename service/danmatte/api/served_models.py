"""What V2 over HTTP, V2 over gRPC and TensorFlow Serving's REST share: models found, described, asked, counted."""

import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from danmatte.api.statistics import Statistics
from danmatte.contract.manifest import Manifest
from danmatte.contract.near_words import did_you_mean
from danmatte.engine import Served
from danmatte.errors import UnknownModelError, UnknownVersionError, brief
from danmatte.inference.admission import Admission
from danmatte.inference.tensors import Inference, Question, Tensor
from danmatte.models import Repository
from danmatte.telemetry.metrics import Timing

_DIGITS = 15


@dataclass(frozen=True)
class Named:
    """A version as callers name it: by its number in words, by a label, or by neither for the newest."""

    name: str
    version: str = ""
    label: str = ""


def exactly(manifest: Manifest) -> Named:
    """This version, whatever answers to the name alone by then."""
    return Named(manifest.name, str(manifest.version))


@dataclass(frozen=True)
class Caller:
    """Who asks: the fairness key, and how long the answer may take, if it was said."""

    name: str = ""
    timeout_s: float | None = None


class Models:
    """The one way from an inference protocol to a model."""

    def __init__(self, repository: Repository, admission: Admission, inference: Inference) -> None:
        self._repository, self._admission, self._inference = repository, admission, inference
        self._statistics = Statistics()

    @property
    def ready(self) -> bool:
        """Whether it makes sense to ask."""
        return self._admission.ready

    @property
    def places(self) -> int:
        """How many posts may be inside at once."""
        return self._admission.queue

    def place(self, caller: str) -> AbstractAsyncContextManager[None]:
        """A place inside; raises OverloadError."""
        return self._admission.place(caller)

    def deadline(self, timeout_s: float | None) -> AbstractAsyncContextManager[None]:
        """For all that follows a body; raises DeadlineError."""
        return self._admission.deadline(timeout_s)

    async def find(self, named: Named) -> Served:
        """The version, opened when it wasn't.

        Raises UnknownModelError, UnknownVersionError, ModelError, and DeadlineError when that takes too long.
        """
        async with self._admission.deadline():
            return await self._found(named)

    async def _found(self, named: Named) -> Served:
        return await self._repository.find(named.name, _number(named.version), named.label)

    async def infer(
        self, named: Named, question: Question, caller: Caller, timing: Timing
    ) -> tuple[Served, list[Tensor]]:
        """The outputs, and the version that gave them; the caller has a place already."""
        began = time.perf_counter()
        async with self._admission.deadline(caller.timeout_s):
            served = await self._found(named)
            key = (served.manifest.name, served.manifest.version)
            try:
                turn = partial(self._admission.turn, caller=caller.name)
                free = self._admission.free
                outputs = await self._inference.run(question, served, timing, turn, free=free)
            except BaseException:
                self._statistics.failed(key, time.perf_counter() - began)
                raise
            self._statistics.answered(key, question.inputs[0].shape[0], timing, time.perf_counter() - began)
            return served, outputs

    def versions(self, name: str) -> list[dict[str, Any]]:
        """The versions in the repository's own words, or `unloaded`; raises UnknownModelError."""
        listing = {model.name: model for model in self._repository.list_models()}
        if name not in listing:
            raise UnknownModelError(f"model: unknown {brief(name)}{did_you_mean(name, list(listing))}")
        over = {"state": "unloaded"} if listing[name].unloaded else {}
        return [msgspec.to_builtins(entry) | over for entry in listing[name].versions]

    def servable(self, name: str) -> list[str]:
        """The versions that can be asked, open ones and those that will be."""
        return [str(entry["version"]) for entry in self.versions(name) if entry["state"] in ("ready", "available")]

    def index(self) -> list[dict[str, str]]:
        """Every version of every model, as Triton lists a repository."""
        return [
            {
                "name": model.name,
                "version": str(version.version),
                "state": "READY" if version.state == "ready" else "UNAVAILABLE",
                "reason": version.reason,
            }
            for model in self._repository.list_models()
            for version in model.versions
        ]

    async def statistics(self, named: Named) -> dict[str, Any]:
        """Triton's statistics of one version, of all ready ones of a model, or of all models."""
        if named.name:
            await self.find(named)
        wanted = [
            (entry["name"], int(entry["version"]))
            for entry in self.index()
            if entry["state"] == "READY"
            and named.name in ("", entry["name"])
            and named.version in ("", entry["version"])
        ]
        return {"model_stats": [self._statistics.of(*key) for key in wanted]}


def _number(version: str) -> int | None:
    if not version:
        return None
    if not (version.isascii() and version.isdecimal() and len(version) <= _DIGITS):
        raise UnknownVersionError(f"version: expected a number, received {brief(version)}")
    return int(version)
