"""The virtual environment .venv: created once, updated when its requirements change, and recreated if incomplete.

`.venv/danmatte.json` stores a digest of the requirements. While pip runs, it stores that instead. An environment found
in that state is from a run that was killed, and is recreated.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv"
STATE = HOME / "danmatte.json"
CONSTRAINTS = ROOT / "constraints.txt"
EVERYTHING = ("dev", "docs", "grpc", "library", "ray", "tracing", "workbench")  # the extras of pyproject.toml


def main() -> int:
    """Read the command line and set up the environment that it describes."""
    parser = argparse.ArgumentParser(prog="scripts/setup", description=__doc__)
    parser.add_argument("extras", nargs="*", help=f"any of serving, {', '.join(EVERYTHING)}; all by default")
    parser.add_argument(
        "--refresh", action="store_true", help="resolve the newest versions and rewrite constraints.txt"
    )
    options = parser.parse_args()
    if unknown := set(options.extras) - {"serving", *EVERYTHING}:
        parser.error(f"no such extra: {', '.join(sorted(unknown))}; expected serving, {', '.join(EVERYTHING)}")
    try:
        if options.refresh:
            refresh()
        ensure(set(options.extras or EVERYTHING) - {"serving"})
    except subprocess.CalledProcessError as error:
        say(f"stopped: {' '.join(map(str, error.cmd[:6]))} … ended with {error.returncode}")
        return 3
    return 0


def ensure(extras: set[str]) -> None:
    """Make `.venv` complete for `extras`, whatever its state; other setups wait until this one ends."""
    with alone():
        for old in ROOT.glob(".venv.old-*"):
            shutil.rmtree(old, ignore_errors=True)
        state = read_state()
        had = read_extras(state)
        if state.get("made_from") == description() and extras <= had and runs():
            return
        started = time.monotonic()
        if HOME.exists() and (state.get("making") or state.get("root", str(ROOT)) != str(ROOT) or not runs()):
            HOME.rename(ROOT / f".venv.old-{os.getpid()}")
            had = set()
        install(extras | had)
        say(f"environment ready in {time.monotonic() - started:.0f} s")


def install(extras: set[str]) -> None:
    """Create the environment if there is none, and install missing packages with pip."""
    fresh = not HOME.exists()
    HOME.mkdir(exist_ok=True)
    write_state({"making": True})
    if fresh:
        say(f"creating .venv with Python {sys.version.split()[0]}")
        venv.create(HOME, with_pip=True, symlinks=True)
    say(f"installing {', '.join(['serving', *sorted(extras)])} as pinned in constraints.txt (minutes the first time)")
    target = f".[{','.join(sorted(extras))}]" if extras else "."
    pip(HOME, "install", "-qq", "-c", CONSTRAINTS, "-e", target)
    write_state({"made_from": description(), "extras": sorted(extras), "root": str(ROOT)})


def refresh() -> None:
    """Resolve every extra without constraints in a temporary environment, and pin the resulting versions."""
    head = [line for line in CONSTRAINTS.read_text("utf-8").splitlines() if line.startswith("#")]
    with tempfile.TemporaryDirectory() as scratch:
        say("resolving the newest versions")
        venv.create(scratch, with_pip=True, symlinks=True)
        pip(Path(scratch), "install", "-qq", f".[{','.join(EVERYTHING)}]", "setuptools", "--upgrade")
        frozen = pip(Path(scratch), "list", "--format=json", capture=True)
    pins = [f"{package['name']}=={package['version']}" for package in json.loads(frozen)]
    kept = sorted((pin for pin in pins if not pin.startswith(("danmatte==", "pip=="))), key=str.lower)
    CONSTRAINTS.write_text("\n".join([*head, *kept]) + "\n", "utf-8")
    say(f"constraints.txt pins {len(kept)} packages")


def pip(home: Path, *words: str | Path, capture: bool = False) -> str:
    """Run an environment's pip in the repository's root; its errors go to the terminal."""
    command = [home / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-input", *words]
    output = subprocess.PIPE if capture else None
    return subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=output).stdout or ""


def description() -> str:
    """Return a digest of the files that determine the environment's content."""
    digest = hashlib.sha256()
    for path in (ROOT / "pyproject.toml", CONSTRAINTS):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def runs() -> bool:
    """Return whether the environment's Python starts and is new enough."""
    test = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([HOME / "bin" / "python", "-c", test], check=False).returncode == 0
    except OSError:
        return False


def read_state() -> dict[str, object]:
    """Return the environment's stored state; empty if it can't be read."""
    try:
        state = json.loads(STATE.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def read_extras(state: dict[str, object]) -> set[str]:
    """Return the extras with which an environment was created."""
    extras = state.get("extras", [])
    return set(map(str, extras)) if isinstance(extras, list) else set()


def write_state(state: dict[str, object]) -> None:
    """Replace the environment's stored state atomically."""
    partial = STATE.with_suffix(".part")
    partial.write_text(json.dumps(state), "utf-8")
    partial.replace(STATE)


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock that every setup of this clone takes; the system releases it if the process dies."""
    with (ROOT / "pyproject.toml").open("rb") as lock:  # a file that always exists, so no lock file needs to be removed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another setup to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(words: str) -> None:
    """Print one line of progress to the error stream, so that it never mixes with results."""
    print(f"danmatte: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
