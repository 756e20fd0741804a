"""The stages of a request without a transport: place, deadline, version, permit and response."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from danmatte.contract.artifact import Artifact
from danmatte.contract.manifest import Manifest
from danmatte.engine import FakeEngine
from danmatte.errors import (
    DeadlineError,
    DrainingError,
    InvalidParameterError,
    ModelError,
    PictureError,
    QueueFullError,
    RequestError,
    TensorError,
    UnknownModelError,
    UnknownVersionError,
)
from danmatte.frame import Size
from danmatte.inference.admission import Admission
from danmatte.inference.live_calls import LiveCalls
from danmatte.inference.matting import MaskOptions, MaskRequest, Matting
from danmatte.inference.request import Requests, VersionSelector
from danmatte.inference.tensors import MASK, InferRequest, Tensor
from danmatte.models import Canary, Policy, Repository
from danmatte.telemetry.statistics import Statistics
from danmatte.telemetry.timing import Timing
from tests.service.held import Gate, HeldEngine
from tests.service.toy import Toy, manifest, publish

TOY = Toy()
ANY = VersionSelector()
Make = Callable[..., Requests]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write two versions of a toy, which tests may change."""
    publish(tmp_path, version=1)
    publish(tmp_path, version=2)
    return tmp_path


@pytest.fixture
def make(folder: Path) -> Iterator[Make]:
    """Yield a function that makes requests to the toy.

    Every picture waits at the gate `held`. `opened` is called with each version before it is opened.
    """
    made: list[Requests] = []

    def build(
        *, held: Gate | None = None, opened: Callable[[int], object] = lambda version: None, **admission: float
    ) -> Requests:
        statistics = Statistics()

        def open_engine(found: Artifact) -> FakeEngine:
            opened(found.manifest.version)
            engine = HeldEngine(found.manifest, held) if held else FakeEngine(found.manifest)
            engine.executions = statistics.get_executions((found.manifest.name, found.manifest.version))
            return engine

        repository = Repository(folder, open_engine)
        repository.load()
        limits = {"queue": 8, "in_flight": 2, "deadline_s": 10.0} | admission
        matting = Matting(workers=2, max_pixels=10**6)
        made.append(Requests(repository, Admission(**limits), matting, LiveCalls(1), statistics))
        return made[-1]

    yield build
    for requests in made:
        requests.repository.close()
        requests.matting.close()


def light(*values: int) -> InferRequest:
    """Return a batch of pictures, each of one brightness."""
    pixels = np.stack([np.full((TOY.height, TOY.width, 3), value, np.uint8) for value in values])
    return InferRequest((Tensor("frame", "UINT8", pixels.shape, pixels),))


async def until(condition: Callable[[], bool]) -> None:
    """Wait at most a few seconds for a condition that has no event."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.002)


async def test_a_picture_gets_its_matte_and_every_phase_is_timed(make: Make, jpeg: bytes) -> None:
    requests, timing = make(), Timing()
    wanted = MaskRequest(jpeg, MaskOptions("raw", Size(36, 64), 0.5))
    async with requests.open("player") as request:
        matte = await request.matte(wanted, ANY, timing)
    assert (matte.version, matte.mask.size, len(matte.body)) == (2, Size(36, 64), 36 * 64)
    assert matte.mask.alpha[13, 36] == 255
    assert {"queue", "decode", "infer", "encode"} == timing.phases_ms.keys()
    assert (requests.admission.occupied, requests.admission.free) == (0, 2)


async def test_tensors_get_outputs_and_are_counted_in_statistics(make: Make) -> None:
    requests = make()
    async with requests.open("") as request:
        served, (person,) = await request.infer(light(0, 51), ANY, Timing())
        with pytest.raises(TensorError):
            await request.infer(InferRequest(light(1).inputs, ("x",)), ANY, Timing())
    assert served.manifest.version == 2
    assert np.array(person.values).mean((1, 2, 3)) == pytest.approx([0, 0.2])
    counted = requests.statistics.describe("toy", 2)
    assert (counted["inference_count"], counted["execution_count"]) == (2, 2)  # this graph takes one picture a call
    assert (counted["inference_stats"]["success"]["count"], counted["inference_stats"]["fail"]["count"]) == (1, 1)
    assert counted["region_stats"] == []


async def test_requests_for_masks_are_counted_by_region(make: Make, jpeg: bytes) -> None:
    requests, timing = make(), Timing()
    async with requests.open("") as request:
        await request.matte(MaskRequest(jpeg, MaskOptions(regions=("person", "person"))), ANY, Timing())
        await request.infer(InferRequest((Tensor("frame", "BYTES", (1,), [jpeg]),), (MASK,)), ANY, timing)
        with pytest.raises(RequestError):
            await request.matte(MaskRequest(b"none"), ANY, Timing())
        with pytest.raises(InvalidParameterError):
            await request.matte(MaskRequest(jpeg, MaskOptions(regions=("sky",))), ANY, Timing())
    assert timing.region == "person"
    (counted,) = requests.statistics.describe("toy", 2)["region_stats"]
    assert (counted["region"], counted["success"]["count"], counted["fail"]["count"]) == ("person", 2, 1)


async def test_a_mask_can_be_requested_as_an_output_of_inference(make: Make, jpeg: bytes) -> None:
    async with make().open("") as request:
        wanted = InferRequest((Tensor("frame", "BYTES", (1,), [jpeg]),), (MASK,))
        _, (mask,) = await request.infer(wanted, ANY, Timing())
    assert mask.values[0].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("selector", "version"),
    [(VersionSelector("toy", 1), 1), (VersionSelector("", 2), 2), (VersionSelector("toy", label="stable"), 2)],
)
async def test_inference_uses_the_requested_version(make: Make, selector: VersionSelector, version: int) -> None:
    async with make().open("") as request:
        served, _ = await request.infer(light(9), selector, Timing())
    assert served.manifest.version == version


async def test_an_invalid_picture_fails_alone_and_leaks_no_permit(make: Make, jpeg: bytes) -> None:
    requests = make()
    async with requests.open("") as request:
        with pytest.raises(PictureError):
            await request.matte(MaskRequest(jpeg[:99]), ANY, Timing())
        assert (await request.matte(MaskRequest(jpeg), ANY, Timing())).version == 2
    assert (requests.admission.occupied, requests.admission.free) == (0, 2)


async def test_unknown_models_and_versions_are_refused_by_name(make: Make) -> None:
    requests = make()
    async with requests.open("") as request:
        with pytest.raises(UnknownModelError, match="did you mean 'toy'"):
            await request.infer(light(1), VersionSelector("toi"), Timing())
        with pytest.raises(UnknownVersionError, match="received 9"):
            await request.infer(light(1), VersionSelector("toy", 9), Timing())
    with pytest.raises(UnknownVersionError, match="received 9"):
        await requests.find(VersionSelector("toy", 9))


@pytest.mark.parametrize("text", ["x", "-1", "1.0", "١", "9" * 16])
def test_a_version_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UnknownVersionError, match="version: expected a number"):
        VersionSelector.parse("toy", text)


def test_a_version_selector_is_made_from_text_or_a_manifest() -> None:
    assert VersionSelector.parse("toy") == VersionSelector("toy", None)
    assert VersionSelector.parse("toy", "12", "x") == VersionSelector("toy", 12, "x")
    facts = msgspec.convert(manifest(TOY), Manifest)
    assert VersionSelector.of(facts) == VersionSelector(facts.name, facts.version)


async def test_too_many_requests_are_refused_before_their_bodies_are_read(make: Make) -> None:
    requests = make(queue=1)
    async with requests.open("a"):
        with pytest.raises(QueueFullError, match="all 1 places"):
            async with requests.open("b"):
                pytest.fail("admitted")
    async with requests.open("b"):
        assert requests.admission.occupied == 1


async def test_the_heaviest_callers_newest_request_is_evicted_unless_its_response_has_begun(make: Make) -> None:
    for begins in (False, True):
        requests, order = make(queue=2), list[str]()

        async def stay(begins: bool, requests: Requests, order: list[str]) -> None:
            async with requests.open("greedy") as request:
                if begins:
                    with request.send(lambda: pytest.fail("evicted")):
                        pass
                order.append("inside")
                await asyncio.Event().wait()

        posts = [asyncio.create_task(stay(begins, requests, order)) for _ in range(2)]
        await until(lambda order=order: len(order) == 2)
        if begins:
            with pytest.raises(QueueFullError):
                async with requests.open("modest"):
                    pytest.fail("admitted")
        else:
            async with requests.open("modest"):
                with pytest.raises(QueueFullError, match="fewer"):
                    await posts[1]
        for post in posts:
            post.cancel()
        await asyncio.wait(posts)
        assert requests.admission.occupied == 0


async def test_a_request_over_its_deadline_fails_and_frees_its_permit(make: Make, jpeg: bytes) -> None:
    gate = Gate()
    requests = make(held=gate, in_flight=1)
    for timeout_s, limit in ((0.05, "0.05 s"), (None, "10 s")):
        requests.admission._deadline_s = 10 if timeout_s else 0.1
        limit = limit if timeout_s else "0.1 s"
        async with requests.open("") as request:
            with pytest.raises(DeadlineError, match=limit):
                await request.matte(MaskRequest(jpeg), ANY, Timing(), timeout_s)
    assert (requests.admission.occupied, requests.admission.free) == (0, 1)
    gate.let(9)


async def test_the_wait_for_a_permit_counts_as_queue_and_towards_the_deadline(make: Make, jpeg: bytes) -> None:
    gate = Gate()
    requests, timing = make(held=gate, in_flight=1), Timing()
    async with requests.open("") as first, requests.open("") as second:
        computing = asyncio.create_task(first.matte(MaskRequest(jpeg), ANY, Timing()))
        await until(lambda: gate.waiting == 1)
        with pytest.raises(DeadlineError):
            await second.matte(MaskRequest(jpeg), ANY, timing, 0.05)
        gate.let()
        await computing
    assert timing.phases_ms["queue"] >= 40
    assert "decode" not in timing.phases_ms


async def test_a_cancelled_request_frees_its_place_and_permit(make: Make, jpeg: bytes) -> None:
    gate = Gate()
    requests = make(held=gate)

    async def post() -> None:
        async with requests.open("") as request:
            await request.matte(MaskRequest(jpeg), ANY, Timing())

    leaving = asyncio.create_task(post())
    await until(lambda: gate.waiting == 1)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (requests.admission.occupied, requests.admission.free) == (0, 2)
    gate.let(2)
    await post()


async def test_accepted_requests_are_served_while_the_server_drains(make: Make, jpeg: bytes) -> None:
    requests = make()
    async with requests.open("") as request:
        draining = asyncio.create_task(requests.admission.drain(5))
        await asyncio.sleep(0)
        assert not requests.ready
        with pytest.raises(DrainingError):
            async with requests.open(""):
                pytest.fail("admitted")
        assert (await request.matte(MaskRequest(jpeg), ANY, Timing())).version == 2
    assert await draining


async def test_a_request_times_out_while_its_version_is_still_opening(make: Make) -> None:
    let = threading.Event()
    requests = make(opened=lambda version: version == 1 and let.wait(10), deadline_s=0.1)
    with pytest.raises(DeadlineError):
        await requests.find(VersionSelector("toy", 1))
    async with requests.open("") as request:
        with pytest.raises(DeadlineError):
            await request.infer(light(1), VersionSelector("toy", 1), Timing())
        let.set()
        requests.admission._deadline_s = 10.0
        served, _ = await request.infer(light(1), VersionSelector("toy", 1), Timing())
    assert served.manifest.version == 1


@asynccontextmanager
async def trial(requests: Requests, share: float) -> AsyncIterator[None]:
    """Make version 1 stable and version 2 a canary with this share."""
    policy = Policy(pin=1, canary=Canary(version=2, share=share))
    await requests.repository.change_policy("toy", lambda _: policy)
    yield


async def test_a_canary_takes_a_share_of_requests_and_long_lived_ones_keep_their_version(make: Make) -> None:
    requests = make()
    async with trial(requests, 0.5), requests.open("") as single, requests.open("", long_lived=True) as connection:
        drawn = [(await single.find(ANY)).manifest.version for _ in range(20)]
        stayed = {(await connection.find(ANY)).manifest.version for _ in range(20)}
    assert set(drawn) == {1, 2}
    assert len(stayed) == 1


async def test_a_long_lived_request_gets_a_new_version_when_the_policy_changes(make: Make) -> None:
    requests = make()
    async with trial(requests, 1.0), requests.open("", long_lived=True) as connection:
        assert (await connection.find(ANY)).manifest.version == 2
        await requests.repository.change_policy("toy", lambda policy: policy.pin_to(1))
        assert (await connection.find(ANY)).manifest.version == 1


async def test_a_long_lived_request_may_name_its_version_or_label(make: Make) -> None:
    requests = make()
    async with trial(requests, 1.0), requests.open("", long_lived=True) as connection:
        assert (await connection.find(VersionSelector("toy", 1))).manifest.version == 1
        assert (await connection.find(VersionSelector("toy", label="canary"))).manifest.version == 2


async def test_long_lived_requests_do_not_count_towards_the_limit_of_places(make: Make, jpeg: bytes) -> None:
    requests = make(queue=1)
    async with requests.open("", long_lived=True) as connection, requests.open("") as single:
        for request in (connection, single):
            assert (await request.matte(MaskRequest(jpeg), ANY, Timing())).version == 2
        assert (requests.admission.occupied, requests.places) == (2, 1)


async def test_requests_to_an_unloaded_model_are_refused(make: Make) -> None:
    requests = make()
    await requests.repository.change_policy("toy", lambda policy: Policy(enabled=False))
    async with requests.open("") as request:
        with pytest.raises(ModelError, match="unloaded"):
            await request.infer(light(1), ANY, Timing())


def test_too_large_masks_are_refused_before_the_body_is_read(make: Make) -> None:
    requests = make()
    requests.check(MaskOptions(size=Size(1000, 1000)))
    with pytest.raises(InvalidParameterError, match="at most 1000000 pixels"):
        requests.check(MaskOptions(size=Size(1000, 1001)))
