"""The workbench makes a trained segmentation graph small and fast, and publishes the fastest one within a budget.

    commands      the commands of `workbench`
    experiment    one run: candidates are built, compared and raced, and one wins
    benchmark     how one graph runs best on this machine, and how it would run on older ones
    metrics       what candidates are measured by
    steps         what is done to a graph; recipes/ are lists of steps
    pruning       channels taken out of a graph
    distillation  a smaller graph taught by the one that it was made from
    quantization  8-bit graphs
    graph         OpenVINO graphs taken apart and put together
    runtimes      TensorFlow, OpenVINO, TFLite and NNCF behind a few functions
    training      the default model, trained anew
    processes     children with limits of time and memory
    publish       the winner, written as the service reads it
    report        a run for people (HTML) and for programs (JSON)

What it shares with the service is `danmatte.contract`.
"""

import sys

# OpenVINO reports to its maker whenever it is imported, unasked; without this library of its own it doesn't.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
