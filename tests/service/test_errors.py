"""The exceptions match the tree in the module's docstring."""

import re
from collections.abc import Iterator

from danmatte import errors
from danmatte.errors import ServiceError, brief


def tree(root: type[ServiceError]) -> Iterator[type[ServiceError]]:
    """Yield every error of the service."""
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def test_the_docstring_shows_every_error_with_its_status_and_code() -> None:
    drawn = re.findall(r"(\w+Error) +(\d{3})  (\w+)", errors.__doc__)
    real = [(error.__name__, str(error.status), error.code) for error in tree(ServiceError)]
    assert sorted(drawn) == sorted(real)


def test_codes_are_unique_and_statuses_are_errors() -> None:
    found = list(tree(ServiceError))
    assert len({error.code for error in found}) == len(found)
    assert all(400 <= error.status <= 599 for error in found)


def test_long_values_are_shortened_in_messages() -> None:
    assert len(brief("x" * 10_000)) == 80
    assert brief(3) == "3"
