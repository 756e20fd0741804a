"""One picture, one mask."""

import pytest

from danmatte.client import RefusedError, post_frame
from tests.service import pictures
from tests.service.conftest import Start


async def test_a_picture_gets_its_mask(start: Start, jpeg: bytes) -> None:
    url = str((await start()).make_url("/"))
    answer = await post_frame(url, jpeg, size=(320, 180), query={"pts": "40"})
    assert (answer.pts, answer.status, answer.size, answer.version) == (40, 200, (320, 180), 2)
    assert answer.coverage == pytest.approx(0.25 * 0.375, abs=0.01)
    assert pictures.decoded(answer.body)[67, 180] == 255
    assert sum(answer.spent) > 0


async def test_a_raw_picture_is_named_by_its_header(start: Start) -> None:
    url, headers = str((await start()).make_url("/")), {"Content-Type": "application/x-rgb24"}
    answer = await post_frame(url, pictures.rectangle(90, 160).tobytes(), size=(160, 90), headers=headers)
    assert answer.size == (160, 90)


async def test_a_refusal_is_raised_with_its_reason(start: Start) -> None:
    url = str((await start()).make_url("/"))
    with pytest.raises(RefusedError, match="expected a picture") as refused:
        await post_frame(url, b"hello")
    assert (refused.value.code, refused.value.status) == ("unsupported_media_type", 415)
