"""One request's life, the same over every protocol. Knows no transport.

    place      when its first byte is here, or a refusal: the queue is full, or the wait would be too long
    body       read and translated by the protocol, which holds the place meanwhile
    deadline   from here on the answer is awaited only so long
    version    by its number or label, or the one that the model's policy draws; opened if it isn't open
    permit     to compute, one for each picture, granted round-robin by caller
    answer     written by the protocol, which holds the place until its last byte

A protocol translates, and writes no more than this:

    async with requests.open(caller) as request:
        wanted = MaskRequest(await read_body(...), options)
        matte = await request.matte(wanted, selector, timing, timeout_s)
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from danmatte.contract.manifest import Manifest
from danmatte.engine import Served
from danmatte.errors import InvalidParameterError, UnknownLabelError, UnknownVersionError, brief
from danmatte.inference.admission import Admission, Deadline
from danmatte.inference.live_calls import LiveCalls
from danmatte.inference.matting import MaskOptions, MaskRequest, Matte, Matting, RegionSource, Stabilise
from danmatte.inference.tensors import InferRequest, Tensor, TensorInference
from danmatte.models import Policy, Repository
from danmatte.telemetry.statistics import Statistics
from danmatte.telemetry.timing import Timing

_DIGITS = 15


@dataclass(frozen=True)
class VersionSelector:
    """Which version answers: a number, a label, or neither for the one that the model's policy draws.

    An empty `model` is the default one.
    """

    model: str = ""
    version: int | None = None
    label: str = ""

    @classmethod
    def parse(cls, model: str, version: str = "", label: str = "") -> "VersionSelector":
        """From a version in decimal digits, empty for none; raises UnknownVersionError."""
        if not version:
            return cls(model, None, label)
        if not (version.isascii() and version.isdecimal() and len(version) <= _DIGITS):
            raise UnknownVersionError(f"version: expected a number, received {brief(version)}")
        return cls(model, int(version), label)

    @classmethod
    def parse_tfs(cls, model: str, version: str = "", label: str = "") -> "VersionSelector":
        """As TensorFlow Serving has it: version 0 is none, and OVMS' client sends that for the default."""
        return cls.parse(model, "" if version == "0" else version, label)

    @classmethod
    def of(cls, manifest: Manifest) -> "VersionSelector":
        """Exactly this version, even if the policy draws another by then."""
        return cls(manifest.name, manifest.version)


class Requests:
    """Opens requests, and holds what they share: the repository, admission, matting, live calls, statistics."""

    def __init__(
        self,
        repository: Repository,
        admission: Admission,
        matting: Matting,
        live: LiveCalls,
        statistics: Statistics | None = None,
    ) -> None:
        """`statistics` are those in which the repository's engines count their calls."""
        self.repository, self.admission, self.matting, self.live = repository, admission, matting, live
        self.inference = TensorInference(matting)
        self.statistics = statistics or Statistics()

    @property
    def ready(self) -> bool:
        """Whether new requests have a chance: the server is neither draining nor stuck, and its threads work."""
        return self.admission.ready and not self.matting.stuck

    @property
    def stuck(self) -> bool:
        """Whether nothing was answered in time, or a thread doesn't come back: another process would do better."""
        return self.admission.stuck or self.matting.stuck

    @property
    def places(self) -> int:
        """How many requests may be inside at once."""
        return self.admission.queue

    def open(self, caller: str, *, lasting: bool = False) -> "Request":
        """A request, or with `lasting` a connection of many; entering it raises OverloadError.

        `caller` is whose requests share fairly with those of others: a key's name or an address.
        """
        return Request(self, caller, lasting=lasting)

    async def find(self, selector: VersionSelector) -> Served:
        """A version, for questions about it, which need no place.

        Raises UnknownModelError, UnknownVersionError, UnknownLabelError, ModelError, and DeadlineError when opening it
        takes too long.
        """
        async with self.admission.deadline():
            return await self.repository.find(selector.model, selector.version, selector.label)

    def check(self, options: MaskOptions) -> None:
        """Raises InvalidParameterError when such masks aren't made."""
        self.matting.check(options)


class Request:
    """A request inside, from the first byte of its body to the last of its answer; an asynchronous context manager."""

    def __init__(self, shared: Requests, caller: str, *, lasting: bool) -> None:
        self._shared, self._lasting = shared, lasting
        self._place = shared.admission.place(caller, lasting=lasting)
        self._policy: Policy | None = None
        self._side = ""  # `stable` or `canary`, once drawn for a lasting request

    async def __aenter__(self) -> Self:
        await self._place.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._place.__aexit__(kind, error, trace)

    def hold(self, count: int) -> None:
        """Counts so many bytes of body or answer as held, until they are let go or the request leaves.

        Raises QueueFullError where all requests together hold too many.
        """
        self._place.hold(count)

    def let_go(self, count: int) -> None:
        """Counts so many bytes as no longer held."""
        self._place.let_go(count)

    def send(self, give_up: Callable[[], object]) -> AbstractContextManager[None]:
        """The block writes a piece of the answer, as large as is read in a moment.

        `give_up` ends it where its room is needed, above all where nobody reads.
        """
        return self._place.send(give_up)

    def deadline(self, timeout_s: float | None = None) -> Deadline:
        """A block that may take as long as the server and the caller's own limit let it; raises DeadlineError."""
        return self._shared.admission.deadline(timeout_s)

    async def find(self, selector: VersionSelector) -> Served:
        """The version that answers, opened if it wasn't; to be called within a `deadline`.

        A lasting request stays with the side of a canary that was drawn for it, as masks that come from two versions
        in turn would flicker; it is drawn anew when the policy changes, or that side can't be served any more.
        """
        repository = self._shared.repository
        if not self._lasting or selector.label or selector.version is not None:
            return await repository.find(selector.model, selector.version, selector.label)
        policy = repository.get_policy(selector.model)
        if policy != self._policy:
            self._policy, self._side = policy, repository.draw_label(selector.model)
        try:
            return await repository.find(selector.model, label=self._side)
        except UnknownLabelError:
            self._side = repository.draw_label(selector.model)
            return await repository.find(selector.model, label=self._side)

    async def matte(
        self,
        wanted: MaskRequest,
        selector: VersionSelector,
        timing: Timing,
        timeout_s: float | None = None,
        stabilise: Stabilise | None = None,
    ) -> Matte:
        """A picture's matte, within the deadline; counted in `statistics`.

        Raises RequestError, OverloadError, ModelError and EngineError."""
        shared, began = self._shared, time.perf_counter()
        async with self.deadline(timeout_s):
            served = await self.find(selector)
            sources = find_sources(shared.repository, served, wanted.options.regions)
            if len(sources) > 1 and stabilise:
                models = " and ".join(source.served.manifest.name for source in sources)
                raise InvalidParameterError(f"stabilise: expected regions of one model, received {models}")
            key = (served.manifest.name, served.manifest.version)
            region = "+".join(sorted(set(wanted.options.regions) or {served.manifest.default_region}))
            timing.note_version(*key, region)
            try:
                async with self._place.permit(timing):
                    if len(sources) == 1:
                        matte = await shared.matting.run(wanted, sources[0].served, timing, stabilise)
                    else:
                        matte = await shared.matting.run_together(wanted, sources, timing)
            except BaseException:
                shared.statistics.count_failure(key, time.perf_counter() - began, region)
                raise
            shared.statistics.count(key, timing, time.perf_counter() - began)
            return matte

    async def infer(
        self, wanted: InferRequest, selector: VersionSelector, timing: Timing, timeout_s: float | None = None
    ) -> tuple[Served, list[Tensor]]:
        """Output tensors, and the version that gave them, within the deadline; counted in `statistics`.

        Raises TensorError, RequestError, OverloadError, ModelError and EngineError.
        """
        shared, began = self._shared, time.perf_counter()
        async with self.deadline(timeout_s):
            served = await self.find(selector)
            key = (served.manifest.name, served.manifest.version)
            region = served.manifest.default_region if wanted.wants_masks(served.manifest) else ""
            timing.note_version(*key, region)
            try:
                free = shared.admission.free
                outputs = await shared.inference.run(wanted, served, timing, self._place.permit, free=free)
            except BaseException:
                shared.statistics.count_failure(key, time.perf_counter() - began, region)
                raise
            shared.statistics.count(key, timing, time.perf_counter() - began)
            return served, outputs


def find_sources(repository: Repository, served: Served, regions: tuple[str, ...]) -> list[RegionSource]:
    """The versions that find these regions, the asked one before others of the repository.

    Raises InvalidParameterError for a region that no model finds.
    """
    own = {region for _, _, region in served.manifest.list_channels()}
    wanted: dict[Served, list[str]] = {}
    for region in regions:
        wanted.setdefault(served if region in own else repository.find_region(region), []).append(region)
    return [RegionSource(each, tuple(names)) for each, names in wanted.items()] or [RegionSource(served, ())]
