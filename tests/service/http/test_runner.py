"""Connections are closed after a response when they should be."""

from tests.service.conftest import Start


async def answered(client, jpeg: bytes) -> str:
    """Return the `Connection` header of a response."""
    answer = await client.post("/v1/mattes", data=jpeg)
    assert answer.status == 200
    return answer.headers.get("Connection", "")


async def test_an_old_connection_is_closed_with_an_answer(start: Start, jpeg: bytes) -> None:
    client = await start(connection_s=1e-6)
    assert await answered(client, jpeg) == ""  # the first response: the connection isn't old yet
    assert await answered(client, jpeg) == "close"
    assert await answered(client, jpeg) == ""  # another connection


async def test_zero_keeps_them_for_ever(start: Start, jpeg: bytes) -> None:
    client = await start(connection_s=0)
    assert [await answered(client, jpeg) for _ in range(3)] == ["", "", ""]
