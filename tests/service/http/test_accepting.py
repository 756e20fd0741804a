"""A server without free file descriptors logs it now and then, and resumes accepting when some are free."""

import asyncio
import logging
import socket

import pytest

from danmatte.http.listener import _limit_accept_errors


async def test_a_lack_of_file_descriptors_is_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    _limit_accept_errors()
    with socket.socket() as listener, caplog.at_level(logging.ERROR):
        for _ in range(100):
            context = {"message": "no", "exception": OSError(24, "Too many open files"), "socket": listener}
            loop.call_exception_handler(context)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["can't accept connections: [Errno 24] Too many open files"]


async def test_other_errors_of_the_event_loop_are_still_logged(caplog: pytest.LogCaptureFixture) -> None:
    _limit_accept_errors()
    with caplog.at_level(logging.ERROR):
        asyncio.get_running_loop().call_exception_handler({"message": "something else"})
    assert "something else" in caplog.text
