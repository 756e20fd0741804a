"""The toy network's manifest."""

import json

import pytest

from danmatte.contract.manifest import Manifest, parse
from tests.service.toy import Toy, manifest


@pytest.fixture(scope="session")
def toy_manifest() -> Manifest:
    """A version whose files never change."""
    return parse(json.dumps(manifest(Toy(rule="stretch"))).encode())
