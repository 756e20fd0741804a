"""Tiny graphs and small datasets, created once per session. Tests must not change them."""

from collections.abc import Callable

import pytest

from danmatte_workbench import dataset, source
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.recipe import build_recipe, find_recipe
from danmatte_workbench.source import Source
from danmatte_workbench.steps import StepContext
from tests.workbench import tiny
from tests.workbench.tiny import Tiny

Describe = Callable[[Tiny], Source]
Build = Callable[..., Artifact]


@pytest.fixture(scope="session")
def describe(tmp_path_factory: pytest.TempPathFactory) -> Describe:
    """Return a function to a tiny graph's source, which is written at the first call."""
    root = tmp_path_factory.mktemp("graphs")

    def described(wanted: Tiny) -> Source:
        path = root / wanted.name / "model.toml"
        return source.read(path if path.exists() else tiny.write(path.parent, wanted))

    return described


@pytest.fixture(scope="session")
def plain(describe: Describe) -> Source:
    """Return the simplest tiny graph: two classes, RGB, 65×65, aligned corners."""
    return describe(tiny.PLAIN)


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return twelve pictures with masks."""
    return dataset.load(tiny.write_scenes(tmp_path_factory.mktemp("labelled"), 12))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, describe: Describe, labelled: Dataset) -> Build:
    """Return a function that applies a bundled recipe to a tiny graph; results are cached."""
    root, done = tmp_path_factory.mktemp("built"), {}

    def build_once(wanted: Tiny, recipe: str = "float") -> Artifact:
        if (wanted, recipe) not in done:
            found = describe(wanted)
            refined = find_recipe(recipe, found)
            target = root / wanted.name / recipe / "graph.xml"
            done[wanted, recipe], _ = build_recipe(refined, StepContext(found, labelled), target)
        return done[wanted, recipe]

    return build_once
