"""Quotas: the limits of a key, and the error that names the limit exceeded."""

from contextlib import AsyncExitStack

import pytest

from danmatte.errors import QueueFullError, QuotaError
from danmatte.http.api_keys import Quota
from danmatte.inference import quotas as module
from danmatte.inference.admission import Admission
from danmatte.inference.live_calls import LiveCalls
from danmatte.inference.quotas import Quotas
from danmatte.telemetry.timing import Timing


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock that the test sets."""
    times = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: times[0])
    return times


def build(**limits: float) -> Quotas:
    """Return quotas that limit only the key `page`."""
    return Quotas(lambda caller: Quota(**limits) if caller.startswith("page") else None)


def test_a_rate_allows_a_burst_and_then_its_number_of_requests_a_second(now: list[float]) -> None:
    quotas = build(rate=2, burst=3)
    for _ in range(3):
        quotas.check_rate("page")
    with pytest.raises(QuotaError, match="rate: page may send 2 requests a second, 3 at once") as refused:
        quotas.check_rate("page")
    assert refused.value.retry_after_s == 1
    now[0] += 0.5
    quotas.check_rate("page")
    with pytest.raises(QuotaError):
        quotas.check_rate("page")
    now[0] += 3600
    for _ in range(3):
        quotas.check_rate("page")
    with pytest.raises(QuotaError):
        quotas.check_rate("page")
    quotas.check_rate("other")


def test_viewers_share_the_quota_of_the_key_that_signed_their_tokens(now: list[float]) -> None:
    quotas = build(rate=1)
    quotas.check_rate("page/a")
    with pytest.raises(QuotaError):
        quotas.check_rate("page/b")


async def test_requests_in_progress_are_limited_and_released() -> None:
    admission = Admission(queue=9, in_flight=9, deadline_s=5, quotas=build(in_flight=1))
    for _ in range(2):
        async with admission.place("page"), admission.place("other"):
            with pytest.raises(QuotaError, match="in_flight: page may have 1 requests in progress"):
                async with admission.place("page"):
                    pass
            assert admission.occupied == 2


async def test_a_caller_over_its_quota_evicts_no_other_request() -> None:
    admission = Admission(queue=4, in_flight=1, deadline_s=5, quotas=build(in_flight=1))
    async with admission.place("page"), AsyncExitStack() as greedy:
        for _ in range(3):
            await greedy.enter_async_context(admission.place("greedy"))
        with pytest.raises(QuotaError):
            async with admission.place("page"):
                pass
        assert admission.occupied == 4


async def test_a_request_refused_for_lack_of_places_does_not_use_up_the_quota() -> None:
    admission = Admission(queue=1, in_flight=1, deadline_s=5, quotas=build(in_flight=1))
    async with admission.place("other"):
        with pytest.raises(QueueFullError):
            async with admission.place("page"):
                pass
    async with admission.place("page"):
        assert admission.occupied == 1


async def test_each_frame_of_a_live_connection_counts_as_a_request(now: list[float]) -> None:
    admission = Admission(queue=9, in_flight=9, deadline_s=5, quotas=build(rate=1, burst=2))
    async with admission.place("page", long_lived=True) as place:
        for _ in range(2):
            async with place.permit(Timing()):
                pass
        with pytest.raises(QuotaError):
            async with place.permit(Timing()):
                pass


def test_live_connections_are_limited_by_the_streams_quota() -> None:
    live = LiveCalls(9, build(streams=1))
    for _ in range(2):
        with (
            live.open("page/a", print),
            live.open("other", print),
            pytest.raises(QuotaError, match="streams: page may have 1 live connections"),
            live.open("page/b", print),
        ):
            pytest.fail("admitted")
