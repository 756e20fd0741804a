"""Figures of the soak."""

from load.soak import slope_bytes


def test_steady_growth_of_memory_is_reported_in_bytes_per_request() -> None:
    assert slope_bytes([(100 * number, 5000 + 100 * number) for number in range(50)]) == 1


def test_memory_allocated_at_the_start_is_not_counted_as_growth() -> None:
    assert slope_bytes([(number, 0 if number < 10 else 9000) for number in range(50)]) == 0


def test_a_run_with_too_few_samples_reports_no_growth() -> None:
    assert slope_bytes([(0, 1), (1, 1000)]) == 0
