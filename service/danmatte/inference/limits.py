"""How many requests a worker holds and computes at once, where the settings leave it to the cores."""

from typing import NamedTuple

from danmatte.settings import Settings

_FOR_A_CORE = 4  # permits: a pair in work, and the next; half of the places stay for who waits, and may be evicted
_FEWEST_PLACES = 64


class Limits(NamedTuple):
    """Places for requests, and permits to compute."""

    places: int
    permits: int


def choose_limits(settings: Settings, cores: int) -> Limits:
    """The settings' own numbers, or what so many cores need."""
    places = settings.queue or max(_FEWEST_PLACES, 2 * _FOR_A_CORE * cores)
    return Limits(places, settings.in_flight or min(_FOR_A_CORE * cores, max(1, places // 2)))
