"""Files and functions are within their limits; a longer one does two things and should be split."""

from tests.architecture.sources import functions, modules

FILE_LINES = 400
FUNCTION_LINES = 60


def test_files_are_within_the_line_limit() -> None:
    counted = {module.where: len(module.text.splitlines()) for module in modules()}
    long = [f"{where}: {lines} lines" for where, lines in counted.items() if lines > FILE_LINES]
    assert not long, f"longer than {FILE_LINES} lines:\n" + "\n".join(long)


def test_functions_are_within_the_line_limit() -> None:
    long = []
    for module in modules():
        for function in functions(module):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > FUNCTION_LINES:
                long.append(f"{module.where}:{function.lineno}: {function.name} has {lines}")
    assert not long, f"longer than {FUNCTION_LINES} lines:\n" + "\n".join(long)
