"""The health routes of the Open Inference Protocol."""

import pytest

from tests.service.conftest import Start


@pytest.mark.parametrize("word", ["live", "ready"])
async def test_health_routes_of_a_ready_server_return_true_as_json(start: Start, word: str) -> None:
    answer = await (await start()).get(f"/v2/health/{word}")
    assert (answer.status, await answer.json()) == (200, {word: True})
