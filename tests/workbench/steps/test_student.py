"""A smaller graph in place of the source: only the one that model.toml names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.source import Source, StudentGraph
from danmatte_workbench.steps import StepContext, make_step
from tests.workbench import tiny
from tests.workbench.conftest import Build, Describe


def test_a_student_gives_the_outputs_of_its_own_graph_for_any_source(
    describe: Describe, built: Build, labelled: Dataset, tmp_path: Path
) -> None:
    student = describe(tiny.PLAIN)
    source = replace(
        describe(tiny.HALVES), student=StudentGraph(student.path, student.digest, student.size), size=(33, 33)
    )
    step = make_step("student", {}, source)
    artifact, note = step.apply(source.path, tmp_path / "graph.xml", StepContext(source, labelled))
    assert note == f"{student.path.name} at 65×65"
    pixels = tiny.scene(1, 65, 65)[0][None]
    mine = openvino.make_runner(artifact.path, configure(precision="f32"))(pixels.copy())
    right = openvino.make_runner(built(tiny.PLAIN).path, configure(precision="f32"))(pixels)
    assert np.allclose(mine, right, atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.bin", "graph.xml"]


@pytest.mark.parametrize("digest", ["", "of another"])
def test_a_student_that_does_not_belong_to_the_source_is_refused(
    plain: Source, labelled: Dataset, tmp_path: Path, digest: str
) -> None:
    step = make_step("student", {"digest": digest}, plain)
    with pytest.raises(InputError, match=r"the model.toml has no \[student\]"):
        step.apply(plain.path, tmp_path / "graph.xml", StepContext(plain, labelled))
