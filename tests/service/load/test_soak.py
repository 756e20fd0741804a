"""Figures of the soak."""

from load.soak import slope_bytes


def test_memory_that_grows_by_a_byte_a_post_is_said_to() -> None:
    assert slope_bytes([(100 * number, 5000 + 100 * number) for number in range(50)]) == 1


def test_what_a_server_takes_at_first_is_no_slope() -> None:
    assert slope_bytes([(number, 0 if number < 10 else 9000) for number in range(50)]) == 0


def test_a_short_run_says_nothing() -> None:
    assert slope_bytes([(0, 1), (1, 1000)]) == 0
