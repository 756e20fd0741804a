"""Cross-origin requests and preflights, on every path."""

import pytest
from aiohttp import WSServerHandshakeError

from danmatte.errors import SettingsError
from danmatte.http.api_keys import make_key
from danmatte.http.origins import Origins
from danmatte.http.tokens import make_token
from tests.service.conftest import Start

SITE = "https://site.example"
ASK = {"Origin": SITE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
PATHS = ["/v1/mattes", "/v2/models/toy/infer", "/v1/models/toy:predict", "/v2", "/metrics", "/nowhere"]


@pytest.mark.parametrize("setting", [SITE, f"http://other, {SITE}", "*"])
@pytest.mark.parametrize("path", PATHS)
async def test_an_allowed_origin_needs_no_key_for_a_preflight_and_may_read_responses(
    start: Start, tmp_path, setting: str, path: str
) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(make_key("page")[1])
    client = await start(keys=str(keys), origins=setting)
    answer = await client.options(path, headers=ASK)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization"
    refused = await client.post(path, headers={"Origin": SITE})  # pages may read errors, too
    assert refused.status == 401
    assert refused.headers["Access-Control-Allow-Origin"] == SITE
    assert "X-Frame-Pts" in refused.headers["Access-Control-Expose-Headers"]
    assert "Origin" in refused.headers["Vary"]


@pytest.mark.parametrize("setting", ["", "https://other.example", "http://site.example", "https://site.example:8443"])
async def test_other_origins_are_forbidden_to_read_responses(start: Start, jpeg: bytes, setting: str) -> None:
    client = await start(origins=setting)
    preflight = await client.options("/v1/mattes", headers=ASK)
    assert (preflight.status, (await preflight.json())["code"]) == (403, "forbidden")
    answer = await client.post("/v1/mattes", data=jpeg, headers={"Origin": SITE})
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_all_headers_of_a_mask_are_exposed_to_pages(start: Start, jpeg: bytes) -> None:
    client = await start(origins=SITE)
    answer = await client.post("/v1/mattes?pts=7", data=jpeg, headers={"Origin": SITE})
    readable = set(answer.headers["Access-Control-Expose-Headers"].lower().split(", "))
    browsers_own = {"x-content-type-options", "x-frame-options"}
    assert {name.lower() for name in answer.headers if name.startswith("X-")} - browsers_own <= readable


async def test_requests_without_an_origin_get_no_cors_headers(start: Start, jpeg: bytes) -> None:
    client = await start(origins=SITE)
    answer = await client.post("/v1/mattes", data=jpeg)
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("Access-Control")]
    assert (await client.options("/v1/mattes")).status == 405  # no preflight


async def test_the_players_modules_are_open_to_every_origin(start: Start) -> None:
    client = await start()
    answer = await client.get("/danmatte.js", headers={"Origin": SITE})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(("setting", "status"), [("", 403), (SITE, 101), ("*", 101), ("https://other", 403)])
async def test_live_connections_of_other_origins_are_accepted_only_if_configured(
    start: Start, setting: str, status: int
) -> None:
    client = await start(origins=setting)
    try:
        async with client.ws_connect("/v1/stream", headers={"Origin": SITE}):
            opened = 101
    except WSServerHandshakeError as error:
        opened = error.status
    assert opened == status


async def test_malformed_origins_of_live_connections_are_forbidden(start: Start) -> None:
    client = await start(origins=SITE)
    for origin in ("http://[", "http://[::1", "null", "//", "\\"):
        with pytest.raises(WSServerHandshakeError) as refused:
            await client.ws_connect("/v1/stream", headers={"Origin": origin})
        assert refused.value.status == 403


async def test_live_connections_of_the_same_origin_or_without_one_are_accepted(start: Start) -> None:
    client = await start()
    async with client.ws_connect("/v1/stream", headers={"Origin": f"http://{client.host}:{client.port}"}):
        pass
    async with client.ws_connect("/v1/stream"):
        pass


async def test_the_host_forwarded_by_a_trusted_proxy_counts_as_the_same_origin(start: Start) -> None:
    client = await start(trusted_proxies="127.0.0.0/8")
    headers = {"Origin": SITE, "X-Forwarded-Host": "site.example"}
    async with client.ws_connect("/v1/stream", headers=headers):
        pass
    untrusting = await start()
    with pytest.raises(WSServerHandshakeError):
        await untrusting.ws_connect("/v1/stream", headers=headers)


@pytest.mark.parametrize("setting", ["site.example", "https://site.example/path", "https://*.example", "null"])
def test_an_invalid_origin_in_the_settings_is_refused(setting: str) -> None:
    with pytest.raises(SettingsError, match="origins: expected https://host"):
        Origins(setting)


async def test_a_token_permits_live_connections_and_posts_within_its_scope(start: Start, tmp_path, jpeg: bytes) -> None:
    key, lines = make_key("page")
    (tmp_path / "keys.toml").write_text(lines)
    client = await start(keys=str(tmp_path / "keys.toml"), origins=SITE)
    token = make_token(key, "page", subject="v1", scope=("live",), seconds=60)
    async with client.ws_connect("/v1/stream", protocols=("danmatte", token), headers={"Origin": SITE}) as socket:
        assert socket.protocol == "danmatte"
    async with client.ws_connect(f"/v1/stream?token={token}&width=320&height=180"):
        pass
    posted = await client.post(f"/v1/mattes?token={token}", data=jpeg)
    assert (posted.status, (await posted.json())["code"]) == (403, "forbidden")
    assert "the token is for live" in (await posted.json())["error"]
    wider = make_token(key, "page", subject="v1", scope=("mattes",), seconds=60)
    assert (await client.post(f"/v1/mattes?token={wider}", data=jpeg)).status == 200
    assert (await client.post("/v1/mattes", data=jpeg, headers={"Authorization": f"Bearer {wider}"})).status == 200
    assert (await client.post("/v1/mattes?token=dmt1~a~b~c~1~d", data=jpeg)).status == 401
