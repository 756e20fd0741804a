"""The admin API: it has a separate port on the loopback address, and changes are atomic."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.service.conftest import Start
from tests.service.http.test_listener import send_raw
from tests.service.models.opener import copy_version, spoil
from tests.service.toy import publish


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """Publish versions 1 and 2, and return the folder of version 1."""
    folder = publish(tmp_path, version=1)
    copy_version(folder, 2)
    return folder


@pytest.fixture
async def admin(start: Start, toy: Path) -> AsyncIterator[ClientSession]:
    """A client of the admin port; its attribute `public` is a client of the public port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = await start(models=str(toy.parents[1]), admin_port=port, watch_s=0)
    async with ClientSession(f"http://127.0.0.1:{port}") as session:
        session.public, session.port = client, port
        yield session


async def stable(admin: ClientSession) -> int:
    """Return the stable version, which serves requests that name no version."""
    async with admin.get("/v1/admin/models/toy/policy") as answer:
        assert answer.status == 200
    listing = await (await admin.public.get("/v1/models")).json()
    [version] = [v["version"] for v in listing["models"][0]["versions"] if "stable" in v.get("labels", [])]
    return version


async def call_admin(admin: ClientSession, method: str, path: str, body: object = None) -> tuple[int, dict]:
    async with admin.request(method, path, json=body) if body is not None else admin.request(method, path) as answer:
        assert answer.content_type == "application/json"
        return answer.status, await answer.json()


async def test_the_public_port_has_no_admin_routes(admin: ClientSession) -> None:
    for path in ("/v2/repository/index", "/v2/repository/models/toy/unload", "/v1/admin/reload"):
        assert (await admin.public.post(path)).status in (404, 405)


async def test_the_index_lists_versions_as_triton_does(admin: ClientSession) -> None:
    status, rows = await call_admin(admin, "POST", "/v2/repository/index")
    assert status == 200
    assert rows[0] == {"name": "toy", "version": "2", "state": "READY", "reason": ""}
    assert len(rows) == 2
    assert (await call_admin(admin, "POST", "/v2/repository/index", {"ready": True}))[1] == rows[:1]


async def test_a_load_request_serves_a_version_added_to_the_folder(admin: ClientSession, toy: Path) -> None:
    copy_version(toy, 3)
    assert await stable(admin) == 2
    assert (await call_admin(admin, "POST", "/v2/repository/models/toy/load"))[0] == 200
    assert await stable(admin) == 3


async def test_requests_to_an_unloaded_model_get_503_until_it_is_loaded_again(
    admin: ClientSession, jpeg: bytes
) -> None:
    assert (await call_admin(admin, "POST", "/v2/repository/models/toy/unload"))[1]["unloaded"]
    refused = await admin.public.post("/v1/mattes", data=jpeg)
    assert (refused.status, (await refused.json())["code"]) == (503, "model_unavailable")
    assert (await call_admin(admin, "POST", "/v2/repository/models/toy/load"))[0] == 200
    assert (await admin.public.post("/v1/mattes", data=jpeg)).status == 200


async def test_tensorflow_model_status_reports_an_unloaded_model(admin: ClientSession) -> None:
    await call_admin(admin, "POST", "/v2/repository/models/toy/unload")
    states = (await (await admin.public.get("/v1/models/toy")).json())["model_version_status"]
    assert [(entry["version"], entry["state"]) for entry in states] == [("2", "END"), ("1", "END")]


async def test_tensorflow_model_status_reports_why_a_version_failed(admin: ClientSession, toy: Path) -> None:
    spoil(toy)
    await call_admin(admin, "POST", "/v1/admin/models/toy/pin", {"version": 1})
    states = (await (await admin.public.get("/v1/models/toy")).json())["model_version_status"]
    assert [entry["state"] for entry in states] == ["AVAILABLE", "END"]
    assert "graph.xml" in states[1]["status"]["error_message"]


async def test_pin_rollback_and_canary_requests_change_which_versions_serve(admin: ClientSession, toy: Path) -> None:
    copy_version(toy, 3)
    await call_admin(admin, "POST", "/v1/admin/reload")
    assert (await call_admin(admin, "POST", "/v1/admin/models/toy/pin", {"version": 1}))[0] == 200
    assert await stable(admin) == 1
    assert (await call_admin(admin, "POST", "/v1/admin/models/toy/pin", {"version": None}))[0] == 200
    assert await stable(admin) == 3
    assert (await call_admin(admin, "POST", "/v1/admin/models/toy/rollback"))[0] == 200
    assert await stable(admin) == 2
    status, model = await call_admin(admin, "POST", "/v1/admin/models/toy/canary", {"version": 3, "share": 0.5})
    assert status == 200
    assert model["versions"][0]["labels"] == ["canary"]
    policy = (await call_admin(admin, "GET", "/v1/admin/models/toy/policy"))[1]
    assert policy == {"pin": 2, "canary": {"version": 3, "share": 0.5}}


async def test_responses_name_the_version_selected_by_canary_or_label(admin: ClientSession, jpeg: bytes) -> None:
    await call_admin(
        admin, "PUT", "/v1/admin/models/toy/policy", {"canary": {"version": 2, "share": 0.5}, "labels": {"old": 1}}
    )
    answers = [await admin.public.post("/v1/mattes", data=jpeg) for _ in range(10)]
    versions = [answer.headers["X-Model-Version"] for answer in answers]
    assert sorted(versions) == ["1"] * 5 + ["2"] * 5
    labelled = await admin.public.post("/v1/mattes?label=old", data=jpeg)
    assert labelled.headers["X-Model-Version"] == "1"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/v1/admin/models/toy/pin", {"version": 0}, 422, "invalid_policy"),
        ("POST", "/v1/admin/models/toy/pin", {"versions": 1}, 422, "invalid_policy"),
        ("POST", "/v1/admin/models/toy/pin", None, 400, "bad_body"),
        ("POST", "/v1/admin/models/toy/pin", {"version": 7}, 404, "unknown_version"),
        ("POST", "/v1/admin/models/toy/canary", {"version": 2, "share": 2}, 422, "invalid_policy"),
        ("PUT", "/v1/admin/models/toy/policy", {"labels": {"old": 9}}, 404, "unknown_version"),
        ("POST", "/v1/admin/models/toy/canary", {"version": 9, "share": 0.5}, 404, "unknown_version"),
        ("PUT", "/v1/admin/models/toy/policy", {"labels": {"stable": 1}}, 422, "invalid_policy"),
        ("POST", "/v2/repository/models/unknown/load", None, 404, "unknown_model"),
        ("POST", "/v2/repository/models/unknown/unload", None, 404, "unknown_model"),
        ("POST", "/v2/repository/models/..%2Ftoy/load", None, 404, "not_found"),
        ("POST", "/v2/repository/models/TOY/load", None, 404, "not_found"),
        ("GET", "/v2/repository/index", None, 405, "method_not_allowed"),
    ],
)
async def test_an_invalid_request_is_refused_and_changes_nothing(
    admin: ClientSession, toy: Path, method: str, path: str, body: object, status: int, code: str
) -> None:
    refused = await call_admin(admin, method, path, body)
    assert (refused[0], refused[1]["code"], refused[1]["status"]) == (status, code, status)
    assert refused[1]["request_id"]
    assert not (toy.parent / "serving.toml").exists()
    assert await stable(admin) == 2


async def test_a_pin_to_a_corrupt_version_is_refused_with_the_reason(admin: ClientSession, toy: Path) -> None:
    spoil(toy)
    status, refusal = await call_admin(admin, "POST", "/v1/admin/models/toy/pin", {"version": 1})
    assert status == 503
    assert "graph.xml" in refusal["error"]


async def test_a_rollback_below_the_lowest_version_is_refused(admin: ClientSession) -> None:
    assert (await call_admin(admin, "POST", "/v1/admin/models/toy/rollback"))[0] == 200
    status, refusal = await call_admin(admin, "POST", "/v1/admin/models/toy/rollback")
    assert (status, refusal["code"]) == (404, "unknown_version")
    assert await stable(admin) == 1


async def test_a_rollback_to_a_corrupt_version_gets_503_and_changes_nothing(admin: ClientSession, toy: Path) -> None:
    spoil(toy)
    status, refusal = await call_admin(admin, "POST", "/v1/admin/models/toy/rollback")
    assert (status, refusal["code"]) == (503, "model_unavailable")
    assert await stable(admin) == 2


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"RUBBISH\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 2**16 + b"\r\n\r\n", 431, "headers_too_large"),
    ],
)
async def test_malformed_http_is_refused_with_a_json_error(
    admin: ClientSession, data: bytes, status: int, code: str
) -> None:
    received, refusal = await send_raw(admin.port, data)
    assert (received, refusal["code"], refusal["status"]) == (status, code, status)


@pytest.mark.parametrize("headers", [{"Origin": "https://example.com"}, {"Host": "example.com:80"}])
async def test_requests_from_web_pages_are_forbidden(admin: ClientSession, headers: dict[str, str]) -> None:
    async with admin.post("/v2/repository/models/toy/unload", headers=headers) as refused:
        assert (refused.status, (await refused.json())["code"]) == (403, "forbidden")
    assert await stable(admin) == 2


async def test_a_load_request_with_a_configuration_is_refused(admin: ClientSession) -> None:
    wanted = {"parameters": {"config": '{"max_batch_size": 4}'}}
    status, refusal = await call_admin(admin, "POST", "/v2/repository/models/toy/load", wanted)
    assert (status, refusal["code"]) == (400, "bad_body")
    assert "parameters: 'config' isn't supported" in refusal["error"]
    assert (await call_admin(admin, "POST", "/v2/repository/models/toy/load", {"parameters": {}}))[0] == 200
    assert (await call_admin(admin, "POST", "/v2/repository/models/toy/load"))[0] == 200


async def test_the_public_port_does_not_advertise_the_repository_extension(admin: ClientSession) -> None:
    described = await (await admin.public.get("/v2")).json()
    assert "model_repository" not in described["extensions"]
