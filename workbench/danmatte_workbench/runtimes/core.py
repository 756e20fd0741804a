"""The process' only `openvino.Core`, and protection against side effects of cores that libraries create."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import openvino as ov


class _SignalStack(ctypes.Structure):
    """``stack_t`` of Linux."""

    _fields_ = (("place", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@cache
def open_core() -> ov.Core:
    """Return the process' OpenVINO core, which is never released.

    Its CPU plugin sets an alternate signal stack for the thread that loads it, and frees it when it is released. With
    two cores, of which the first was released first, the thread kept a stack that had been freed, and the next signal
    ended the process.
    """
    return ov.Core()


@contextmanager
def keep_signal_stack() -> Iterator[None]:
    """Restore the thread's alternate signal stack on exit; use it around libraries that create cores themselves."""
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
