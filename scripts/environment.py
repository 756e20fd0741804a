"""The environment at the root: made once, mended when its description changes, never accepted half-made.

`.venv/danmatte.json` says what it was made from. While pip works, it says so instead: an environment found
in that state belongs to a run that was killed, and is made again from nothing.
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
    """Read the command line and bring the environment to what it asks for."""
    parser = argparse.ArgumentParser(prog="scripts/setup", description=__doc__)
    parser.add_argument("extras", nargs="*", help=f"of serving, {', '.join(EVERYTHING)}; all by default")
    parser.add_argument("--refresh", action="store_true", help="resolve anew and rewrite constraints.txt")
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
    """Leave `.venv` complete for `extras`, whatever state it is in; others wait meanwhile."""
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
    """Make the environment if there is none, and let pip bring what is missing."""
    fresh = not HOME.exists()
    HOME.mkdir(exist_ok=True)
    write_state({"making": True})
    if fresh:
        say(f"making .venv with Python {sys.version.split()[0]}")
        venv.create(HOME, with_pip=True, symlinks=True)
    say(f"installing {', '.join(['serving', *sorted(extras)])} as pinned in constraints.txt (minutes if new)")
    target = f".[{','.join(sorted(extras))}]" if extras else "."
    pip(HOME, "install", "-qq", "-c", CONSTRAINTS, "-e", target)
    write_state({"made_from": description(), "extras": sorted(extras), "root": str(ROOT)})


def refresh() -> None:
    """Resolve every extra without constraints, in a scratch environment, and pin what came out."""
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
    """Run an environment's own pip at the root; its errors go to the terminal."""
    command = [home / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-input", *words]
    output = subprocess.PIPE if capture else None
    return subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=output).stdout or ""


def description() -> str:
    """Digest of what decides the environment's content."""
    digest = hashlib.sha256()
    for path in (ROOT / "pyproject.toml", CONSTRAINTS):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def runs() -> bool:
    """Whether the environment's Python starts and is new enough."""
    test = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([HOME / "bin" / "python", "-c", test], check=False).returncode == 0
    except OSError:
        return False


def read_state() -> dict[str, object]:
    """What the environment says of itself; empty if it says nothing that can be read."""
    try:
        state = json.loads(STATE.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def read_extras(state: dict[str, object]) -> set[str]:
    """The extras that an environment was made with."""
    extras = state.get("extras", [])
    return set(map(str, extras)) if isinstance(extras, list) else set()


def write_state(state: dict[str, object]) -> None:
    """Replace the environment's word about itself, whole."""
    partial = STATE.with_suffix(".part")
    partial.write_text(json.dumps(state), "utf-8")
    partial.replace(STATE)


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock that every setup of this clone takes; the system frees it if the holder dies."""
    with (ROOT / "pyproject.toml").open("rb") as lock:  # a file that is always there: nothing to clean up
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another setup to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(words: str) -> None:
    """One line of progress, on the error stream so that it never mixes with results."""
    print(f"danmatte: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
