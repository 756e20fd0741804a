"""What the tests of the repository open instead of OpenVINO."""

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
    """Opens fakes, and remembers what it was asked to; versions in `bad` refuse, `gate` holds all up."""

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
    """The version's graph isn't what its manifest says."""
    (folder / "graph.xml").write_text("<net/>")


def copy_version(folder: Path, version: int) -> Path:
    """The version again, under another number."""
    target = folder.parent / str(version)
    shutil.copytree(folder, target)
    facts = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps(facts | {"version": version}))
    return target


def load(root: Path, opener: Opener) -> Repository:
    """A repository that serves."""
    repository = Repository(root, opener)
    repository.load()
    return repository


def list_states(repository: Repository) -> dict[int, str]:
    """The state of each of the first model's versions."""
    return {version.version: version.state for version in repository.list_models()[0].versions}


async def find_stable(repository: Repository) -> int:
    """The version that answers."""
    return (await repository.find()).manifest.version
