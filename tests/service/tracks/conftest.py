"""A toy network for tracks, which takes bright pixels for a person."""

import json

import pytest

from danmatte.contract.manifest import Manifest, parse
from danmatte.engine import FakeEngine, Served
from tests.service.toy import Toy, manifest


@pytest.fixture(scope="session")
def toy_manifest() -> Manifest:
    """Return the toy network's manifest."""
    return parse(json.dumps(manifest(Toy(rule="stretch"))).encode())


@pytest.fixture
def toy(toy_manifest: Manifest) -> Served:
    """Return the toy network, computed without a graph."""
    return Served(toy_manifest, FakeEngine(toy_manifest))
