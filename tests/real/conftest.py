"""The fast tests' models and pictures, for real peers and hostile ones; a service and a Chromium, a pair a module."""

from collections.abc import Iterator

import pytest

from tests.real import browser
from tests.service.conftest import jpeg, models, start
from tests.service.toy import Toy, publish

__all__ = ["address", "chromium", "jpeg", "models", "start", "toy"]


@pytest.fixture(scope="module")
def toy() -> Toy:
    """What the service serves; a module may have another one."""
    return Toy()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, toy: Toy) -> Iterator[str]:
    """A service of the toy."""
    folder = tmp_path_factory.mktemp("models")
    publish(folder, toy)
    with browser.run_service(folder) as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """No longer than a module: Playwright's event loop would be in the way of others'."""
    with browser.open_browser() as found:
        yield found
