"""A server's life: load, serve, drain."""

import asyncio
import gc
import logging
import os
import signal
import threading
from contextlib import suppress
from socket import socket
from typing import Protocol

import cv2

from danmatte.app import ADMISSION, LIVE, RENEW, REQUESTS, build
from danmatte.http.listener import bind, build_url, listen
from danmatte.inference.admission import Admission
from danmatte.inference.request import Requests
from danmatte.settings import Settings
from danmatte.telemetry.log import capture_native_output

log = logging.getLogger(__name__)
_BEATS = 8  # within the longest silence
_GARBAGE = 20_000  # objects alive beyond what a busy server holds: at Python's 700 every few posts pay for a search
_EXIT_S = 3.0
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
    """Serves until SIGTERM or SIGINT, and `grace_s` longer, answers everything accepted, and returns.

    SIGHUP looks for new models and keys.

    `link` connects one of several workers with its supervisor.
    """
    cv2.setNumThreads(1)  # frames are spread over threads already
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    with link.listener if link else bind(settings) as listener:
        app = build(settings, changed=link.report_change) if link else build(settings)
        async with listen(app, settings, listener) as runner:
            capture_native_output()
            if link:
                loop.add_reader(link.fileno(), _stop_orphan, link, stop)
                link.report_ready()
                if settings.silence_s:
                    _beat(link, app[REQUESTS], settings.silence_s / _BEATS)
            else:
                print(f"danmatte: ready on {build_url(listener, settings)}", flush=True)
            loop.add_signal_handler(signal.SIGHUP, app[RENEW])
            gc.freeze()  # what is here now stays, and need not be looked through between frames
            gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])
            await stop.wait()
            await _leave(app[ADMISSION], settings.grace_s, stop)
            until = loop.time() + settings.drain_s
            app[LIVE].end_all()
            if not await app[ADMISSION].drain(settings.drain_s):
                log.warning("some requests were not answered within %g s", settings.drain_s)
            runner.hurry(max(_CLOSING_S, until - loop.time()))


async def _leave(admission: Admission, grace_s: float, stop: asyncio.Event) -> None:
    """Serves on for a while, though not ready any more, so that nobody is sent here when the doors close.

    A second signal ends that at once.
    """
    admission.leaving = True
    stop.clear()
    if grace_s:
        log.info("not ready any more; serves on for %g s (grace_s)", grace_s)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), grace_s)


def _beat(link: SupervisorLink, requests: Requests, every_s: float) -> None:
    """Reports life again and again: a loop that hangs doesn't, nor does a worker that answers nobody."""
    if not requests.stuck:
        link.report_alive()
    asyncio.get_running_loop().call_later(every_s, _beat, link, requests, every_s)


def _stop_orphan(link: SupervisorLink, stop: asyncio.Event) -> None:
    """The supervisor never writes: it is gone. Its line would stay readable, and keep the loop busy."""
    asyncio.get_running_loop().remove_reader(link.fileno())
    stop.set()


def exit_in_time() -> None:
    """Ends the process even if a thread that doesn't come back holds the interpreter up."""
    timer = threading.Timer(_EXIT_S, os._exit, (1,))
    timer.daemon = True
    timer.start()
