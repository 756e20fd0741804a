"""The workbench: from a trained segmentation graph to the fastest OpenVINO IR that keeps its promises.

    commands     what it can be told to do
    experiment   one run: plans are tried, cooked, compared and raced, and one wins
    publish      the winner, as the service takes it; report, the run for people and programs
    tuning       how one graph runs best here, and on older machines
    metrics      what candidates are measured by
    steps        what is done to a graph, as recipes/ combine it
    training     the default model, taught again
    backends     the libraries that do the heavy work
    processes    children that answer questions, and what they may take

The single modules are the words that all of these share: a source and its recipe, an artifact and its configuration,
measurements and the budget that they keep to.
"""

import sys

# OpenVINO reports to its maker whenever it is imported, unasked; without this library of its own it doesn't.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
