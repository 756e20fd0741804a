"""Fixtures of the fast tests, and a service and a Chromium for each module."""

from collections.abc import Iterator

import pytest

from tests.real import browser
from tests.service.conftest import jpeg, models, start
from tests.service.toy import Toy, publish

__all__ = ["address", "chromium", "jpeg", "models", "start", "toy"]


@pytest.fixture(scope="module")
def toy() -> Toy:
    """Return the toy model that the service serves; a module may override it."""
    return Toy()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, toy: Toy) -> Iterator[str]:
    """Run a service with the toy; yield its address."""
    folder = tmp_path_factory.mktemp("models")
    publish(folder, toy)
    with browser.run_service(folder) as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """Yield a browser for one module only, because Playwright's event loop conflicts with that of other tests."""
    with browser.open_browser() as found:
        yield found
