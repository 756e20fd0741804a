"""Parts of `scripts/bench workbench` that check how accurate reported losses are, on stored masks."""

import argparse
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from danmatte.contract.measurement import Measurement
from danmatte_workbench import hardware, source
from danmatte_workbench.budget import Budget
from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import Dataset, LabelledFrame, load
from danmatte_workbench.errors import WorkbenchError
from danmatte_workbench.experiment.compare import keep_masks, time_inference
from danmatte_workbench.experiment.confirming import Division, Referee
from danmatte_workbench.experiment.trial import THROUGHPUT, Trial
from danmatte_workbench.graph import probing
from danmatte_workbench.metrics import Score, score_mask
from danmatte_workbench.metrics.accuracy import Accuracy, ScoredFrames
from danmatte_workbench.metrics.base import find_band
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.recipe import Recipe, build_recipe, find_recipe
from danmatte_workbench.source import Source
from danmatte_workbench.steps import StepContext

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "build/bench"
RECIPES = ("float", "int8", "int8-mixed", "int8-shrunk", "int8-pruned30", "int8-stride16")
RUNS = 10
LIMIT = 0.5
TIMED = 6  # frames; the fastest one counts
CALIBRATION = 96
BANDS = (0.0, 0.0025, 0.005, 0.01, 0.02)  # of the diagonal
CHARGES = (0.0, 0.25, 0.5, 0.75)  # weights of a differing pixel in the band


@dataclass(frozen=True)
class KeptMasks:
    """Masks of a source and of a fixed set of candidates on labelled frames, stored in ``folder`` (.npz)."""

    folder: Path
    source: Source
    data: Dataset
    subjects: Mapping[str, Subject]

    def ensure(self) -> None:
        """Compute and store the masks that aren't stored yet."""
        for name, subject in self.subjects.items():
            path = self.folder / f"{name}.npz"
            if not path.exists():
                print(f"  computing masks of {self.folder.name} {name} on {len(self.data)} frames", flush=True)
                keep_masks(subject, self.data, path)

    @cached_property
    def frames(self) -> list[LabelledFrame]:
        """Return the labelled frames, without their pixels."""
        return [dataclasses.replace(frame, pixels=frame.pixels[:0]) for frame in self.data]

    def read(self, name: str) -> Iterator[tuple[LabelledFrame, np.ndarray, np.ndarray]]:
        """Yield each frame with its label and the subject's mask, (H, W) bool."""
        with np.load(self.folder / f"{name}.npz") as kept:
            for frame in self.frames:
                assert frame.truth is not None
                bits = np.unpackbits(kept[frame.name], count=frame.truth.size)
                yield frame, frame.truth, bits.reshape(frame.truth.shape).astype(bool)

    def score(self, name: str) -> list[Score]:
        """Return the scores of the subject's masks against the labels."""
        return [score_mask(frame.name, mask, truth) for frame, truth, mask in self.read(name)]


def keep_candidates(model: str, data: Dataset, calibration: Dataset, recipes: Sequence[str]) -> KeptMasks:
    """Return the masks of the model, of its published versions, and of the recipes that can be built from it."""
    described = source.find(model, ROOT / "models")
    graph = source.read(described) if described else probing.inspect(Path(model))
    label = graph.name if described else "-".join(Path(model).parts[-2:])
    subjects = {"source": Subject.from_source(graph)}
    for folder in sorted((ROOT / "models" / graph.name).glob("[0-9]*")) if described else ():
        subjects[f"version {folder.name}"] = Subject.from_published(folder)
    for name in recipes:
        try:
            subjects[name] = build_subject(graph, name, calibration, BUILT / "made" / label / name / "graph.xml")
        except WorkbenchError as error:
            print(f"  {label} {name}: {error}")
    kept = KeptMasks(BUILT / "masks" / f"{label}-{len(data)}", graph, data, subjects)
    kept.ensure()
    return kept


def build_subject(graph: Source, name: str, calibration: Dataset, target: Path) -> Subject:
    """Return the recipe's graph, built unless it is stored; layers that aren't in 8 bits compute in float32."""
    from danmatte_workbench.runtimes import openvino

    if target.exists():
        artifact = openvino.describe(target)
    else:
        context = StepContext(graph, calibration, BUILT / "unfinished")
        artifact, _ = build_recipe(find_recipe(name, graph), context, target)
    return Subject.from_artifact(name, graph, artifact, configure(precision="f32"))


# How often reported intervals contain the loss on other pictures.


def measure_intervals(options: argparse.Namespace) -> dict[str, Any]:
    """Run on random halves of the pictures; report how often a run's interval contains the loss on the other half."""
    data = load(*options.folders)
    kept = keep_candidates(options.model, data, load(options.calibration).pick(CALIBRATION), options.recipes or RECIPES)
    names = [name for name in kept.subjects if name != "source"]
    scores = {name: {score.name: score for score in kept.score(name)} for name in ("source", *names)}
    speeds = {name: 1 / time_inference(kept.subjects[name], data.pick(TIMED)) for name in names}
    recipe = find_recipe("float", kept.source)
    runs = [judge_half(data, scores, speeds, recipe, seed) for seed in range(options.runs)]
    held = sum(run["held"] for run in runs)
    kinds = [found for run in runs for found in run["kinds"].values()]
    print(f"{held} of {len(runs)} reported intervals contain the loss on the other half")
    return {
        "part": "intervals",
        "limit": LIMIT,
        "frames": len(data),
        "candidates": speeds,
        "held": held,
        "plain_held": sum(run["plain_held"] for run in runs),
        "kinds_held": sum(found["held"] for found in kinds),
        "kinds_told": len(kinds),
        "chosen_held": sum(run["chosen_held"] for run in runs),
        "runs": runs,
    }


def draw_half(data: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """Return a random half of the scenes of each kind, and the other half."""
    rng = np.random.default_rng(seed)
    mine: list[str] = []
    for kind in dict.fromkeys(file.kind for file in data.files):
        scenes = sorted({file.scene for file in data.files if file.kind == kind})
        drawn = set(rng.permutation(scenes)[: len(scenes) // 2])
        mine += [file.name for file in data.files if file.kind == kind and file.scene in drawn]
    return data.keep(mine), data.keep(set(data.names) - set(mine))


def judge_half(
    data: Dataset, scores: Mapping[str, Mapping[str, Score]], speeds: Mapping[str, float], recipe: Recipe, seed: int
) -> dict[str, Any]:
    """Choose a winner on a random half of the scenes of each kind; return its loss there and on the other half.

    recipe: any recipe, because every trial must have one.
    """
    half, rest = draw_half(data, seed)
    host = hardware.describe_host()

    def measure(
        picks: Sequence[tuple[Trial, Dataset]], confidence: float, level: str = "", *, anew: bool = False
    ) -> Accuracy:
        asked = [(trial.name, name) for trial, frames in picks for name in frames.names]
        found = [scores[candidate][name] for candidate, name in asked]
        own = [scores["source"][name] for _, name in asked]
        return ScoredFrames(found, own, data.kinds, data.scenes).measure(host, confidence=confidence, anew=anew)

    division, budget = Division.of(half), Budget(LIMIT)
    entered = []
    for name, speed in speeds.items():
        raced = [Measurement(THROUGHPUT, speed, "frames/s", speed, speed, 1, host)]
        trial = Trial(name, dataclasses.replace(recipe, name=name), configure(), measurements=tuple(raced))
        entered.append(trial.take(measure([(trial, division.choosing)], 0.95)).judge(budget))
    found = Referee(division, budget, THROUGHPUT, measure).confirm(entered)
    asked = [trial for trial in found if trial.confirmation]
    if not asked:
        return {"winner": None, "held": False, "plain_held": False, "chosen_held": False, "kinds": {}}
    last = max(asked, key=lambda trial: trial.confirmation.attempt if trial.confirmation else 0)
    plain = measure([(last, division.confirming)], 0.95).measurements[0]
    frames = [len(division.choosing), len(division.confirming), len(rest)]
    outcome = {"frames": frames, **describe_outcome(last, plain, measure([(last, rest)], 0.95))}
    told, lost = last.measurements[0], outcome["other_half"]["value"]
    outside = "" if outcome["held"] else " ← outside"
    print(f"  run {seed}: {last.name} reported {told}, the other half lost {lost:.2f}{outside}")
    return outcome


def describe_outcome(last: Trial, plain: Measurement, other: Accuracy) -> dict[str, Any]:
    """Return the reported loss of the last confirmed trial, and whether its interval has the ``other`` half's loss.

    plain: the loss on the frames that confirmed it, with the usual interval.
    """
    assert last.confirmation is not None
    told, lost, chosen = last.measurements[0], other.measurements[0], last.confirmation.choosing.measurements[0]
    elsewhere = {item.kind: item.loss for item in other.kinds}
    kinds = {
        item.kind: {
            "told": item.loss.numbers,
            "other_half": elsewhere[item.kind].value,
            "held": item.loss.low <= elsewhere[item.kind].value <= item.loss.high,
        }
        for item in last.kinds
        if item.kind in elsewhere
    }
    return {
        "winner": last.name if last.verdict.accepted else None,
        "asked": last.name,
        "attempt": last.confirmation.attempt,
        "chosen": chosen.numbers,
        "told": told.numbers,
        "other_half": lost.numbers,
        "held": told.low <= lost.value <= told.high,
        "plain_held": plain.low <= lost.value <= plain.high,
        "chosen_held": chosen.low <= lost.value <= chosen.high,
        "kinds": kinds,
    }


# How well disagreement with the source predicts the loss against labels.


def measure_disagreement(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the loss against labels and the disagreement with the source, for candidates of several graphs.

    In the disagreement, pixels in a band along the outline of the source's mask have a smaller weight. Bands have
    several widths, as shares of the diagonal.
    """
    data = load(*options.folders)
    data = data.pick(options.frames) if options.frames else data
    calibration = load(options.calibration).pick(CALIBRATION)
    rows = []
    for model in (options.model, *options.graph):
        kept = keep_candidates(model, data, calibration, options.recipes or RECIPES)
        own = kept.score("source")
        host = hardware.describe_host()
        for name in kept.subjects:
            if name != "source":
                lost = ScoredFrames(kept.score(name), own, {}).measure(host).measurements[0]
                charged = {
                    f"{band:g} {charge:g}": value for (band, charge), value in charge_disagreement(kept, name).items()
                }
                print(f"  {kept.folder.name} {name}: lost {lost}, differs by {charged['0 1']:.2f}", flush=True)
                rows.append({"graph": kept.folder.name, "candidate": name, "lost": lost.numbers, "differs": charged})
    return {"part": "disagreement", "frames": len(data), "rows": rows, "fit": fit_charges(rows)}


def charge_disagreement(kept: KeptMasks, name: str) -> dict[tuple[float, float], float]:
    """Return 100 − pooled IoU with the source's masks, by the band's width and the weight of a pixel in it."""
    sums = {band: np.zeros(3) for band in BANDS}
    for (_, _, source_mask), (_, _, mask) in zip(kept.read("source"), kept.read(name), strict=True):
        differs, either = source_mask ^ mask, source_mask | mask
        for band in BANDS:
            near = find_band(source_mask, band)
            sums[band] += either.sum(), (differs & ~near).sum(), (differs & near).sum()
    return {
        (band, charge): 100 * float(outside + charge * inside) / max(1.0, float(either))
        for band, (either, outside, inside) in sums.items()
        for charge in (CHARGES if band else (1.0,))
    }


def fit_charges(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return how well each band and weight predicts the labelled loss: correlation, slope, and RMS error in points."""
    lost = np.array([row["lost"]["value"] for row in rows])
    found = {}
    for key in rows[0]["differs"] if rows else ():
        differs = np.array([row["differs"][key] for row in rows])
        slope, offset = np.polyfit(differs, lost, 1)
        ranks = np.argsort(np.argsort(differs)), np.argsort(np.argsort(lost))
        found[key] = {
            "correlation": float(np.corrcoef(differs, lost)[0, 1]),
            "rank_correlation": float(np.corrcoef(ranks[0], ranks[1])[0, 1]),
            "slope": float(slope),
            "offset": float(offset),
            "error": float(np.sqrt(np.mean((slope * differs + offset - lost) ** 2))),
        }
    return found
