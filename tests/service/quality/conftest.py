"""Models and videos that the tests of quality share."""

from pathlib import Path

import pytest

from tests.service.ports import publish_meaning
from tests.service.toy import publish


@pytest.fixture(scope="session")
def judged_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes bright pictures for good ones, and one that takes what is bright for people."""
    root = tmp_path_factory.mktemp("models")
    publish_meaning(root, "score", name="quality")
    publish(root)
    return root
