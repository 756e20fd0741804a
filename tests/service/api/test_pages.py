"""The page's files: only listed ones are served, with media types, byte ranges and a strict policy."""

import re
from pathlib import Path

import pytest

from danmatte.api.pages import FILES, WEB
from tests.service.conftest import Start

IMPORT = re.compile(r"""^(?:import|export)[^"]*from "(\.[^"]+)";""", re.MULTILINE)


async def test_the_page_is_served_with_a_strict_policy(start: Start) -> None:
    answer = await (await start()).get("/")
    assert (answer.status, answer.content_type) == (200, "text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "<title>danmatte</title>" in await answer.text()


@pytest.mark.parametrize("path", sorted(FILES))
async def test_every_listed_file_is_served_with_its_media_type(start: Start, path: str) -> None:
    answer = await (await start()).get(path)
    assert answer.status == 200
    assert answer.content_type != "application/octet-stream"
    assert answer.headers["ETag"]


@pytest.mark.parametrize("path", ["/package.json", "/README.md", "/../cli.py", "/adapters/", "/comments-behind.jpg"])
async def test_unlisted_files_are_not_served(start: Start, path: str) -> None:
    assert (await (await start()).get(path)).status == 404


async def test_a_track_supports_range_requests(start: Start) -> None:
    client = await start()
    whole = await (await client.get("/sample.mattes")).read()
    part = await client.get("/sample.mattes", headers={"Range": "bytes=4-19"})
    assert (part.status, await part.read()) == (206, whole[4:20])
    assert part.headers["Content-Range"] == f"bytes 4-19/{len(whole)}"


async def test_an_unchanged_file_is_not_sent_again(start: Start) -> None:
    client = await start()
    tag = (await client.get("/danmatte.js")).headers["ETag"]
    assert (await client.get("/danmatte.js", headers={"If-None-Match": tag})).status == 304


async def test_pages_of_other_origins_may_import_the_player(start: Start) -> None:
    answer = await (await start()).get("/danmatte.js")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_every_imported_module_is_listed() -> None:
    served = {WEB / name for name in FILES.values()}
    for module in sorted(path for path in served if path.suffix == ".js"):
        for name in IMPORT.findall(module.read_text("utf-8")):
            assert (module.parent / name).resolve() in served, f"{module.name} imports {name}"


def test_every_module_of_the_web_folder_is_listed_except_docs_js() -> None:
    modules = {path.relative_to(WEB).as_posix() for path in (*WEB.glob("*.js"), *WEB.glob("adapters/*.js"))}
    assert modules - set(FILES.values()) == {"docs.js"}


def test_every_file_that_the_page_names_is_listed() -> None:
    texts = "".join((WEB / name).read_text("utf-8") for name in ("index.html", "demo.css", "demo.js"))
    named = set(re.findall(r"""["(]"?([\w/-]+\.(?:css|js|svg|webm|mattes))["')]""", texts)) - {"film.mattes"}
    assert {f"/{name}" for name in named} <= set(FILES)


def test_served_files_reference_no_other_hosts() -> None:
    for name in set(FILES.values()):
        path = Path(WEB / name)
        if path.suffix in {".js", ".css", ".html"}:
            # the XML namespace isn't loaded
            text = path.read_text("utf-8").replace('"http://www.w3.org/2000/svg"', "")
            assert "//" not in re.sub(r"^\s*(/\*\*|\*|//).*$|<i>//.*?</i>|\s//\s.*$", "", text, flags=re.M)
