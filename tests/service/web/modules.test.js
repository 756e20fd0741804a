/** Rules for all files of the page. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const WEB = new URL("../../../service/danmatte/web/", import.meta.url);
const read = (name) => readFileSync(new URL(name, WEB), "utf8");
const modules = readdirSync(WEB, { recursive: true }).filter((name) => name.endsWith(".js"));
const PLAYER = [
  "controls", "cues", "cutout", "cuts", "danmatte", "element", "film", "frame-clock", "live", "look-ahead", "margin", "mattes", "options", "outline", "placement", "preferences",
  "timeline",
  "track", "transforms", "vtt", "webmask",
];

/** Files that a module imports, by their addresses. */
const imports = (name) => [...read(name).matchAll(/^import .* from "(.*)";$/gm)].map(([, path]) => new URL(path, new URL(name, WEB)));

test("every import is a file of the folder", () => {
  assert.ok(modules.length > 12);
  for (const name of modules) {
    for (const url of imports(name)) assert.ok(url.href.startsWith(WEB.href) && existsSync(url), `${name}: ${url}`);
  }
});

test("the player imports nothing from the demo page", () => {
  for (const name of PLAYER) {
    for (const url of imports(`${name}.js`)) assert.ok(PLAYER.includes(url.pathname.split("/").at(-1).replace(".js", "")), `${name}: ${url}`);
  }
});

test("every imported name is exported", () => {
  for (const name of modules) {
    for (const [, names, path] of read(name).matchAll(/^import \{ (.*) \} from "(.*)";$/gm)) {
      const text = readFileSync(new URL(path, new URL(name, WEB)), "utf8");
      for (const one of names.split(", ")) {
        assert.match(text, new RegExp(`export (const|function|class|\\{[^}]*)[ ]?\\b${one}\\b`), `${one} of ${path}`);
      }
    }
  }
});

test("the package contains the player and nothing of the demo page", () => {
  const { files, exports: entries } = JSON.parse(read("package.json"));
  const excluded = files.filter((name) => name.startsWith("!")).map((name) => name.slice(1));
  const included = modules.filter((name) => !name.includes("/") && !excluded.includes(name)).map((name) => name.replace(".js", ""));
  assert.deepEqual(included.sort(), PLAYER);
  assert.ok(existsSync(new URL(entries["."].default, WEB)));
});

test("scripts and styles of the pages exist and are local", () => {
  for (const page of ["index.html", "docs.html"]) {
    const paths = [...read(page).matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, path]) => path);
    assert.ok(paths.length > 1);
    for (const path of paths) {
      assert.ok(!/^(https?:)?\/\//.test(path), path);
      if (/\.(js|css|svg|webm)$/.test(path)) assert.ok(existsSync(new URL(path.replace(/^.*\//, ""), WEB)), path);
    }
  }
});

test("the package exports every name that the README imports", async () => {
  const { resolve } = createRequire(new URL("danmatte.js", WEB)); // a package can resolve its own name
  const found = [...read("README.md").matchAll(/import \{ (.*) \} from "(danmatte[^"]*)"|`(\w+)` from `(danmatte[^`]*)`/g)];
  assert.ok(found.length >= 10);
  for (const [, names, path, name, entry] of found) {
    const module = await import(pathToFileURL(resolve(path ?? entry)).href);
    for (const one of (names ?? name).split(", ")) assert.ok(one in module, `${one} of ${path ?? entry}`);
  }
  assert.equal(resolve("danmatte/adapters/hls"), resolve("danmatte/adapters/hls.js"));
});
