"""Fake engines that tests of the repository open instead of OpenVINO."""

import json
import shutil
import threading
import weakref
from pathlib import Path

from danmatte.contract.artifact import Artifact
from danmatte.engine import FakeEngine
from danmatte.errors import ModelError
from danmatte.models import Repository


class Opener:
    """Opens fake engines and records them; versions in `bad` fail to open, and `gate` blocks all."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, int]] = []
        self.engines: dict[int, weakref.ref[FakeEngine]] = {}
        self.bad: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, found: Artifact) -> FakeEngine:
        version = found.manifest.version
        self.opened.append((found.manifest.name, version))
        assert self.gate.wait(10)
        if version in self.bad:
            raise ModelError("no such device")
        engine = FakeEngine(found.manifest)
        self.engines[version] = weakref.ref(engine)
        return engine


def spoil(folder: Path) -> None:
    """Change the version's graph so that it no longer matches the manifest."""
    (folder / "graph.xml").write_text("<net/>")


def copy_version(folder: Path, version: int) -> Path:
    """Copy the version under another number."""
    target = folder.parent / str(version)
    shutil.copytree(folder, target)
    facts = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps(facts | {"version": version}))
    return target


def load(root: Path, opener: Opener) -> Repository:
    """Return a loaded repository."""
    repository = Repository(root, opener)
    repository.load()
    return repository


def list_states(repository: Repository) -> dict[int, str]:
    """Return the state of each of the first model's versions."""
    return {version.version: version.state for version in repository.list_models()[0].versions}


async def find_stable(repository: Repository) -> int:
    """Return the number of the version that serves."""
    return (await repository.find()).manifest.version
