"""Life cycle of a server: load, serve, drain."""

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
_BEATS = 8  # heartbeats within `silence_s`
# Threshold of the garbage collector, above what a busy server allocates. With Python's default of 700 objects, a
# collection would run every few requests.
_GARBAGE = 20_000
_EXIT_S = 3.0
_CLOSING_S = 1.0  # to close the remaining connections after the drain timeout


class SupervisorLink(Protocol):
    """A worker's connection to its supervisor; its descriptor becomes readable when the supervisor exits."""

    @property
    def listener(self) -> socket:
        """The listening socket, shared by all workers."""

    def report_ready(self) -> None:
        """Report that the worker accepts requests."""

    def report_change(self) -> None:
        """Report that models may have changed, so that the other workers reload them."""

    def report_alive(self) -> None:
        """Report that the worker isn't hung."""

    def fileno(self) -> int:
        """Return the file descriptor of the connection."""


async def serve(settings: Settings, link: SupervisorLink | None = None) -> None:
    """Serve until SIGTERM or SIGINT and `grace_s` seconds longer, then answer all accepted requests and return.

    SIGHUP reloads models, keys and the certificate. `link` connects a worker with its supervisor; None if there is
    only one process.
    """
    cv2.setNumThreads(1)  # frames are already processed in parallel, one per thread
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
            gc.freeze()  # the objects that exist now are permanent, so collections can skip them
            gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])
            await stop.wait()
            await _leave(app[ADMISSION], settings.grace_s, stop)
            until = loop.time() + settings.drain_s
            app[LIVE].end_all()
            if not await app[ADMISSION].drain(settings.drain_s):
                log.warning("some requests were not answered within %g s", settings.drain_s)
            runner.limit_shutdown(max(_CLOSING_S, until - loop.time()))


async def _leave(admission: Admission, grace_s: float, stop: asyncio.Event) -> None:
    """Report "not ready" but keep serving for `grace_s` seconds, so that load balancers stop sending requests.

    A second signal ends this wait at once.
    """
    admission.leaving = True
    stop.clear()
    if grace_s:
        log.info("not ready any more; keeps serving for %g s (grace_s)", grace_s)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), grace_s)


def _beat(link: SupervisorLink, requests: Requests, every_s: float) -> None:
    """Send a heartbeat every `every_s` seconds, unless the event loop hangs or no request is answered in time."""
    if not requests.stuck:
        link.report_alive()
    asyncio.get_running_loop().call_later(every_s, _beat, link, requests, every_s)


def _stop_orphan(link: SupervisorLink, stop: asyncio.Event) -> None:
    """Stop, because the supervisor has exited: it never writes, so a readable descriptor means end of file.

    The reader is removed first, because the descriptor stays readable and would keep the loop busy.
    """
    asyncio.get_running_loop().remove_reader(link.fileno())
    stop.set()


def exit_in_time() -> None:
    """Start a timer that ends the process if a hung thread keeps the interpreter from exiting."""
    timer = threading.Timer(_EXIT_S, os._exit, (1,))
    timer.daemon = True
    timer.start()
