"""Suggestions for a misspelt word, at the end of error messages."""

from collections.abc import Iterable
from difflib import get_close_matches

_LISTED = 20  # maximum, because a graph may have thousands of names


def did_you_mean(
    word: str, known: Iterable[str], *, suggestions: int = 1, cutoff: float = 0.6, listed: bool = True
) -> str:
    """Return `; did you mean 'nearest'?` for a message.

    If no known word is near, return a list of the known words, or an empty string unless `listed`. `cutoff` is the
    minimum similarity of a suggestion, 0 to 1, as `difflib.get_close_matches` computes it.
    """
    words = list(dict.fromkeys(known))
    if near := get_close_matches(word, words, n=suggestions, cutoff=cutoff):
        return f"; did you mean {' or '.join(map(repr, near))}?"
    if not listed:
        return ""
    return f"; known: {', '.join(words[:_LISTED]) or 'none'}{', …' if len(words) > _LISTED else ''}"
