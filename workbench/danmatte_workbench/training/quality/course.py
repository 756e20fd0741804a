"""The whole training: samples, the judge, the exported graph and its figures."""

import json
from dataclasses import asdict
from pathlib import Path

from msgspec import structs

from danmatte_workbench import hardware
from danmatte_workbench.training.quality import architecture, export, fit
from danmatte_workbench.training.quality.samples import SIDE, list_pictures, make_samples

COUNT, CHECKED = 42_000, 1_680
GRAPH, FIGURES, MODEL = "quality_graph.pb", "figures.json", "model.toml"
_MODEL = f"""name = "quality"
graph = "{GRAPH}"
licence = "Apache-2.0"

[input]
tensor = "{export.PICTURE}:0"
port = "{export.PICTURE}:0"
height = {SIDE}
width = {SIDE}
colour = "RGB"
mean = [0.0, 0.0, 0.0]
scale = [1.0, 1.0, 1.0]

[output]
tensor = ["{export.SCORE}:0"]
meaning = ["regression"]

[resize]
rule = "stretch"
fill = [127, 127, 127]
"""


def train(people: Path, folder: Path, *, seed: int, count: int = COUNT) -> Path:
    """Train on degraded crops of ``people``'s pictures; return the path of the new frozen graph.

    Everything is stored in ``folder``, and samples that it holds already aren't made again. ``figures.json`` beside the
    graph has its figures on pictures of ``val``, which aren't used for training. ``model.toml`` is for ``workbench
    optimize``.
    """
    checked = make_samples(list_pictures(people, "val"), CHECKED, folder / "val", seed + 1)
    training = make_samples(list_pictures(people, "train"), count, folder / "train", seed)
    judge = fit.fit(training, plan=fit.Plan(), seed=seed)
    figures = fit.check(judge, checked)
    graph = folder / GRAPH
    export.export(architecture.join(judge), graph)
    (folder / MODEL).write_text(_MODEL)
    host = structs.asdict(hardware.describe_host())
    facts = {"host": host, "seed": seed, "trained_on": count, **asdict(figures)}
    (folder / FIGURES).write_text(json.dumps(facts, indent=1) + "\n")
    return graph
