"""The npm package, from an empty folder: types, bundlers, plain pages, servers, another origin."""

import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real import browser, npm, static_server

pytestmark = pytest.mark.slow

TOOLS = ("vite@8.4.0", "webpack@5.113.0", "webpack-cli@7.3.1", "typescript@7.0.2", "@types/react@19.2.7")
ENTRIES = ("danmatte", "danmatte/element", "danmatte/controls")
PAGE = """<!doctype html>
<style>
  #player { position: relative; width: 640px; height: 360px }
  video { width: 100%; height: 100% }
  #comments { position: absolute; inset: 0; background: #f0f }
</style>
<div id=player><video id=video src=/film.webm muted></video><div id=comments></div></div>
"""
CODE = """import { attach } from "danmatte";
const [video, layer] = ["#video", "#comments"].map((name) => document.querySelector(name));
window.handle = attach(video, layer, { track: window.TRACK ?? "/film.mattes" });
"""
PAGES = {
    "map": PAGE
    + '<script type=importmap>{ "imports": { "danmatte": "/node_modules/danmatte/danmatte.js" } }</script>'
    + "<script type=module>"
    + CODE
    + "</script>",
    "global": PAGE
    + "<script src=/node_modules/danmatte/dist/danmatte.js></script><script>"
    + CODE.replace('import { attach } from "danmatte";', "const { attach } = danmatte;")
    + "</script>",
    "single": PAGE
    + "<script type=module>"
    + CODE.replace('"danmatte"', '"/node_modules/danmatte/dist/danmatte.mjs"')
    + "</script>",
    "element": PAGE.replace(
        "<div id=comments></div>", "<danmatte-layer id=comments track=/film.mattes></danmatte-layer>"
    )
    + "<script type=module>"
    + 'import "/node_modules/danmatte/element.js"; window.handle = comments.handle;</script>',
    "elsewhere": PAGE
    + "<script src=/node_modules/danmatte/dist/danmatte.js></script><script>window.TRACK = 'OTHER/film.mattes';"
    + CODE.replace('import { attach } from "danmatte";', "const { attach } = danmatte;")
    + "</script>",
    "vite": PAGE + "<script type=module src=./main.mjs></script>",
    "webpack": PAGE + "<script src=/packed/main.js></script>",
}
TYPED = """
import { attach, openCues, openPreferences, type Attachment, type Options, type Stats } from "danmatte";
import { createControls } from "danmatte/controls";
import { DanmatteLayer } from "danmatte/element";
import { artplayerPluginDanmatte } from "danmatte/adapters/artplayer";
import { behind } from "danmatte/adapters/danmaku";
import { followHls } from "danmatte/adapters/hls.js";
import { attachDPlayer } from "danmatte/adapters/dplayer";
import { attachNPlayer } from "danmatte/adapters/nplayer";
import { attachVideoJs } from "danmatte/adapters/videojs";
import { attachXgplayer } from "danmatte/adapters/xgplayer";

const video = document.querySelector("video")!;
const layer = document.createElement("div");
const seen: number[] = [];
const onframe = (stats: Stats) => seen.push(stats.time);
const options: Options = { track: (film) => `${film.currentSrc}.mattes`, late: "hide", onframe };
const handle: Attachment = attach(video, layer, options);
handle.preferences.set({ margin: 0.01 });
document.body.append(createControls(openPreferences()), new DanmatteLayer());
const why: string = handle.error;
// @ts-expect-error: a word that isn't one of the three
attach(video, layer, { track: "film.mattes", late: "later" });
// @ts-expect-error: a layer is an element
attach(video, "comments", { track: "film.mattes" });
const clock = followHls({ on() {} });
handle.use({ track: "next.mattes", offset: -40, clock });
attach(video, layer, { live: { ahead: 0.7 }, region: "person,text", preferences: { margin: 0.01 }, clock });
attach(video, layer, { track: (film) => (film.loop ? "film.mattes" : null), live: true, late: undefined });
attach(video, layer, { source: openCues((film) => [...film.textTracks].find(({ label }) => label === "masks")) });
attach(video, layer, handle.options);
const length: number | undefined = document.querySelector("danmatte-layer")?.handle?.source.film?.end_ms;
export { why, length, artplayerPluginDanmatte, behind, attachDPlayer, attachNPlayer, attachVideoJs, attachXgplayer };
"""


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return npm.pack(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tarball: Path) -> Path:
    """An empty folder with the package, the tools, a film with its track, and the pages."""
    folder = tmp_path_factory.mktemp("project")
    npm.start_project(folder, tarball, *TOOLS)
    browser.write_film(folder / "film.webm")
    browser.write_track(folder / "film.mattes")
    (folder / "main.mjs").write_text(CODE)
    for name, html in PAGES.items():
        (folder / f"{name}.html").write_text(html)
    return folder


@pytest.fixture(scope="module")
def site(project: Path) -> Iterator[str]:
    with static_server.serve_folder(project) as address:
        yield address


def check_page(chromium: object, address: str) -> None:
    """The page masks its comments, and has no errors."""
    page = chromium.new_page(viewport={"width": 700, "height": 420})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    browser.wait_until(page, "window.handle?.stats.state === 'masked' || window.handle?.error")
    assert page.evaluate("handle.error") == ""
    assert page.evaluate("document.querySelector('#comments').style.clipPath").startswith("path")
    assert errors == []
    page.close()


def test_the_package_contains_the_player_and_no_server_files(tarball: Path) -> None:
    with tarfile.open(tarball) as packed:
        names = {name.removeprefix("package/") for name in packed.getnames()}
        manifest = json.load(packed.extractfile("package/package.json"))
        provenance = json.load(packed.extractfile("package/provenance.json"))
    assert {"danmatte.js", "types/danmatte.d.ts", "dist/danmatte.js", "README.md", "LICENSE", "NOTICE"} <= names
    assert not [name for name in names if name.endswith((".py", ".html", ".webm", ".mattes", ".css"))]
    assert not names & {"demo.js", "comments.js", "docs.js", "demo-comments.js"}
    for entry in manifest["exports"].values():
        for path in [entry] if isinstance(entry, str) else entry.values():
            stem = path.removeprefix("./")
            assert stem in names or any(name.startswith(stem.split("*")[0]) for name in names if "*" in stem), path
    for name, digest in provenance["sources"].items():
        if name in names:
            assert digest == hashlib.sha256((npm.WEB / name).read_bytes()).hexdigest()
    assert provenance["version"] == manifest["version"]


def test_packing_twice_gives_the_same_bytes(tarball: Path, tmp_path: Path) -> None:
    assert npm.pack(tmp_path).read_bytes() == tarball.read_bytes()
    assert not (npm.WEB / "types").exists(), "packing leaves no files in the checkout"


@pytest.mark.parametrize("resolution", ["bundler", "nodenext"])
def test_strict_typescript_accepts_the_types(project: Path, resolution: str) -> None:
    (project / "consumer.mts").write_text(TYPED)
    module = "esnext" if resolution == "bundler" else "nodenext"
    options = (
        "--ignoreConfig",
        "--strict",
        "--noEmit",
        "--target",
        "es2022",
        "--lib",
        "es2023,dom,dom.iterable",
        "--types",
        "",
    )
    npm.run_program(project, "tsc", *options, "--module", module, "--moduleResolution", resolution, "consumer.mts")


def test_react_accepts_the_element_as_declared_in_the_readme(project: Path) -> None:
    declared = re.search(r"```ts\n(.*?)```", (npm.WEB / "README.md").read_text(), re.DOTALL)
    assert declared
    (project / "names.ts").write_text(declared[1])
    layer = (
        '<danmatte-layer className="comments" track="film.mattes" late="hide" off={false}><b>text</b></danmatte-layer>'
    )
    (project / "page.tsx").write_text(f'import "./names";\nexport const page = {layer};\n')
    options = ("--ignoreConfig", "--strict", "--noEmit", "--target", "es2022", "--lib", "es2023,dom,dom.iterable")
    jsx = ("--jsx", "react-jsx", "--module", "esnext", "--moduleResolution", "bundler", "--types", "react")
    npm.run_program(project, "tsc", *options, *jsx, "names.ts", "page.tsx")


def test_the_package_can_be_imported_without_a_browser(project: Path) -> None:
    adapters = [f"danmatte/adapters/{path.stem}" for path in (npm.WEB / "adapters").glob("*.js")]
    assert len(adapters) >= 6
    code = "for (const name of process.argv.slice(1)) console.log(name, Object.keys(await import(name)).length)"
    printed = npm.run_program(project, "node", "--input-type=module", "-e", code, *ENTRIES, *adapters)
    assert len(printed.split()) == 2 * (len(ENTRIES) + len(adapters))
    assert " 0" not in printed


@pytest.mark.parametrize("way", ["map", "global", "single", "element"])
def test_a_plain_page_needs_no_bundler(chromium: object, site: str, way: str) -> None:
    check_page(chromium, f"{site}/{way}.html")


def test_a_track_may_be_on_another_origin(chromium: object, site: str, project: Path, tmp_path: Path) -> None:
    shutil.copy(project / "film.mattes", tmp_path)
    with static_server.serve_folder(tmp_path, shares=True) as other:
        (project / "elsewhere.html").write_text(PAGES["elsewhere"].replace("OTHER", other))
        check_page(chromium, f"{site}/elsewhere.html")


def test_the_readmes_page_runs(chromium: object, project: Path, tmp_path: Path) -> None:
    html = re.search(r"```html\n(<!doctype.*?)```", (npm.WEB / "README.md").read_text(), re.DOTALL)
    assert html
    (project / "index.html").write_text(html[1])
    (project / "vite.config.mjs").write_text("export default {};")
    npm.run_program(project, "vite", "build", "--outDir", str(tmp_path), "--emptyOutDir")
    shutil.copy(project / "film.webm", tmp_path / "film.mp4")
    shutil.copy(project / "film.mattes", tmp_path)
    with static_server.serve_folder(tmp_path) as address:
        check_page(chromium, address)


def test_vite_builds_a_page_with_the_package(chromium: object, project: Path, tmp_path: Path) -> None:
    (project / "vite.config.mjs").write_text('export default { build: { rollupOptions: { input: "vite.html" } } };')
    npm.run_program(project, "vite", "build", "--outDir", str(tmp_path), "--emptyOutDir")
    for name in ("film.webm", "film.mattes"):
        shutil.copy(project / name, tmp_path)
    with static_server.serve_folder(tmp_path) as address:
        check_page(chromium, f"{address}/vite.html")


def test_webpack_builds_a_page_without_unused_parts_of_the_package(chromium: object, project: Path, site: str) -> None:
    npm.run_program(project, "webpack", "./main.mjs", "--mode", "production", "-o", "packed")
    bundle = (project / "packed/main.js").read_text()
    assert "attachDPlayer" not in bundle
    assert "danmatte-layer" not in bundle, "adapters that aren't imported are left out"
    check_page(chromium, f"{site}/webpack.html")
