"""The models of a folder: the newest good version of each is served, older ones on demand."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from service import artifact
from service.artifact import Artifact
from service.engine import Engine, Served
from service.errors import (
    ModelError,
    SettingsError,
    UnknownModelError,
    UnknownVersionError,
    brief,
    did_you_mean,
)

log = logging.getLogger(__name__)
EngineFactory: TypeAlias = Callable[[Artifact], Engine]
_Key: TypeAlias = tuple[str, int]


class Repository:
    """Versions by model. A bad one is reported and never stops the others; what failed isn't tried again."""

    def __init__(self, root: Path, open_engine: EngineFactory, *, default: str = "", spares: int = 1) -> None:
        self._root, self._open_engine = root, open_engine
        self._default, self._spares = default, spares
        self._newest: dict[str, Served] = {}
        self._spare: OrderedDict[_Key, Served] = OrderedDict()
        self._faults: dict[_Key, str] = {}
        self._opening: dict[_Key, asyncio.Task[Served]] = {}
        self._turn = asyncio.Lock()

    def load(self) -> Served:
        """Opens the newest good version of every model, and answers with the default's.

        Takes seconds. Raises SettingsError when the default model isn't there or can't be told.
        """
        for name in artifact.names(self._root):
            for version in artifact.versions(self._root, name):
                served = self._tried((name, version))
                if served:
                    self._newest[name] = served
                    break
        self._default = self._default or self._only()
        if self._default not in self._newest:
            raise SettingsError(f"{self._root}: {self._why_not(self._default)}")
        return self._newest[self._default]

    async def find(self, name: str = "", version: int | None = None) -> Served:
        """The version to use; raises UnknownModelError, UnknownVersionError, ModelError."""
        name = name or self._default
        newest = self._newest.get(name)
        if newest and version in (None, newest.manifest.version):
            return newest
        if version is None or not newest:
            raise self._missing(name)
        key = (name, version)
        if key in self._spare:
            self._spare.move_to_end(key)
            return self._spare[key]
        if key not in self._faults and version not in artifact.versions(self._root, name):
            raise UnknownVersionError(f"version: {name} has {artifact.versions(self._root, name)}, received {version}")
        return await asyncio.shield(self._opened(key))

    def listing(self) -> list[dict[str, Any]]:
        """Every model with its versions: `ready`, `available` on demand, or `failed` and why."""
        return [
            {
                "name": name,
                "default": name == self._default,
                "versions": [self._state((name, version)) for version in artifact.versions(self._root, name)],
            }
            for name in artifact.names(self._root)
        ]

    def close(self) -> None:
        """Closes every engine."""
        for served in (*self._newest.values(), *self._spare.values()):
            served.engine.close()

    def _open(self, key: _Key) -> Served:
        found = artifact.read(self._root, *key)
        served = Served(found.manifest, self._open_engine(found))
        wanted, real = found.manifest.configuration.precision, served.engine.precision
        if wanted != real:
            log.warning("%s/%s: measured in %s, runs in %s on this machine", *key, wanted, real)
        return served

    def _tried(self, key: _Key) -> Served | None:
        try:
            return self._open(key)
        except ModelError as error:
            log.error("%s/%s is not served: %s", *key, error)
            self._faults[key] = str(error)
            return None

    def _opened(self, key: _Key) -> "asyncio.Task[Served]":
        """One opening for all who wait for this version; it goes on when they leave."""
        if key not in self._opening:
            task = self._opening[key] = asyncio.create_task(self._open_spare(key))
            task.add_done_callback(lambda task: (self._opening.pop(key), task.cancelled() or task.exception()))
        return self._opening[key]

    async def _open_spare(self, key: _Key) -> Served:
        async with self._turn:
            served = None if key in self._faults else await asyncio.to_thread(self._tried, key)
        if not served:
            raise ModelError(self._faults[key])
        self._spare[key] = served
        while len(self._spare) > self._spares:
            self._spare.popitem(last=False)
        return served

    def _state(self, key: _Key) -> dict[str, Any]:
        name, version = key
        newest = self._newest.get(name)
        served = newest if newest and newest.manifest.version == version else self._spare.get(key)
        if served:
            _, height, width, _ = served.manifest.input.shape
            return {
                "version": version,
                "state": "ready",
                "input": [height, width],
                "precision": served.engine.precision,
            }
        if key in self._faults:
            return {"version": version, "state": "failed", "reason": self._faults[key]}
        return {"version": version, "state": "available"}

    def _only(self) -> str:
        known = list(self._newest)
        if len(known) > 1:
            raise SettingsError(f"{self._root}: several models ({', '.join(known)}): choose one with --model")
        return known[0] if known else ""

    def _missing(self, name: str) -> ModelError | UnknownModelError:
        if name in artifact.names(self._root) and name not in self._newest:
            return ModelError(self._why_not(name))
        return UnknownModelError(f"model: unknown {brief(name)}{did_you_mean(name, list(self._newest))}")

    def _why_not(self, name: str) -> str:
        faults = [f"{key[0]}/{key[1]}: {fault}" for key, fault in self._faults.items() if name in ("", key[0])]
        if faults:
            return "no version can be served: " + "; ".join(faults)
        return f"expected <name>/<version>/manifest.json of a model{f' named {name!r}' if name else ''}"
