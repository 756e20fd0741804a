/**
 * Run by `npm pack` in service/danmatte/web before and after packing: writes types from the modules' comments, bundles for pages without modules, the
 * licence and the provenance. With `--clean`, removes them again.
 */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "..");
const WEB = join(ROOT, "service/danmatte/web");
const MADE = ["types", "dist", "LICENSE", "NOTICE", "provenance.json"];
const { devDependencies, version, exports: entries } = JSON.parse(readFileSync(join(WEB, "package.json"), "utf8"));

/** Run a tool in the version that package.json pins; it is installed once, into build/. */
function runTool(name, program, ...options) {
  const home = join(ROOT, `build/${name}-${devDependencies[name]}`);
  if (!existsSync(join(home, "node_modules/.bin", program))) {
    const quiet = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"];
    mkdirSync(home, { recursive: true });
    // Ignore the settings of an npm that runs this script; otherwise the tool would be installed into the package's folder.
    const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith("npm_")));
    execFileSync("npm", ["install", "--prefix", home, ...quiet, `${name}@${devDependencies[name]}`], { stdio: ["ignore", "ignore", "inherit"], cwd: home, env });
  }
  execFileSync(join(home, "node_modules/.bin", program), options, { cwd: WEB, stdio: "inherit" });
}

const adapters = readdirSync(join(WEB, "adapters")).map((name) => `adapters/${name}`);
const modules = [...new Set(Object.values(entries).map((entry) => entry.default?.replace("./", "")))].filter((name) => name && !name.includes("*"));

function writeTypes() {
  const config = join(ROOT, "build/tsconfig.package.json");
  const compilerOptions = { noEmit: false, declaration: true, emitDeclarationOnly: true, rootDir: WEB, outDir: join(WEB, "types") };
  const files = [...modules, ...adapters].map((name) => join(WEB, name));
  mkdirSync(join(ROOT, "build"), { recursive: true });
  writeFileSync(config, JSON.stringify({ extends: join(WEB, "tsconfig.json"), compilerOptions, files, include: [] }));
  runTool("typescript", "tsc", "-p", config);
  // Comments can't declare the element's name, which `querySelector` and `createElement` need.
  const named = '\ndeclare global {\n  interface HTMLElementTagNameMap {\n    "danmatte-layer": DanmatteLayer;\n  }\n}\n';
  appendFileSync(join(WEB, "types/element.d.ts"), named);
}

/** Write bundles of all modules: one with the global `danmatte`, for a `<script>`, and one module. */
function writeBundles() {
  const entry = join(ROOT, "build/package-entry.js");
  const all = [...modules, ...adapters].map((name) => `export * from ${JSON.stringify(join(WEB, name))};`);
  writeFileSync(entry, all.join("\n"));
  const banner = `--banner:js=/*! danmatte ${version}, Apache-2.0 */`;
  const common = [entry, "--bundle", "--minify", "--target=es2022", "--legal-comments=none", "--log-level=error", banner, "--log-override:empty-import-meta=silent"];
  runTool("esbuild", "esbuild", ...common, "--format=iife", "--global-name=danmatte", "--outfile=dist/danmatte.js");
  runTool("esbuild", "esbuild", ...common, "--format=esm", "--outfile=dist/danmatte.mjs");
}

/** Write the commit, sources and tools of the package, from which it can be rebuilt and compared. */
function writeProvenance() {
  const git = (...options) => {
    try {
      return execFileSync("git", options, { cwd: WEB, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
    } catch {
      return null; // an archive of the sources, without git
    }
  };
  const digest = (name) => createHash("sha256").update(readFileSync(join(WEB, name))).digest("hex");
  const sources = readdirSync(WEB, { recursive: true }).filter((name) => name.endsWith(".js") && !/^(types|dist)\//.test(name));
  const facts = {
    name: "danmatte",
    version,
    commit: git("rev-parse", "HEAD"),
    changed: git("status", "--porcelain", "--untracked-files=no", ".") !== "",
    tools: devDependencies,
    sources: Object.fromEntries(sources.sort().map((name) => [name, digest(name)])),
  };
  writeFileSync(join(WEB, "provenance.json"), `${JSON.stringify(facts, null, 1)}\n`);
}

for (const name of MADE) rmSync(join(WEB, name), { recursive: true, force: true });
if (!process.argv.includes("--clean")) {
  writeTypes();
  writeBundles();
  for (const name of ["LICENSE", "NOTICE"]) copyFileSync(join(ROOT, name), join(WEB, name));
  writeProvenance();
}
