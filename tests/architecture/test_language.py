"""Names, helpers and tests are within this project's limits."""

import pytest

import measure_code
from tests.architecture.sources import ROOT

MOST_PARTICIPLES_PERCENT = 3
MOST_HELPERS_USED_ONCE_PERCENT = 15
PARTS = tuple(measure_code.SOURCES)


@pytest.fixture(scope="module")
def figures() -> dict[str, measure_code.Figures]:
    """Return the figures of the whole tree."""
    return measure_code.measure(ROOT)


@pytest.mark.parametrize("part", PARTS)
def test_functions_are_named_by_verbs(figures: dict[str, measure_code.Figures], part: str) -> None:
    assert figures[part].participles_percent <= MOST_PARTICIPLES_PERCENT


@pytest.mark.parametrize("part", PARTS)
def test_few_helpers_are_used_only_once(figures: dict[str, measure_code.Figures], part: str) -> None:
    assert figures[part].helpers_used_once_percent <= MOST_HELPERS_USED_ONCE_PERCENT


@pytest.mark.parametrize("part", PARTS)
def test_two_classes_never_share_a_name(figures: dict[str, measure_code.Figures], part: str) -> None:
    assert figures[part].homonyms == []


@pytest.mark.parametrize("part", PARTS)
def test_tests_are_as_long_as_the_code(figures: dict[str, measure_code.Figures], part: str) -> None:
    assert figures[part].tests_to_code >= 1
