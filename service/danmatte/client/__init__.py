"""Clients of a running server: for live video, and for single frames.

    async with Live("http://127.0.0.1:8080", size=(320, 180)) as live:
        live.offer(jpeg, pts)
        async for answer in live:
            show(answer.body, answer.pts)

    answer = await post_frame("http://127.0.0.1:8080", jpeg)

They need aiohttp, but no model on the client's machine.
"""

from danmatte.client.live import Live
from danmatte.client.post import RefusedError, post_frame
from danmatte.messages import Answer, FrameFlags, Picture, Spent

__all__ = ["Answer", "FrameFlags", "Live", "Picture", "RefusedError", "Spent", "post_frame"]
