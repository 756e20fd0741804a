"""The one entry to OpenVINO that a process has, and what others' entries would leave behind."""

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
    """OpenVINO's entry, which is never let go.

    Its CPU plugin gives the thread that loads it a stack for signals, and takes it away with itself. Of two, of which
    the first one went first, the thread kept a stack that was there no more: the next signal ended the process.
    """
    return ov.Core()


@contextmanager
def keep_signal_stack() -> Iterator[None]:
    """Around libraries that open entries of their own: the thread's stack for signals is the same one afterwards."""
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
