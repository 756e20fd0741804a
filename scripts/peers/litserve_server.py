"""LitServe with one worker per core; bodies are bytes, which it passes to workers fastest."""

import os
import sys
from typing import Annotated

import litserve
from fastapi import Body, Response
from masking import compiled, mask, picture, version_folder

Jpeg = Annotated[bytes, Body(media_type="image/jpeg")]


class Masks(litserve.LitAPI):
    """An API that returns the mask of a frame."""

    def setup(self, device: str) -> None:
        """Compile the graph; called in each worker."""
        self.request = compiled(version_folder()).create_infer_request()

    def decode_request(self, request: Jpeg) -> bytes:
        """Return the body unchanged, because workers decode pictures."""
        return request

    def predict(self, body: bytes) -> bytes:
        """Return the mask of a JPEG as PNG."""
        return mask(self.request.infer({0: picture(body)}, share_inputs=True)[0])

    def encode_response(self, output: bytes) -> Response:
        """Return a response with the PNG."""
        return Response(output, media_type="image/png")


if __name__ == "__main__":
    cores = len(os.sched_getaffinity(0))
    server = litserve.LitServer(Masks(api_path="/mask"), accelerator="cpu", workers_per_device=cores)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
