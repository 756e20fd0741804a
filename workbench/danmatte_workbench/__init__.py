"""The workbench: makes a trained segmentation graph small and fast, and publishes the fastest version within a budget.

    commands      the commands of `workbench`
    experiment    one run: builds candidates, compares and times them, and chooses a winner
    benchmark     the best way to run one graph on this machine, and how it would run on older CPUs
    metrics       what candidates are measured by
    steps         changes to a graph; recipes/ contains lists of steps
    pruning       removing channels from a graph
    distillation  training a smaller graph on the outputs of the graph that it was made from
    quantization  8-bit graphs
    graph         analysing and changing OpenVINO graphs
    runtimes      thin wrappers of TensorFlow, OpenVINO, TFLite and NNCF
    training      training the default model
    processes     child processes with limits on time and memory
    publish       writing the winner in the format that the service reads
    report        a run for people (HTML) and for programs (JSON)

Code that it shares with the service is in `danmatte.contract`.
"""

import sys

# OpenVINO sends usage statistics through this library when it is imported. An entry of None disables the library.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
