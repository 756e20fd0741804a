"""A server's life: load, serve, drain."""

import asyncio
import gc
import logging
import signal
from socket import socket
from typing import Protocol

import cv2

from danmatte.app import ADMISSION, LIVE, RENEW, build
from danmatte.http.listener import bind, build_url, listen
from danmatte.inference.admission import Admission
from danmatte.settings import Settings

log = logging.getLogger(__name__)
_BEATS = 8  # within the longest silence
_GARBAGE = 20_000  # objects alive beyond what a busy server holds: at Python's 700 every few posts pay for a search
_CLOSING_S = 1.0  # for what is left when the time to drain is over


class SupervisorLink(Protocol):
    """A worker's bond to its supervisor; its descriptor becomes readable when the supervisor is gone."""

    @property
    def listener(self) -> socket:
        """The socket that all share."""

    def report_ready(self) -> None:
        """Reports that posts are taken."""

    def report_change(self) -> None:
        """Reports that models may have changed, so that the other workers look."""

    def report_alive(self) -> None:
        """Reports that the worker isn't hung."""

    def fileno(self) -> int:
        """The descriptor."""


async def serve(settings: Settings, link: SupervisorLink | None = None) -> None:
    """Serves until SIGTERM or SIGINT, answers everything accepted, and returns; SIGHUP looks for new models.

    `link` connects one of several workers with its supervisor.
    """
    cv2.setNumThreads(1)  # frames are spread over threads already
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    with link.listener if link else bind(settings) as listener:
        app = build(settings, changed=link.report_change) if link else build(settings)
        async with listen(app, settings, listener) as runner:
            if link:
                loop.add_reader(link.fileno(), _stop_orphan, link, stop)
                link.report_ready()
                if settings.silence_s:
                    _beat(link, app[ADMISSION], settings.silence_s / _BEATS)
            else:
                print(f"danmatte: ready on {build_url(listener, settings)}", flush=True)
            loop.add_signal_handler(signal.SIGHUP, app[RENEW])
            gc.freeze()  # what is here now stays, and need not be looked through between frames
            gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])
            await stop.wait()
            until = loop.time() + settings.drain_s
            app[LIVE].end_all()
            if not await app[ADMISSION].drain(settings.drain_s):
                log.warning("some requests were not answered within %g s", settings.drain_s)
            runner.hurry(max(_CLOSING_S, until - loop.time()))


def _beat(link: SupervisorLink, admission: Admission, every_s: float) -> None:
    """Reports life again and again: a loop that hangs doesn't, nor does a worker that answers nobody."""
    if not admission.stuck:
        link.report_alive()
    asyncio.get_running_loop().call_later(every_s, _beat, link, admission, every_s)


def _stop_orphan(link: SupervisorLink, stop: asyncio.Event) -> None:
    """The supervisor never writes: it is gone. Its line would stay readable, and keep the loop busy."""
    asyncio.get_running_loop().remove_reader(link.fileno())
    stop.set()
