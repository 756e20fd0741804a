"""Suggestions in messages for misspelt words."""

import pytest

from danmatte.contract.near_words import did_you_mean


def test_the_nearest_word_is_suggested() -> None:
    assert did_you_mean("widht", ["width", "height"]) == "; did you mean 'width'?"


def test_several_suggestions_are_listed_nearest_first() -> None:
    known = ["Conv_1", "Conv_2", "Mean"]
    assert did_you_mean("Conv_2x", known, suggestions=2) == "; did you mean 'Conv_2' or 'Conv_1'?"


def test_the_known_words_are_listed_when_none_is_near() -> None:
    assert did_you_mean("xyz", ["width", "height"]) == "; known: width, height"
    assert did_you_mean("xyz", []) == "; known: none"


def test_known_words_are_not_listed_if_the_message_lists_them_already() -> None:
    assert did_you_mean("xyz", ["width", "height"], listed=False) == ""


@pytest.mark.parametrize(("count", "ends_with"), [(20, "n19"), (21, "n19, …")])
def test_the_list_of_known_words_is_cut_after_20(count: int, ends_with: str) -> None:
    assert did_you_mean("xyz", [f"n{number}" for number in range(count)]).endswith(ends_with)


def test_a_duplicate_known_word_is_suggested_once() -> None:
    assert did_you_mean("CPUU", ["CPU", "CPU", "CPU.1"], suggestions=3).count("'CPU'") == 1
