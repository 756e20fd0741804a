"""Explanations of libraries' long error messages, in one sentence."""

import re

import pytest

from danmatte_workbench.runtimes.causes import CAUSES, explain

OPENVINO_PAGE = """Check 'false' failed at src/frontends/common_translators/src/unconverted_ops_report.cpp:151:
FrontEnd API failed with OpConversionFailure:
Model wasn't fully converted. Failed operations detailed log:
{}
Summary:
{}
To facilitate the conversion of unsupported operations, refer to Frontend Extension documentation: https://docs
"""
TENSORFLOW_PAGE = """Graph execution error:

Detected at node Reshape defined at (most recent call last):
<stack traces unavailable>
{}
\t [[{{{{node Reshape}}}}]]"""
SEEN = [
    (
        OPENVINO_PAGE.format(
            "-- VariableV2 with a message:\nVariable or resource `w` is not initialized, model is inconsistent",
            "-- Conversion is failed for: VariableV2",
        ),
        "it isn't frozen: the file has no value for the variable w; give the SavedModel",
    ),
    (
        OPENVINO_PAGE.format("", "-- No conversion rule found for operations: DecodeJpeg"),
        "it takes encoded pictures (DecodeJpeg), but OpenVINO takes pixels",
    ),
    (
        OPENVINO_PAGE.format("", "-- No conversion rule found for operations: FarthestPointSample, Foo"),
        "OpenVINO doesn't support FarthestPointSample, Foo",
    ),
    (
        OPENVINO_PAGE.format(
            "-- Conv2D with a message:\nCheck 'element' failed at src/core/src/op/convolution.cpp:45:\n"
            "While validating node 'opset1::Convolution c ()' with friendly_name 'c':\nKernels don't suit.",
            "-- Conversion is failed for: Conv2D",
        ),
        "Conv2D: Kernels don't suit",
    ),
    (
        "Check 'translate_map.count(op_type)' failed at src/frontends/tensorflow_lite/src/frontend.cpp:2:\n"
        "FrontEnd API failed with OpConversionFailure:\nNo translator found for Convolution2DTransposeBias node.\n",
        "OpenVINO doesn't support Convolution2DTransposeBias",
    ),
    (
        TENSORFLOW_PAGE.format("Input to reshape is a tensor with 789507 values, but the requested shape has 198147"),
        "a reshape inside has a fixed size: it received 789507 values and expects 198147; use another picture size",
    ),
    (TENSORFLOW_PAGE.format("Something odd happened"), "Something odd happened (at Reshape)"),
    ('in user code:\n\n    File "m.py", line 2, in f\n\n    ValueError: it is odd.\n', "ValueError: it is odd"),
    (
        "Check 'ok' failed at src/frontends/onnx/frontend/src/utils/tensor_external_data.cpp:9:\nInvalid usage of "
        "method for externally stored data in file (weights.data, offset: 0, data_length: 432)",
        "its weights are in the file weights.data, which isn't next to it",
    ),
    ("No model config found in the file at a.weights.h5.", "it contains weights without their graph; save the whole"),
    ("Cannot recognize input model.", "the file is damaged or has another format"),
    (
        "File not found: filepath=a.keras. Please ensure the file is an accessible `.keras` zip file.",
        "the file is damaged or has another format",
    ),
    (
        "Requested the deserialization of a `Lambda` layer whose `function` is a Python lambda. This carries a risk",
        "if you trust the file's origin, use --trust-lambda",
    ),
    ("Unknown layer: 'Attend'. Please ensure you are using a scope", "it has a custom layer, Attend"),
    ("Could not locate class 'Attend'. Make sure custom classes are decorated", "it has a custom layer, Attend"),
    ("at file.cpp:7\n\n  the shape is wrong. \n", "the shape is wrong"),
    ("", "RuntimeError"),
]


@pytest.mark.parametrize(("text", "meaning"), SEEN)
def test_a_library_error_is_reduced_to_its_cause_in_one_line(text: str, meaning: str) -> None:
    explained = explain(RuntimeError(text))
    assert meaning in explained
    assert "\n" not in explained
    assert not re.search(r"\.(?:cpp|py)\b|Check '|Summary|{", explained)


def test_the_placeholders_of_every_meaning_are_groups_of_its_pattern() -> None:
    for cause in CAUSES:
        names = set(re.findall(r"{(\w+)}", cause.meaning))
        assert names <= {"name", "value"}
        assert names <= set(re.compile(cause.pattern).groupindex)
