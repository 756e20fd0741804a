"""How many requests a worker queues and computes at once, derived from its cores unless the settings say it."""

from typing import NamedTuple

from danmatte.settings import Settings

# Permits per core: for two requests that are being computed, and the next two. At most half of the places have a
# permit, so that the other half can be evicted.
_FOR_A_CORE = 4
_MIN_PLACES = 64


class Limits(NamedTuple):
    """The numbers of places for requests and of permits to compute."""

    places: int
    permits: int


def choose_limits(settings: Settings, cores: int) -> Limits:
    """Return the numbers in the settings; a number that is 0 there is chosen for this many cores."""
    places = settings.queue or max(_MIN_PLACES, 2 * _FOR_A_CORE * cores)
    return Limits(places, settings.in_flight or min(_FOR_A_CORE * cores, max(1, places // 2)))
