"""All models of a folder, the versions that serve, and changes of these while requests are served."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from weakref import WeakSet

from danmatte.background_tasks import BackgroundTasks
from danmatte.contract import artifact
from danmatte.contract.near_words import did_you_mean
from danmatte.engine import Served
from danmatte.errors import (
    InvalidParameterError,
    ModelError,
    PolicyError,
    SettingsError,
    UnknownModelError,
    UnknownVersionError,
    brief,
)
from danmatte.models.answer_check import NO_CHECK, AnswerCheck, EngineFactory
from danmatte.models.listing import ModelListing, explain_absence, list_model
from danmatte.models.lru import VersionKey, VersionLru
from danmatte.models.policy import (
    CANARY,
    STABLE,
    UNKNOWN,
    Policy,
    PolicyFolder,
    get_files,
    put_files,
    remember_policy,
    write_policy,
)
from danmatte.models.scan import FoundModel, scan_model
from danmatte.models.state import Fault, ModelState, renew
from danmatte.models.watch import Watch

log = logging.getLogger(__name__)


class Repository:
    """The models by name. A bad version is reported, changes nothing, and isn't retried until its files change.

    Changes are prepared in a thread, one at a time, and applied in a single step on the event loop, so that a request
    gets either the old version or the new one. Requests that use the old version keep it; it is freed after the last.
    """

    def __init__(
        self,
        root: Path,
        open_engine: EngineFactory,
        *,
        default: str = "",
        spares: int = 1,
        check: AnswerCheck = NO_CHECK,
        policies: PolicyFolder | None = None,
    ) -> None:
        """Policies are read from the folder of models, unless `policies` names another folder."""
        self._policies = policies or PolicyFolder(root)
        self._root, self._open_engine, self._check = root, open_engine, check
        self._default = default
        self._models: dict[str, ModelState] = {}
        self._spares = VersionLru(spares)
        self._opening: dict[VersionKey, asyncio.Task[Served]] = {}
        self._replaced: WeakSet[Served] = WeakSet()
        self._watch = Watch(root, self.refresh, self._policies.root)
        self._tasks = BackgroundTasks()
        self._changing = asyncio.Lock()
        self._closed = False

    def load(self) -> Served:
        """Open the versions that the policies require, and return the default model's stable version.

        Takes seconds. Raises SettingsError if the default model can't be served, or none is named and several make
        masks.
        """
        self._watch.accept()
        for ignored in artifact.list_ignored(self._root):
            log.info("ignored: %s", ignored)
        for name in artifact.list_models(self._root):
            self._replace_state(self._compute_state(name))
        if not self._default:
            good = [name for name, model in self._models.items() if model.stable]
            if len(good) > 1:  # other models, such as one that judges quality, are requested by name
                good = [name for name in good if self._makes_masks(name)] or good
            if len(good) > 1:
                raise SettingsError(f"{self._root}: several models ({', '.join(good)}): choose one with --model")
            self._default = good[0] if good else ""
        stable = self._get_state(self._default).stable
        if not stable:
            raise SettingsError(f"{self._root}: {explain_absence(self._models.values(), self._default)}")
        return stable

    def _makes_masks(self, name: str) -> bool:
        stable = self._models[name].stable
        return stable is not None and stable.manifest.makes_masks

    async def find(self, name: str = "", version: int | None = None, label: str = "") -> Served:
        """Return the version with this number or label, or otherwise the one that the model's policy draws.

        A version that isn't open is opened, once for all requests that wait for it. Raises UnknownModelError,
        UnknownVersionError, UnknownLabelError, ModelError.
        """
        model = self._find_state(name or self._default)
        if version is None and not label:
            return _draw(model)
        version = model.resolve_label(label) if version is None else version
        served = model.get_open(version) or self._spares.get((model.name, version))
        if served:
            return served
        if version in model.faults:
            raise ModelError(model.faults[version].reason)
        if version not in model.found.versions:  # it may have been published after the last scan
            found = await asyncio.to_thread(artifact.list_versions, self._root, model.name)
            if version not in found:
                raise UnknownVersionError(f"version: {model.name} has {found}, received {version}")
        key = (model.name, version)
        if key not in self._opening:
            task = self._opening[key] = asyncio.create_task(self._open_spare(key))
            task.add_done_callback(lambda task: (self._opening.pop(key), task.cancelled() or task.exception()))
        return await asyncio.shield(self._opening[key])  # a cancelled request must not cancel it for the others

    def find_region(self, region: str) -> Served:
        """Return the stable version that finds this region, of the default model or else of the first one by name.

        Raises InvalidParameterError if no model finds it.
        """
        served = [model.stable for _, model in sorted(self._models.items()) if model.policy.enabled and model.stable]
        served.sort(key=lambda each: each.manifest.name != self._default)
        known = [(name, each) for each in served for _, _, name in each.manifest.list_channels()]
        for name, each in known:
            if name == region:
                return each
        hint = did_you_mean(region, [name for name, _ in known])
        raise InvalidParameterError(f"region: no model finds {brief(region)}{hint}")

    def draw_label(self, name: str = "") -> str:
        """Return `stable` or `canary` as the policy draws, for a connection that keeps it; raises as `find` does."""
        model = self._find_state(name or self._default)
        return CANARY if _draw(model) is model.canary else STABLE

    async def refresh(self, name: str = "") -> None:
        """Scan one model or all models on disk again, and serve the versions that the policies now require."""
        for each in [name] if name else await asyncio.to_thread(artifact.list_models, self._root):
            async with self._changing:
                await self._renew(each)

    async def reload(self, name: str) -> None:
        """Refresh a model, and retry versions that failed; raises UnknownModelError."""
        async with self._changing:
            self._models[name] = replace(self._get_state(name), faults={})
            await self._renew(name)
        self._find_state(name, even_disabled=True)

    def refresh_soon(self) -> None:
        """Refresh all models in the background; for signal handlers."""
        self._tasks.start(self.refresh())

    @asynccontextmanager
    async def watch(self, every_s: float) -> AsyncIterator[None]:
        """Refresh models whose folders change, until the block ends; an `every_s` of 0 disables that."""
        if every_s:
            self._tasks.start(self._watch.run(every_s))
        try:
            yield
        finally:
            await self._tasks.end()

    def get_policy(self, name: str) -> Policy:
        """Return the model's policy; raises UnknownModelError."""
        return self._find_state(name or self._default, even_disabled=True).policy

    async def change_policy(self, name: str, change: Callable[[Policy], Policy], *, whole: bool = False) -> None:
        """Serve the model by the policy that `change` makes of the current one, and write it to disk.

        If the current policy can't be read, only a `whole` policy may replace it, because the unread parts of the file
        would be lost otherwise.

        Raises UnknownModelError, UnknownVersionError, PolicyError and ModelError, and then leaves everything unchanged.
        """
        async with self._changing:
            before = self._find_state(name, even_disabled=True)
            if before.policy is UNKNOWN and not whole:
                raise PolicyError(before.trouble)
            kept = await asyncio.to_thread(get_files, self._policies.root, name)
            await asyncio.to_thread(write_policy, self._policies.root, name, change(before.policy))
            await self._renew(name)
            after = self._find_state(name, even_disabled=True)  # its folder may have been removed meanwhile
            unmet = after.explain_unmet()
            if unmet and unmet != before.explain_unmet():
                await asyncio.to_thread(put_files, self._policies.root, name, kept)
                # Restore the remembered copy, too: otherwise it would hold the rejected policy.
                self._replace_state(replace(before, faults=after.faults))
                await self._renew(name)
                raise (UnknownVersionError if after.lacks_version else ModelError)(f"{unmet}; nothing was changed")

    async def roll_back(self, name: str) -> None:
        """Pin the newest good version below the stable one, and end a canary; raises as `change_policy` does."""
        model = self._find_state(name)
        for version in model.list_older():
            with suppress(ModelError, UnknownVersionError):
                return await self.change_policy(name, partial(Policy.pin_to, version=version))
        none = UnknownVersionError if model.stable_is_oldest else ModelError
        raise none(f"{name} has no good version below the stable one; nothing was changed")

    def list_models(self) -> list[ModelListing]:
        """Return every model with its versions, sorted by name. May be called from any thread."""
        models = sorted(self._models.items())  # an atomic copy, because the event loop may change the dictionary
        return [list_model(model, self._spares, is_default=name == self._default) for name, model in models]

    def close(self) -> None:
        """Close every engine, including those in use, and open no more."""
        self._closed = True
        for model in self._models.values():
            _close(model.open)
        _close([*self._spares, *self._replaced])

    def _get_state(self, name: str) -> ModelState:
        return self._models.get(name) or ModelState(name)

    def _find_state(self, name: str, even_disabled: bool = False) -> ModelState:
        model = self._models.get(name)
        if not model:
            raise UnknownModelError(f"model: unknown {brief(name)}{did_you_mean(name, list(self._models))}")
        if not model.policy.enabled and not even_disabled:
            raise ModelError(model.trouble or f"{name} was unloaded")
        return model

    async def _renew(self, name: str) -> None:
        self._replace_state(await asyncio.to_thread(self._compute_state, name))

    def _compute_state(self, name: str) -> ModelState:
        """Return the state that the model should have now; call it with the lock held, or before serving starts."""
        state = renew(
            self._get_state(name),
            self._policies.root,
            self._scan(name),
            lambda version: self._spares.peek((name, version)) or self._open((name, version)),
        )
        if self._policies.remembers and state.found.versions and not state.trouble:
            remember_policy(self._policies.root, name)
        return state

    def _scan(self, name: str) -> FoundModel:
        return scan_model(self._root, name, self._policies.root)

    def _replace_state(self, model: ModelState) -> None:
        """Replace the model's state; from then on, requests get the new one."""
        if self._closed:
            _close(model.open)
            return
        before = self._get_state(model.name).open
        self._models[model.name] = model
        if not model.found.versions and not model.open:
            del self._models[model.name]

        def is_wanted(key: VersionKey) -> bool:
            name, version = key
            return name != model.name or (model.may_stay_open(version) and not model.get_open(version))

        self._spares.retain(is_wanted)
        for served in model.open:
            if served not in before:
                role = STABLE if served is model.stable else CANARY
                log.info("%s/%s begins to serve as %s", served.manifest.name, served.manifest.version, role)
        for served in before:
            if served not in model.open:
                self._replaced.add(served)
                log.info("%s/%s is no longer served", served.manifest.name, served.manifest.version)

    def _open(self, key: VersionKey) -> Served:
        """Read and open a version, which is slow; raises ModelError for any failure."""
        try:
            found = artifact.read_version(self._root, *key)
            served = self._check.open(found, self._open_engine)
        except ModelError:
            raise
        except Exception as error:
            log.exception("%s/%s", *key)
            raise ModelError(f"{key[0]}/{key[1]}: {type(error).__name__}: {error}") from error
        wanted, real = found.manifest.configuration.precision, served.engine.precision
        if wanted != real:
            log.warning("%s/%s: measured with precision %s, runs with %s on this machine", *key, wanted, real)
        log.info("%s/%s is open", *key)
        return served

    async def _open_spare(self, key: VersionKey) -> Served:
        name, version = key
        async with self._changing:
            model = self._find_state(name)
            if served := model.get_open(version) or self._spares.get(key):
                return served
            found = await asyncio.to_thread(self._scan, name)
            try:
                served = await asyncio.to_thread(self._open, key)
            except ModelError as error:
                log.error("%s/%s is not served: %s", *key, error)
                fault = Fault(found.versions.get(version, ()), str(error))
                self._models[name] = replace(model, faults={**model.faults, version: fault})
                raise
            if self._closed:
                served.close()
            self._spares.add(key, served)
            return served


def _draw(model: ModelState) -> Served:
    served = model.draw()
    if not served:
        raise ModelError(explain_absence([model], model.name))
    return served


def _close(versions: list[Served]) -> None:
    for served in versions:
        served.close()
