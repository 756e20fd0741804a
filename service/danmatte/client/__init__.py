"""Clients of a running server: masks of a live video, and of one frame.

    async with Live("http://127.0.0.1:8080", size=(320, 180)) as live:
        live.offer(jpeg, pts)
        async for answer in live:
            show(answer.body, answer.pts)

    answer = await post_frame("http://127.0.0.1:8080", jpeg)

They need aiohttp, and no model.
"""

from danmatte.client.live import Live
from danmatte.client.post import RefusedError, post_frame
from danmatte.messages import Answer, FrameFlags, Picture, Spent

__all__ = ["Answer", "FrameFlags", "Live", "Picture", "RefusedError", "Spent", "post_frame"]
