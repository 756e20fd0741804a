"""The stages of a request, the same for every protocol. Independent of any transport.

    place      occupied at the first byte, or refused: the queue is full, or the wait would be too long
    body       read and parsed by the protocol, while it occupies the place
    deadline   starts; the following stages must finish within it
    version    chosen by number or label, or by the model's policy; opened if it isn't open yet
    permit     to compute, one for each picture, granted round-robin by caller
    response   written by the protocol, which occupies the place until the last byte

A protocol only translates, with code such as this:

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
    """The version to use: a number, a label, or neither, which leaves the choice to the model's policy.

    An empty `model` means the default model.
    """

    model: str = ""
    version: int | None = None
    label: str = ""

    @classmethod
    def parse(cls, model: str, version: str = "", label: str = "") -> "VersionSelector":
        """Parse a version in decimal digits, or an empty string for none; raises UnknownVersionError."""
        if not version:
            return cls(model, None, label)
        if not (version.isascii() and version.isdecimal() and len(version) <= _DIGITS):
            raise UnknownVersionError(f"version: expected a number, received {brief(version)}")
        return cls(model, int(version), label)

    @classmethod
    def parse_tfs(cls, model: str, version: str = "", label: str = "") -> "VersionSelector":
        """Parse as TensorFlow Serving does: version 0 means none, which OVMS' client sends for the default."""
        return cls.parse(model, "" if version == "0" else version, label)

    @classmethod
    def of(cls, manifest: Manifest) -> "VersionSelector":
        """Return a selector of exactly this version, whatever the policy chooses later."""
        return cls(manifest.name, manifest.version)


class Requests:
    """A factory of requests, with all that they share: repository, admission, matting, live calls, statistics."""

    def __init__(
        self,
        repository: Repository,
        admission: Admission,
        matting: Matting,
        live: LiveCalls,
        statistics: Statistics | None = None,
    ) -> None:
        """`statistics` must be the object in which the repository's engines count their calls."""
        self.repository, self.admission, self.matting, self.live = repository, admission, matting, live
        self.inference = TensorInference(matting)
        self.statistics = statistics or Statistics()

    @property
    def ready(self) -> bool:
        """Whether new requests can be served: the server is neither leaving, draining nor stuck, and no thread is."""
        return self.admission.ready and not self.matting.stuck

    @property
    def stuck(self) -> bool:
        """Whether the last requests all missed the deadline, or a thread is stuck: the process should be replaced."""
        return self.admission.stuck or self.matting.stuck

    @property
    def places(self) -> int:
        """The maximum number of requests in progress, not counting long-lived ones."""
        return self.admission.queue

    def open(self, caller: str, *, long_lived: bool = False) -> "Request":
        """Return a request, or with `long_lived` a connection for many; entering it raises OverloadError.

        `caller` is a key's name or an address. Permits are shared fairly between callers.
        """
        return Request(self, caller, long_lived=long_lived)

    async def find(self, selector: VersionSelector) -> Served:
        """Return a version whose metadata a client requests; that needs no place.

        Raises UnknownModelError, UnknownVersionError, UnknownLabelError, ModelError, and DeadlineError if opening it
        takes too long.
        """
        async with self.admission.deadline():
            return await self.repository.find(selector.model, selector.version, selector.label)

    def check(self, options: MaskOptions) -> None:
        """Raise InvalidParameterError for options with which no mask can be made."""
        self.matting.check(options)


class Request:
    """An admitted request, from the first byte of its body to the last byte of its response.

    It is an asynchronous context manager.
    """

    def __init__(self, shared: Requests, caller: str, *, long_lived: bool) -> None:
        self._shared, self._long_lived = shared, long_lived
        self._place = shared.admission.place(caller, long_lived=long_lived)
        self._policy: Policy | None = None
        self._side = ""  # `stable` or `canary`, once drawn for a long-lived request

    async def __aenter__(self) -> Self:
        await self._place.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._place.__aexit__(kind, error, trace)

    def hold(self, count: int) -> None:
        """Add `count` bytes of body or response to those held, until they are released or the request ends.

        Raises QueueFullError if all requests together hold too many bytes.
        """
        self._place.hold(count)

    def release(self, count: int) -> None:
        """Subtract `count` bytes from those held."""
        self._place.release(count)

    def send(self, abort: Callable[[], object]) -> AbstractContextManager[None]:
        """Enter a block that writes a part of the response, small enough for a client to read it in a moment.

        `abort` is called if the response has to be aborted to free resources, first of all if the client doesn't read.
        """
        return self._place.send(abort)

    def deadline(self, timeout_s: float | None = None) -> Deadline:
        """Return a time limit for a block, the lower of the server's and the client's; raises DeadlineError."""
        return self._shared.admission.deadline(timeout_s)

    async def find(self, selector: VersionSelector) -> Served:
        """Return the version that computes the response, opened if necessary; call it within a `deadline`.

        A long-lived request keeps the version, stable or canary, that was drawn for it, because masks that alternate
        between two versions would flicker. It is drawn again when the policy changes or that version is no longer
        served.
        """
        repository = self._shared.repository
        if not self._long_lived or selector.label or selector.version is not None:
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
        """Return a picture's matte, within the deadline, and count it in `statistics`.

        Raises RequestError, OverloadError, ModelError and EngineError.
        """
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
        """Return the version used and its output tensors, within the deadline; counted in `statistics`.

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
    """Return the versions that find these regions; `served` is preferred to others of the repository.

    Raises InvalidParameterError for a region that no model finds.
    """
    own = {region for _, _, region in served.manifest.list_channels()}
    wanted: dict[Served, list[str]] = {}
    for region in regions:
        wanted.setdefault(served if region in own else repository.find_region(region), []).append(region)
    return [RegionSource(each, tuple(names)) for each, names in wanted.items()] or [RegionSource(served, ())]
