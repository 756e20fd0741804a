"""Detection of kinds of scene, if the user gives none: a budget has to hold in each kind.

Frames are clustered by the people's share of the picture, the brightness, and the source's last features.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np

from danmatte_workbench.budget import MIN_KIND_SAMPLES
from danmatte_workbench.dataset import IGNORE, PERSON, Dataset
from danmatte_workbench.errors import WorkbenchError
from danmatte_workbench.experiment.build import Builder
from danmatte_workbench.experiment.compare import digest_frames
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.metrics.subject import Subject

MAX_KINDS = 4  # with more, each kind would have too few pictures to measure a loss
COMPONENTS = 4  # principal components of the features that are used
SMALLEST = 0.003  # of a picture: a smaller share of people counts as none
SCENES = "scenes"
ROUNDS, ATTEMPTS, CLOSE = 100, 8, 1e-4  # of k-means
SIZES = ((SMALLEST, "hardly anybody"), (0.02, "tiny people"), (0.15, "small people"), (1.1, "large people"))
DARK, BRIGHT = 0.35, 0.6


@dataclass(frozen=True)
class SceneFacts:
    """Facts of a picture: the people's share and the mean brightness, from 0 to 1, and the mean of each feature."""

    share: float
    brightness: float
    features: tuple[float, ...]


def find_scenes(exact: Trial, builder: Builder, frames: Dataset) -> dict[str, str]:
    """Return the kind of scene of each frame by name; empty if the frames don't differ enough.

    exact: trial of the source's graph in floats, which computes the features. The facts are cached. A failure is
    reported, and the result is empty then.
    """
    workspace = builder.workspace
    try:
        with workspace.progress.task("scenes", f"detecting kinds of scene in {len(frames)} frames"):
            candidate = builder.find(exact.recipe) or builder.build(exact.recipe)
            subject = replace(exact, candidate=candidate).to_subject(builder.source)
            key = {**subject.identity, "frames": digest_frames(frames)}
            kept = workspace.results.get(SCENES, key)
            if kept is None:
                kept = workspace.isolate(look_at_scenes, subject, frames)
                workspace.results.put(SCENES, key, kept)
    except WorkbenchError as error:
        workspace.progress.report(f"kinds of scene: {error}")
        return {}
    kinds = sort_by_scene({name: SceneFacts(**facts) for name, facts in kept.items()}, frames.scenes)
    counts = Counter(kinds.values())
    found = ", ".join(f"{kind} ({count})" for kind, count in counts.items()) or "none that differ enough"
    workspace.progress.report(f"kinds of scene found: {found}")
    return kinds


def look_at_scenes(subject: Subject, data: Dataset) -> dict[str, dict[str, Any]]:
    """Return the facts of each frame by name, as plain data.

    The people's share is that of the frame's mask, or of the subject's if the frame has none. subject: the source's
    graph in floats, up to the probability of a person.
    """
    from danmatte_workbench.graph.layers import extract, find_logits
    from danmatte_workbench.runtimes import openvino

    model = openvino.read(subject.path)
    logits, answer = find_logits(model), model.output(0).get_node().input_value(0)
    # The logits are a convolution, perhaps with a bias added; the convolution's input are the features.
    reader = logits.input_value(0).get_node() if logits.get_type_name() == "Add" else logits
    run = openvino.compile_model(extract(model, [reader.input_value(0), answer]))
    facts: dict[str, dict[str, Any]] = {}
    for frame in data:
        answers = run(subject.framing.fit_exactly(frame.pixels))
        features, probability = answers[0][0], answers[1]
        share = float((probability > 0.5).mean())
        if frame.truth is not None:
            share = float((frame.truth == PERSON).sum() / max(1, (frame.truth != IGNORE).sum()))
        means = features.reshape(len(features), -1).mean(axis=1)
        facts[frame.name] = asdict(SceneFacts(share, float(frame.pixels.mean() / 255), tuple(map(float, means))))
    return facts


def sort_by_scene(facts: Mapping[str, SceneFacts], scenes: Mapping[str, str]) -> dict[str, str]:
    """Return the kind of each frame by name, in words; empty if there aren't two kinds with enough frames.

    scenes: scene by name of frame. Frames of one scene get the same kind.
    """
    members: dict[str, list[str]] = {}
    for name in facts:
        members.setdefault(scenes.get(name, name), []).append(name)
    groups = list(members.values())
    places = _place(groups, facts)
    for count in range(min(MAX_KINDS, len(facts) // MIN_KIND_SAMPLES), 1, -1):
        labels = _cluster(places, count)
        kinds = [
            [name for group, label in zip(groups, labels, strict=True) if label == kind for name in group]
            for kind in range(count)
        ]
        if min(map(len, kinds)) >= MIN_KIND_SAMPLES:
            words = _name_kinds([[facts[name] for name in kind] for kind in kinds])
            return {name: word for kind, word in zip(kinds, words, strict=True) for name in kind}
    return {}


def _place(groups: Sequence[Sequence[str]], facts: Mapping[str, SceneFacts]) -> np.ndarray:
    """Return a point for each group, (groups, n) float32: people's size, brightness and features, of equal weight."""
    means = [
        np.mean(
            [
                (np.log(max(facts[name].share, SMALLEST)), facts[name].brightness, *facts[name].features)
                for name in group
            ],
            axis=0,
        )
        for group in groups
    ]
    values = np.array(means)
    scaled = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-6)
    left, strength, _ = np.linalg.svd(scaled[:, 2:], full_matrices=False)
    seen = (left * strength)[:, :COMPONENTS]
    seen /= max(1e-6, float(np.sqrt(np.square(seen).sum(axis=1).mean())))
    return np.column_stack([scaled[:, :2], seen]).astype(np.float32)


def _cluster(places: np.ndarray, count: int) -> list[int]:
    """Return each point's cluster by k-means, with a fixed seed."""
    cv2.setRNGSeed(count)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, ROUNDS, CLOSE)
    start = np.zeros((len(places), 1), np.int32)
    _, labels, _ = cv2.kmeans(places, count, start, criteria, ATTEMPTS, cv2.KMEANS_PP_CENTERS)
    return [int(label) for label in labels.ravel()]


def _name_kinds(kinds: Sequence[Sequence[SceneFacts]]) -> list[str]:
    """Name the kinds by people's size and brightness, with a number appended to equal names."""
    words = []
    for facts in kinds:
        share = float(np.median([item.share for item in facts]))
        brightness = float(np.median([item.brightness for item in facts]))
        size = next(word for limit, word in SIZES if share < limit)
        light = ", dark" if brightness < DARK else ", bright" if brightness > BRIGHT else ""
        words.append(f"{size}{light}")
    counts = {word: words.count(word) for word in words}
    return [f"{word} {words[:place].count(word) + 1}" if counts[word] > 1 else word for place, word in enumerate(words)]
