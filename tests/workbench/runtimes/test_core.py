"""Signal handlers work whatever OpenVINO has loaded and released before."""

import subprocess
import sys

import pytest

BEGINNING = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: print("heard"))
"""
END = """
import gc
gc.collect()
os.kill(os.getpid(), signal.SIGTERM)
"""
OTHERS = """
import openvino as ov
from danmatte_workbench.runtimes.core import keep_signal_stack
with keep_signal_stack():
    first, second = (ov.Core() for _ in range(2))
    for core in (first, second):
        core.get_property("CPU", "FULL_DEVICE_NAME")
    del core, first
    second = None
"""
OURS = """
from danmatte_workbench.runtimes import openvino
from tests.workbench.small_graphs import Chain
from danmatte_workbench.configuration import configure
graph, setting = Chain(9, 9).conv(2, "only").model(), configure(streams=1, threads=1)
first, second = (openvino.compile_model(graph, setting) for _ in range(2))
del first
second = None
"""
QUANTIZED = """
import nncf as library
import openvino as ov
from danmatte_workbench.runtimes import nncf
from tests.workbench.runtimes.test_nncf import network, pictures
def open_two(*_, **__):
    first, second = (ov.Core() for _ in range(2))
    for core in (first, second):
        core.get_property("CPU", "FULL_DEVICE_NAME")
    del core, first
    second = None
library.quantize = open_two  # as NNCF may, which opens an entry for each graph that it looks at
nncf.quantize(network(), pictures())
"""


@pytest.mark.parametrize("work", [OTHERS, OURS, QUANTIZED], ids=["others", "ours", "quantized"])
def test_a_signal_handler_runs_after_openvino_was_used_and_released(work: str) -> None:
    code = BEGINNING + work + END
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout[-6:]) == (0, "heard\n"), run.stderr
