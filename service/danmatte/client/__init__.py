"""A client of the service: masks of a live video, and of one picture.

    async with Live("http://127.0.0.1:8080", size=(320, 180)) as live:
        live.offer(jpeg, pts)
        async for answer in live:
            show(answer.body, answer.pts)

It needs aiohttp, and loads no model and nothing of a server.
"""

from danmatte.client.live import Live
from danmatte.client.post import matte
from danmatte.client.refusal import RefusedError
from danmatte.messages import Answer, Flag, Picture, Spent

__all__ = ["Answer", "Flag", "Live", "Picture", "RefusedError", "Spent", "matte"]
