"""Several frames in one request: hostile bodies, and a response for each part."""

import asyncio
import json
import re
import shutil
import time
from pathlib import Path

import pytest
from aiohttp import ClientResponse, FormData, MultipartReader
from hypothesis import given
from hypothesis import strategies as some

from danmatte.api.multipart import MAX_PARTS, split_parts
from danmatte.app import ADMISSION
from danmatte.errors import BodyError, BodyTooLargeError, QueueFullError
from tests.service import pictures
from tests.service.conftest import Start
from tests.service.held import Gate
from tests.service.test_app import until

FORM = "multipart/form-data; boundary=b"


PARTS = {"Accept": "multipart/mixed"}  # otherwise the response to a single part isn't multipart


def form(pieces: dict[str, bytes], media_type: str = "image/jpeg") -> FormData:
    """Return a form of files by name."""
    made = FormData()
    for name, data in pieces.items():
        made.add_field(name, data, filename="x", content_type=media_type)
    return made


async def pieces(answer: ClientResponse) -> list[tuple[dict[str, str], bytes]]:
    """Return headers and body of every part of a response."""
    assert (answer.status, answer.content_type) == (200, "multipart/mixed")
    return [(dict(part.headers), bytes(await part.read())) async for part in MultipartReader.from_response(answer)]


async def test_every_frame_gets_its_own_response_part_in_request_order(start: Start, jpeg: bytes) -> None:
    png = pictures.encoded(".png", pictures.rectangle(90, 160))
    files = {"40": jpeg, "80.5": b"no picture", "frame": png}
    client = await start(real=True)
    parts = await pieces(
        await client.post("/v1/mattes?width=320&height=180", data=form(files, "application/octet-stream"))
    )
    (first, mask), (second, refusal), (third, other) = parts
    assert [head["X-Status"] for head, _ in parts] == ["200", "415", "200"]
    assert [head.get("X-Frame-Pts") for head, _ in parts] == ["40", "80.5", None]
    assert [head["Content-Disposition"] for head, _ in parts] == [f'form-data; name="{name}"' for name in files]
    assert (first["X-Mask-Size"], first["X-Model-Version"], third["X-Mask-Size"]) == ("320x180", "2", "320x180")
    assert pictures.decoded(mask)[67, 180] == pictures.decoded(other)[67, 180] == 255
    assert second["Content-Type"].startswith("application/json")
    assert json.loads(refusal)["code"] == "unsupported_media_type"
    assert set(json.loads(refusal)) == {"error", "code", "status", "request_id"}


async def test_a_part_of_a_form_may_be_a_raw_frame(start: Start) -> None:
    files = form({"1": pictures.rectangle(90, 160).tobytes()}, "application/x-rgb24")
    answer = await (await start()).post("/v1/mattes?width=160&height=90&format=raw", data=files, headers=PARTS)
    ((head, mask),) = await pieces(answer)
    assert (head["X-Status"], len(mask)) == ("200", 90 * 160)


async def test_each_frame_of_a_request_waits_for_its_own_permit(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    client = await start(held=gate, in_flight=2)
    posting = asyncio.create_task(client.post("/v1/mattes", data=form({str(n): jpeg for n in range(6)})))
    await until(lambda: (gate.waiting, client.app[ADMISSION].waiting) == (2, 2))
    gate.let(6)
    assert [head["X-Frame-Pts"] for head, _ in await pieces(await posting)] == list("012345")


async def test_a_cancelled_request_frees_its_place_and_permits(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    client = await start(held=gate, deadline_s=1)
    posting = asyncio.create_task(client.post("/v1/mattes", data=form({str(n): jpeg for n in range(6)})))
    await until(lambda: gate.waiting > 0)
    posting.cancel()
    await until(lambda: client.app[ADMISSION].occupied == 0)
    gate.let(100)
    assert (await client.post("/v1/mattes", data=jpeg)).status == 200


async def test_a_frame_over_the_deadline_fails_alone(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    client = await start(held=gate, in_flight=1, deadline_s=0.3)
    posting = asyncio.create_task(client.post("/v1/mattes", data=form({"1": jpeg, "2": jpeg})))
    await until(lambda: gate.waiting == 1)
    gate.let()
    assert [head["X-Status"] for head, _ in await pieces(await posting)] == ["200", "503"]


async def test_the_requests_deadline_covers_all_frames_and_late_ones_get_retry_after(start: Start, jpeg: bytes) -> None:
    gate, files = Gate(), {str(number): jpeg for number in range(12)}
    client = await start(held=gate)
    async with asyncio.timeout(2):  # consecutive deadlines would add up to three seconds
        found = await pieces(await client.post("/v1/mattes", data=form(files), headers={"X-Deadline-Ms": "800"}))
    assert [(head["X-Status"], "Retry-After" in head) for head, _ in found] == [("503", True)] * 12
    assert all("within 0." in json.loads(body)["error"] for _, body in found)
    page = await (await client.get("/metrics")).text()
    assert 'danmatte_rejected_total{code="deadline_exceeded"} 12.0' in page


async def test_phase_times_of_concurrent_frames_do_not_exceed_elapsed_time(start: Start, jpeg: bytes) -> None:
    client = await start(delay_s=0.05)
    began = time.perf_counter()
    await pieces(await client.post("/v1/mattes", data=form({str(number): jpeg for number in range(8)})))
    page = await (await client.get("/metrics")).text()
    spent_s = sum(map(float, re.findall(r"^danmatte_phase_seconds_sum\S* (\S+)$", page, re.MULTILINE)))
    assert 0.05 < spent_s < time.perf_counter() - began


async def test_a_single_part_gets_a_multipart_response_if_accept_requests_it(start: Start, jpeg: bytes) -> None:
    accept = {"Accept": "multipart/mixed, image/webp"}
    ((head, _),) = await pieces(await (await start()).post("/v1/mattes", data=form({"1": jpeg}), headers=accept))
    assert head["Content-Type"] == "image/webp"


async def test_a_pts_in_the_query_of_a_multipart_request_is_refused(start: Start, jpeg: bytes) -> None:
    answer = await (await start()).post("/v1/mattes?pts=1", data=form({"1": jpeg}))
    assert (answer.status, (await answer.json())["code"]) == (422, "invalid_parameter")


async def test_all_parts_together_are_limited_by_max_body_bytes(start: Start, jpeg: bytes) -> None:
    answer = await (await start(max_body_bytes=2 * len(jpeg))).post(
        "/v1/mattes", data=form({"1": jpeg, "2": jpeg, "3": jpeg})
    )
    assert (answer.status, (await answer.json())["code"]) == (413, "body_too_large")


async def test_a_hostile_part_name_injects_no_header(start: Start, jpeg: bytes) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="a\\"; x=\xff\x01"\r\n\r\n' + jpeg + b"\r\n--b--\r\n"
    ((head, _),) = await pieces(
        await (await start()).post("/v1/mattes", data=body, headers={"Content-Type": FORM} | PARTS)
    )
    assert head["X-Status"] == "200"
    assert set(head) == {
        *("X-Status", "Content-Length", "Content-Type", "X-Model-Version", "X-Models", "X-Person-Coverage"),
        *("X-Mask-Size", "Server-Timing", "Content-Disposition"),
    }


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("é 写真.jpg", "é 写真.jpg"),
        ("na%22me", "na%22me"),  # as browsers and curl escape a quote
        (r"na\"me", "na%22me"),
        ("%C3%A9 [0]/100%", "%C3%A9 [0]/100%"),
        ("a\u2028b\x7f", "a%E2%80%A8b%7F"),
    ],
)
async def test_a_response_part_has_the_name_of_its_request_part(
    start: Start, jpeg: bytes, sent: str, found: str
) -> None:
    body = f'--b\r\nContent-Disposition: form-data; name="{sent}"\r\n\r\n'.encode() + jpeg + b"\r\n--b--\r\n"
    answer = await (await start()).post("/v1/mattes", data=body, headers={"Content-Type": FORM} | PARTS)
    assert f'\r\nContent-Disposition: form-data; name="{found}"\r\n'.encode() in await answer.read()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl isn't installed")
async def test_curl_posts_several_files_in_one_request(start: Start, jpeg: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg)
    client = await start()
    files = [word for pts in ("0", "40") for word in ("-F", f"{pts}=@{tmp_path / 'a.jpg'}")]
    command = ["curl", "-sS", *files, str(client.make_url("/v1/mattes"))]
    run = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await run.communicate()
    assert run.returncode == 0
    assert output.count(b"X-Status: 200\r\n") == 2
    assert output.count(b"IEND") == 2
    assert output.index(b"X-Frame-Pts: 0\r\n") < output.index(b"X-Frame-Pts: 40\r\n")


def test_a_multipart_body_is_split_without_preamble_and_epilogue() -> None:
    body = (
        b'preamble\r\n--b \t\r\nContent-Disposition: form-data; name="1"\r\nContent-Type: image/png\r\n\r\nx\r\n\r\ny'
    )
    first, second = split_parts(body + b"\r\n--b\r\n\r\nz\r\n--b--\r\nepilogue\r\n--b\r\n", FORM)
    assert (first.name, first.media_type, first.body) == ("1", "image/png", b"x\r\n\r\ny")
    assert (second.name, second.media_type, second.body) == ("", "", b"z")


def test_more_parts_than_the_limit_are_refused() -> None:
    piece = b"--b\r\n\r\nx\r\n"
    assert len(split_parts(piece * MAX_PARTS + b"--b--", FORM)) == MAX_PARTS
    with pytest.raises(BodyTooLargeError, match=f"at most {MAX_PARTS} parts"):
        split_parts(piece * (MAX_PARTS + 1) + b"--b--", FORM)
    with pytest.raises(BodyTooLargeError):
        split_parts(piece * 100_000, FORM)


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (b"--b--", "multipart/form-data", "boundary"),
        (b"--b--", f"multipart/form-data; boundary={'b' * 71}", "boundary"),
        (b"--b--", FORM, "received none"),
        (b"hello", FORM, "the boundary and -- at the end"),
        (b"--b\r\n\r\nx\r\n", FORM, "the boundary and -- at the end"),
        (b"--bx\r\n\r\nx\r\n--b--", FORM, "after its boundary"),
        (b"--b\r\nno headers\r\n--b--", FORM, "an empty line"),
    ],
)
def test_a_malformed_multipart_body_is_refused(body: bytes, content_type: str, says: str) -> None:
    with pytest.raises(BodyError, match=says):
        split_parts(body, content_type)


@pytest.mark.parametrize("line", ["Content-Transfer-Encoding: base64", "Content-Encoding: gzip"])
def test_a_part_with_a_transfer_or_content_encoding_is_refused(line: str) -> None:
    (part,) = split_parts(f"--b\r\n{line}\r\n\r\neHg=\r\n--b--".encode(), FORM)
    with pytest.raises(BodyError, match="the picture's bytes unencoded"):
        part.check()


PIECES = some.lists(
    some.sampled_from([b"--b", b"\r\n", b"--", b"\r\n--b--", b"Content-Type: image/png", b":", b"\xff\0", b"; name="])
    | some.binary(max_size=10)
).map(b"".join)


@given(PIECES, some.sampled_from([FORM, "multipart/form-data"]) | some.text(max_size=40).map(lambda text: FORM + text))
def test_random_multipart_bodies_are_parsed_or_refused(body: bytes, content_type: str) -> None:
    try:
        found = split_parts(body, content_type)
    except (BodyError, BodyTooLargeError):
        return
    assert 1 <= len(found) <= MAX_PARTS


async def test_a_multipart_response_carries_request_id_and_traceparent(start: Start, jpeg: bytes) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"X-Request-Id": "abc-1", "traceparent": trace} | PARTS
    answer = await (await start()).post("/v1/mattes", data=form({"1": jpeg}), headers=headers)
    assert answer.content_type == "multipart/mixed"
    assert (answer.headers["X-Request-Id"], answer.headers["traceparent"]) == ("abc-1", trace)


async def test_a_request_whose_response_has_begun_is_not_evicted(start: Start, jpeg: bytes) -> None:
    gate, files = Gate(), form({"bad": b"", "good": jpeg})
    client = await start(held=gate, queue=2, in_flight=1, max_wait_s=60)
    busy = asyncio.create_task(client.post("/v1/mattes", data=jpeg))
    await until(lambda: gate.waiting == 1)
    posting = await client.post("/v1/mattes", data=files)  # the bad part is finished, the good one waits for its permit
    admission = client.app[ADMISSION]
    assert admission.occupied == 2
    with pytest.raises(QueueFullError):
        async with admission.place("other"):
            pass
    gate.let(2)
    assert [head["X-Status"] for head, _ in await pieces(posting)] == ["400", "200"]
    assert (await busy).status == 200


@pytest.mark.parametrize("query", ["", "format=raw&width=320&height=180"])
async def test_a_form_with_one_picture_gets_a_plain_mask_response(start: Start, jpeg: bytes, query: str) -> None:
    client = await start()
    plain = await client.post(f"/v1/mattes?{query}", data=jpeg)
    alone = await client.post(f"/v1/mattes?{query}", data=form({"40": jpeg}))
    assert (alone.status, alone.content_type) == (200, plain.content_type)
    assert await alone.read() == await plain.read()
    assert alone.headers["X-Frame-Pts"] == "40"
    assert alone.headers["X-Person-Coverage"] == plain.headers["X-Person-Coverage"]


async def test_a_form_with_one_invalid_picture_gets_a_plain_error(start: Start) -> None:
    client = await start()
    answer = await client.post("/v1/mattes", data=form({"40": b"rubbish"}))
    assert (answer.status, (await answer.json())["code"]) == (415, "unsupported_media_type")
