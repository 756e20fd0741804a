"""Values of the flags of OpenVINO's converters."""

import pytest

from danmatte_workbench.commands import converter_flags as flags
from danmatte_workbench.commands.converter_flags import InputFlag
from danmatte_workbench.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("photo", (InputFlag("photo"),)),
        ("0:a/Conv2D", (InputFlag("0:a/Conv2D"),)),
        ("0:a/Conv2D[1,65,65,3]", (InputFlag("0:a/Conv2D", "[1,65,65,3]"),)),
        ("photo[1 3 64 64]{f16}", (InputFlag("photo", "[1,3,64,64]", "f16"),)),
        ("photo{uint8}", (InputFlag("photo", "", "u8"),)),
        ("photo(1,?,-1,3),training->False", (InputFlag("photo", "[1,?,?,3]"), InputFlag("training", value="False"))),
        ("a[1,3..9],b[]{i32}", (InputFlag("a", "[1,3..9]"), InputFlag("b", "[]", "i32"))),
        ("[1,3,64,64]", (InputFlag("", "[1,3,64,64]"),)),
    ],
)
def test_input_flags_are_parsed_into_names_shapes_types_and_values(text: str, expected: tuple[InputFlag, ...]) -> None:
    assert flags.parse_inputs(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("photo{f31}", "unknown type f31; did you mean 'f32'?"),
        ("photo[1,x]", "expected a shape"),
        ("photo[1,0]", "expected a shape"),
        ("photo[1,9..3]", "expected a shape"),
        ("photo[1", "expected NAME"),
        ("->3", "expected NAME"),
    ],
)
def test_invalid_input_flags_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError, match="--input: ") as refused:
        flags.parse_inputs(text)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1,3,64,64]", ("[1,3,64,64]",)),
        ("1,3,64,64", ("[1,3,64,64]",)),
        ("[1,3,64,64],[1,4]", ("[1,3,64,64]", "[1,4]")),
        ("(1 -1 64 3)", ("[1,?,64,3]",)),
    ],
)
def test_shapes_are_parsed_in_order(text: str, expected: tuple[str, ...]) -> None:
    assert flags.parse_shapes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[123.675,116.28,103.53]", {"": (123.675, 116.28, 103.53)}),
        ("127.5,127.5,127.5", {"": (127.5, 127.5, 127.5)}),
        ("127.5", {"": (127.5,)}),
        ("(1 2 3)", {"": (1.0, 2.0, 3.0)}),
        ("data[1,2,3],info[4]", {"data": (1.0, 2.0, 3.0), "info": (4.0,)}),
    ],
)
def test_numbers_are_parsed_for_the_only_input_or_by_name(text: str, expected: dict[str, tuple[float, ...]]) -> None:
    assert flags.parse_numbers(text, "--mean_values") == expected


@pytest.mark.parametrize("text", ["[]", "[a]", "data", "[nan]", "[inf]", "[1,2", "[1;2]"])
def test_values_that_are_no_numbers_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--mean_values: expected numbers"):
        flags.parse_numbers(text, "--mean_values")


def test_a_scale_of_0_is_refused_and_a_mean_of_0_accepted() -> None:
    with pytest.raises(InputError, match="--scale_values: expected numbers"):
        flags.parse_numbers("[1,0,1]", "--scale_values")
    assert flags.parse_numbers("[1,0,1]", "--mean_values") == {"": (1.0, 0.0, 1.0)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nhwc", {"": ("NHWC", "")}),
        ("nchw->nhwc", {"": ("NCHW", "NHWC")}),
        ("x(nchw->nhwc),y(nc)", {"x": ("NCHW", "NHWC"), "y": ("NC", "")}),
        ("x([n,c,h,w])", {"x": ("NCHW", "")}),
    ],
)
def test_layouts_are_parsed_for_the_only_input_or_by_name(text: str, expected: dict[str, tuple[str, str]]) -> None:
    assert flags.parse_layouts(text) == expected


@pytest.mark.parametrize("text", ["nhwc->nch", "nn", "x()", "->nhwc", "n h", "1234"])
def test_invalid_layouts_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--layout: expected such as"):
        flags.parse_layouts(text)


@pytest.mark.parametrize(("text", "expected"), [("True", True), ("false", False), ("1", True), ("no", False)])
def test_switches_accept_the_usual_spellings_of_true_and_false(text: str, expected: bool) -> None:
    assert flags.parse_switch(text) is expected
    with pytest.raises(InputError, match="expected True or False"):
        flags.parse_switch(f"{text}!")
