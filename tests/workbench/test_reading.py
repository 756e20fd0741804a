"""Options for reading a graph."""

from pathlib import Path

import pytest

from danmatte_workbench.artifact import digest
from danmatte_workbench.errors import InputError
from danmatte_workbench.reading import PLAIN, ReadOptions, parse_freeze


def test_freeze_options_are_parsed_as_booleans_and_numbers() -> None:
    given = ["phase_train=false", "keep = 1", "rate=0.5", "on=TRUE"]
    assert parse_freeze(given) == (("phase_train", False), ("keep", 1), ("rate", 0.5), ("on", True))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["phase_train"], "expected NAME=VALUE"),
        (["=1"], "expected NAME=VALUE"),
        (["a=x"], "expected true, false or a number, received x"),
        (["a=1", "a=2"], "a is given twice"),
    ],
)
def test_invalid_freeze_options_are_refused(given: list[str], reason: str) -> None:
    with pytest.raises(InputError, match="--freeze: ") as refused:
        parse_freeze(given)
    assert reason in str(refused.value)


def test_a_digest_depends_on_the_options_and_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(b"graph")
    index = tmp_path / "model.index"
    index.write_bytes(b"one")
    options = [ReadOptions(signature="a"), ReadOptions(signature="b"), ReadOptions(checkpoint=tmp_path / "model")]
    digests = [option.compute_digest(path) for option in options]
    index.write_bytes(b"two")
    digests += [options[2].compute_digest(path), PLAIN.compute_digest(path)]
    assert len(set(digests)) == len(digests)
    assert digests[-1] == digest(path)
