"""A version whose masks on this CPU differ from the stored ones: reported, warned of, or refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from danmatte.contract.artifact import Artifact
from danmatte.contract.framing import Framing
from danmatte.contract.manifest import Manifest, parse
from danmatte.contract.stored_answers import StoredAnswers
from danmatte.engine import FakeEngine
from danmatte.errors import SettingsError
from danmatte.models import AnswerCheck, Repository
from tests.service.toy import facts, publish


class DarkEngine(FakeEngine):
    """An engine that differs as on another CPU would: its maps have lower values."""

    def infer(self, pictures: np.ndarray) -> np.ndarray:
        return super().infer(pictures) - np.float32(0.1)


def store_answers(folder: Path) -> None:
    """Store the fake engine's masks with a published toy."""
    place = folder / "manifest.json"
    manifest: Manifest = parse(place.read_bytes())
    rng = np.random.default_rng(5)
    pictures = [rng.integers(60, 200, (48, 80, 1), np.uint8).repeat(3, 2) for _ in range(2)]
    engine = FakeEngine(manifest)
    data = StoredAnswers.make(pictures, Framing.of(manifest), lambda picture: engine.infer(picture)[0]).encode()
    (folder / "answers.json").write_bytes(data)
    document = json.loads(place.read_text("utf-8"))
    document["files"]["answers.json"] = facts(data)
    place.write_text(json.dumps(document), "utf-8")


def open_all(root: Path, check: AnswerCheck, engine: type[FakeEngine] = FakeEngine) -> Repository:
    def open_engine(found: Artifact) -> FakeEngine:
        return engine(found.manifest)

    repository = Repository(root, open_engine, check=check)
    repository.load()
    return repository


def test_a_cpu_that_reproduces_the_stored_answers_has_no_disagreement(tmp_path: Path) -> None:
    store_answers(publish(tmp_path))
    (version,) = open_all(tmp_path, AnswerCheck("warn")).list_models()[0].versions
    assert (version.state, version.disagreement, version.warning) == ("ready", 0.0, "")


def test_a_cpu_whose_masks_differ_from_the_stored_answers_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store_answers(publish(tmp_path))
    (version,) = open_all(tmp_path, AnswerCheck("warn", 2.0), DarkEngine).list_models()[0].versions
    assert version.state == "ready"
    assert version.disagreement is not None
    assert version.disagreement > 2
    assert version.warning.startswith("masks on this CPU differ by ")
    assert "toy/1: masks on this CPU differ by" in caplog.text


def test_a_difference_within_the_limit_is_reported_without_a_warning(tmp_path: Path) -> None:
    store_answers(publish(tmp_path))
    (version,) = open_all(tmp_path, AnswerCheck("refuse", 100.0), DarkEngine).list_models()[0].versions
    assert (version.state, version.warning) == ("ready", "")
    assert version.disagreement


def test_the_older_version_serves_if_the_newer_one_fails_the_answer_check(tmp_path: Path) -> None:
    publish(tmp_path, version=1)  # published without stored answers, as older versions are
    store_answers(publish(tmp_path, version=2))
    newer, older = open_all(tmp_path, AnswerCheck("refuse"), DarkEngine).list_models()[0].versions
    assert (newer.state, older.state, older.disagreement) == ("failed", "ready", None)
    assert "masks on this CPU differ by" in newer.reason


def test_the_answer_check_can_be_turned_off(tmp_path: Path) -> None:
    store_answers(publish(tmp_path))
    (version,) = open_all(tmp_path, AnswerCheck("off"), DarkEngine).list_models()[0].versions
    assert (version.state, version.disagreement) == ("ready", None)


@pytest.mark.parametrize("data", [b"{}", b""])
def test_stored_answers_that_do_not_match_the_manifest_are_rejected(tmp_path: Path, data: bytes) -> None:
    folder = publish(tmp_path)
    store_answers(folder)
    (folder / "answers.json").write_bytes(data)
    with pytest.raises(SettingsError, match=r"answers\.json"):
        open_all(tmp_path, AnswerCheck("warn"))


def test_stored_answers_of_a_different_size_are_rejected(tmp_path: Path) -> None:
    class Coarse(FakeEngine):
        def infer(self, pictures: np.ndarray) -> np.ndarray:
            return super().infer(pictures)[:, ::2]

    store_answers(publish(tmp_path))
    with pytest.raises(SettingsError, match="its stored answers can't be tested: expected masks of"):
        open_all(tmp_path, AnswerCheck("warn"), Coarse)
