"""All models of a folder, what answers for them, and how that changes while they are used."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from weakref import WeakSet

from danmatte.contract import artifact
from danmatte.contract.artifact import Artifact
from danmatte.engine import Engine, Served
from danmatte.errors import ModelError, SettingsError, UnknownModelError, UnknownVersionError, brief, did_you_mean
from danmatte.models import policy as policies
from danmatte.models.listing import listed, why_not
from danmatte.models.lru import Key, Spares
from danmatte.models.policy import CANARY, STABLE, Policy
from danmatte.models.scan import find, survey
from danmatte.models.state import Fault, Shelf, renewed
from danmatte.models.watch import Watch

log = logging.getLogger(__name__)
EngineFactory: TypeAlias = Callable[[Artifact], Engine]


class Event(NamedTuple):
    """What happened to a version: `opened`, `failed` and why, or `put aside`."""

    kind: str
    name: str
    version: int
    reason: str = ""


class Repository:
    """Versions by model; a bad one is reported, changes nothing, and isn't tried again until its files change.

    Every change is prepared in a thread, one after another, and takes place in one step on the loop: a request
    gets the old version or the new one. Whoever has the old one keeps it; it is freed when nobody does.
    """

    def __init__(
        self,
        root: Path,
        open_engine: EngineFactory,
        *,
        default: str = "",
        spares: int = 1,
        tell: Callable[[Event], object] = lambda event: None,
    ) -> None:
        self._root, self._open_engine, self._tell = root, open_engine, tell
        self._default = default
        self._shelves: dict[str, Shelf] = {}
        self._spares = Spares(spares)
        self._opening: dict[Key, asyncio.Task[Served]] = {}
        self._aside: WeakSet[Served] = WeakSet()
        self._watch = Watch(root, self.refresh)
        self._looking: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._closed = False

    def load(self) -> Served:
        """Opens what the policies want of every model, and answers with the default's.

        Takes seconds. Raises SettingsError when the default model isn't there or can't be told.
        """
        self._watch.settled()
        for name in survey(self._root):
            self._put(self._renewed(name))
        self._default = self._default or self._only()
        stable = self._shelf(self._default).stable
        if not stable:
            raise SettingsError(f"{self._root}: {why_not(self._shelves.values(), self._default)}")
        return stable

    async def find(self, name: str = "", version: int | None = None, label: str = "") -> Served:
        """The version to use: the one with this number or label, or whichever the model's policy draws.

        Raises UnknownModelError, UnknownVersionError, UnknownLabelError, ModelError.
        """
        shelf = self._known(name or self._default)
        if version is None and not label:
            return _drawn(shelf)
        version = shelf.labelled(label) if version is None else version
        served = shelf.has(version) or self._spares.get((shelf.name, version))
        if served:
            return served
        await self._check_there(shelf, version)
        return await asyncio.shield(self._opened((shelf.name, version)))

    def side(self, name: str = "") -> str:
        """`stable` or `canary`, as the model's policy draws, for a caller who is to stay with it; raises as `find`."""
        shelf = self._known(name or self._default)
        return CANARY if _drawn(shelf) is shelf.canary else STABLE

    async def refresh(self, name: str = "") -> None:
        """Looks at the disk again, at one model or at all, and serves what its policy wants now."""
        for each in [name] if name else await asyncio.to_thread(survey, self._root):
            async with self._turn:
                await self._renew(each)

    async def reload(self, name: str) -> None:
        """As `refresh`, and tries again what failed; raises UnknownModelError."""
        async with self._turn:
            self._shelves[name] = replace(self._shelf(name), faults={})
            await self._renew(name)
        self._known(name, even_disabled=True)

    def look_again(self) -> None:
        """Refreshes all models soon; for a signal's handler."""
        task = asyncio.get_running_loop().create_task(self.refresh())
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    @asynccontextmanager
    async def watched(self, every_s: float) -> AsyncIterator[None]:
        """Refreshes models whose folders change, until the block ends; never when `every_s` is 0."""
        if every_s:
            self._looking.add(asyncio.create_task(self._watch.run(every_s)))
        try:
            yield
        finally:
            for task in self._looking:
                task.cancel()
            await asyncio.gather(*self._looking, return_exceptions=True)

    def policy(self, name: str) -> Policy:
        """The model's policy; raises UnknownModelError."""
        return self._known(name or self._default, even_disabled=True).policy

    async def follow(self, name: str, change: Callable[[Policy], Policy]) -> None:
        """Has the model served by a policy made from the present one, and writes it to the disk.

        Raises UnknownModelError, UnknownVersionError, PolicyError and ModelError; then everything is as before.
        """
        async with self._turn:
            before = self._known(name, even_disabled=True)
            await self._write(name, change(before.policy))
            after = self._known(name, even_disabled=True)  # its folder may have gone meanwhile
            unmet = after.unmet()
            if unmet and unmet != before.unmet():
                await self._write(name, before.policy)
                raise (UnknownVersionError if after.lacks else ModelError)(f"{unmet}; nothing was changed")

    async def roll_back(self, name: str) -> None:
        """Pins the newest good version below the stable one, and ends a canary; raises as `follow`."""
        shelf = self._known(name)
        for version in shelf.below():
            with suppress(ModelError, UnknownVersionError):
                return await self.follow(name, partial(Policy.pinned, version=version))
        none = UnknownVersionError if shelf.lowest else ModelError
        raise none(f"{name} has no good version below the one that is stable; nothing was changed")

    def listing(self) -> list[dict[str, Any]]:
        """Every model with its versions: `ready`, `available` on demand, or `failed` and why."""
        shelves = sorted(self._shelves.items())  # at once: threads ask, too
        return [listed(shelf, self._spares, name == self._default) for name, shelf in shelves]

    def close(self) -> None:
        """Closes every engine, also those still in use, and opens no more."""
        self._closed = True
        for served in (*self._all_open(), *self._aside):
            served.close()

    def _all_open(self) -> list[Served]:
        return [*(served for shelf in self._shelves.values() for served in shelf.open), *self._spares]

    def _shelf(self, name: str) -> Shelf:
        return self._shelves.get(name) or Shelf(name)

    def _known(self, name: str, even_disabled: bool = False) -> Shelf:
        shelf = self._shelves.get(name)
        if not shelf:
            raise UnknownModelError(f"model: unknown {brief(name)}{did_you_mean(name, list(self._shelves))}")
        if not shelf.policy.enabled and not even_disabled:
            raise ModelError(f"{name} was unloaded")
        return shelf

    async def _write(self, name: str, policy: Policy) -> None:
        await asyncio.to_thread(policies.write, self._root, name, policy)
        await self._renew(name)

    async def _renew(self, name: str) -> None:
        self._put(await asyncio.to_thread(self._renewed, name))

    def _renewed(self, name: str) -> Shelf:
        """The model's shelf as it should be now; nobody else opens or puts anything meanwhile."""
        return renewed(
            self._shelf(name),
            self._root,
            find(self._root, name),
            lambda version: self._spares.peek((name, version)) or self._tried((name, version)),
        )

    def _put(self, shelf: Shelf) -> None:
        """The swap: from here on the new shelf answers."""
        if self._closed:
            _close(shelf.open)
            return
        before = self._shelf(shelf.name).open
        self._shelves[shelf.name] = shelf
        if not shelf.found.versions and not shelf.open:
            del self._shelves[shelf.name]
        self._spares.keep(lambda key: key[0] != shelf.name or (shelf.keeps(key[1]) and not shelf.has(key[1])))
        for served in before:
            if served not in shelf.open:
                self._put_aside(served)

    def _put_aside(self, served: Served) -> None:
        self._aside.add(served)
        log.info("%s/%s is put aside", served.manifest.name, served.manifest.version)
        self._tell(Event("put aside", served.manifest.name, served.manifest.version))

    def _tried(self, key: Key) -> Served:
        """The version, opened; raises ModelError, whatever it failed of."""
        try:
            found = artifact.read(self._root, *key)
            served = Served(found.manifest, self._open_engine(found))
        except ModelError as error:
            self._tell(Event("failed", *key, str(error)))
            raise
        except Exception as error:
            log.exception("%s/%s", *key)
            self._tell(Event("failed", *key, str(error)))
            raise ModelError(f"{key[0]}/{key[1]}: {type(error).__name__}: {error}") from error
        wanted, real = found.manifest.configuration.precision, served.engine.precision
        if wanted != real:
            log.warning("%s/%s: measured in %s, runs in %s on this machine", *key, wanted, real)
        self._tell(Event("opened", *key))
        return served

    async def _check_there(self, shelf: Shelf, version: int) -> None:
        """Looks once more for a version that isn't known yet."""
        if version in shelf.faults:
            raise ModelError(shelf.faults[version].reason)
        if version not in shelf.found.versions:
            there = await asyncio.to_thread(artifact.versions, self._root, shelf.name)
            if version not in there:
                raise UnknownVersionError(f"version: {shelf.name} has {there}, received {version}")

    def _opened(self, key: Key) -> "asyncio.Task[Served]":
        """One opening for all who wait for this version; it goes on when they leave."""
        if key not in self._opening:
            task = self._opening[key] = asyncio.create_task(self._open_spare(key))
            task.add_done_callback(lambda task: (self._opening.pop(key), task.cancelled() or task.exception()))
        return self._opening[key]

    async def _open_spare(self, key: Key) -> Served:
        name, version = key
        async with self._turn:
            shelf = self._known(name)
            if served := shelf.has(version) or self._spares.get(key):
                return served
            found = await asyncio.to_thread(find, self._root, name)
            try:
                served = await asyncio.to_thread(self._tried, key)
            except ModelError as error:
                log.error("%s/%s is not served: %s", *key, error)
                fault = Fault(found.versions.get(version, ()), str(error))
                self._shelves[name] = replace(shelf, faults={**shelf.faults, version: fault})
                raise
            if self._closed:
                served.close()
            self._spares.add(key, served)
            return served

    def _only(self) -> str:
        known = list(self._shelves)
        good = [name for name in known if self._shelves[name].stable]
        if len(good) > 1:
            raise SettingsError(f"{self._root}: several models ({', '.join(good)}): choose one with --model")
        return good[0] if good else ""


def _drawn(shelf: Shelf) -> Served:
    served = shelf.drawn()
    if not served:
        raise ModelError(why_not([shelf], shelf.name))
    return served


def _close(open_: list[Served]) -> None:
    for served in open_:
        served.close()
