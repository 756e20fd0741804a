"""The OpenAPI document describes all routes, and its page works without other sources."""

import re

import jsonschema
import pytest

from danmatte.api.openapi.document import build_document
from danmatte.app import build
from danmatte.settings import Settings
from tests.service.conftest import Start

# What isn't ours to describe: pages and their files.
PAGES = re.compile(r"/|/(openapi\.json|docs(\.\w+)?)|/[\w/-]+\.(css|html|js|json|mattes|svg|webm|webp|png|jpg)")


def test_the_document_describes_exactly_the_servers_routes(models) -> None:
    app = build(Settings.read(None, models=str(models)))
    routes = {
        (route.method.lower(), re.sub(r"\{(\w+):[^{}]*\}", r"{\1}", route.resource.canonical))
        for route in app.router.routes()
        if route.method != "HEAD" and not PAGES.fullmatch(route.resource.canonical)
    }
    described = {(method, path) for path, methods in build_document()["paths"].items() for method in methods}
    assert described == routes


def test_every_reference_resolves_and_every_schema_is_valid() -> None:
    described = build_document(["toy"])
    for name in re.findall(r"#/components/(\w+/\w+)", str(described)):
        kind, key = name.split("/")
        assert key in described["components"][kind]
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_content_has_only_fields_of_openapi_media_types() -> None:
    contents = [
        content
        for methods in build_document()["paths"].values()
        for operation in methods.values()
        for holder in (operation.get("requestBody", {}), *operation["responses"].values())
        for content in holder.get("content", {}).values()
    ]
    assert contents
    assert {key for content in contents for key in content} <= {"schema", "example", "examples", "encoding"}


async def test_examples_of_path_parameters_are_the_servers_models(start: Start) -> None:
    described = await (await (await start()).get("/openapi.json")).json()
    (name,) = described["paths"]["/v2/models/{name}"]["get"]["parameters"]
    assert name["schema"]["examples"] == ["toy"]


@pytest.mark.parametrize("path", ["/docs", "/docs.js", "/docs.css"])
async def test_the_reference_page_loads_nothing_from_other_hosts(start: Start, path: str) -> None:
    answer = await (await start()).get(path)
    assert answer.status == 200
    assert "://" not in (await answer.text()).replace("http://www.w3.org", "")


async def test_the_reference_pages_policy_allows_only_its_own_script(start: Start) -> None:
    policy = (await (await start()).get("/docs")).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
