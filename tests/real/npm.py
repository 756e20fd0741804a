"""npm as authors of pages use it: an empty folder, our packed package, and packages from the registry."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

WEB = ROOT / "service/danmatte/web"
QUIET = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error")
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("npm_")}


def run_npm(folder: Path, *options: str, within_s: float = 400) -> str:
    """Run npm and return its output; skip the test without npm or if its registry can't be reached."""
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("needs npm")
    run = subprocess.run(
        [npm, *options], cwd=folder, env=PLAIN, capture_output=True, text=True, timeout=within_s, check=False
    )
    if run.returncode and any(word in run.stderr for word in ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN")):
        pytest.skip(f"npm can't reach its registry: {run.stderr[-200:]}")
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def run_program(folder: Path, name: str, *options: str) -> str:
    """Run a program of the folder's packages, or `node`, and return its output."""
    program = "node" if name == "node" else str(folder / "node_modules/.bin" / name)
    run = subprocess.run(
        [program, *options], cwd=folder, env=PLAIN, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def pack(folder: Path) -> Path:
    """Pack our package into the folder; return its path."""
    printed = run_npm(WEB, "pack", "--pack-destination", str(folder), "--silent")
    return folder / printed.split()[-1]


def start_project(folder: Path, tarball: Path, *packages: str) -> None:
    """Run `npm init` and `npm install` in an empty folder."""
    run_npm(folder, "init", "-y")
    run_npm(folder, "install", *QUIET, str(tarball), *packages)
