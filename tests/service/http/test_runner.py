"""Connections are closed after a response when they should be."""

from tests.service.conftest import Start


async def read_connection_header(client, jpeg: bytes) -> str:
    """Return the `Connection` header of a response."""
    answer = await client.post("/v1/mattes", data=jpeg)
    assert answer.status == 200
    return answer.headers.get("Connection", "")


async def test_an_old_connection_is_closed_after_a_response(start: Start, jpeg: bytes) -> None:
    client = await start(connection_s=1e-6)
    assert await read_connection_header(client, jpeg) == ""  # the first response: the connection isn't old yet
    assert await read_connection_header(client, jpeg) == "close"
    assert await read_connection_header(client, jpeg) == ""  # another connection


async def test_a_connection_limit_of_0_keeps_connections_open(start: Start, jpeg: bytes) -> None:
    client = await start(connection_s=0)
    assert [await read_connection_header(client, jpeg) for _ in range(3)] == ["", "", ""]
