"""FastAPI on uvicorn: a sync route, so that requests run in the thread pool, with one infer request per thread."""

import sys
import threading

import openvino as ov
import uvicorn
from fastapi import Body, FastAPI, Response
from masking import compiled, mask, picture, version_folder

app = FastAPI()
model = compiled(version_folder())
local = threading.local()


@app.post("/mask")
def post(body: bytes = Body(media_type="image/jpeg")) -> Response:
    """Return the mask of a frame."""
    return Response(mask(request().infer({0: picture(body)}, share_inputs=True)[0]), media_type="image/png")


def request() -> ov.InferRequest:
    """Return this thread's infer request."""
    if not hasattr(local, "request"):
        local.request = model.create_infer_request()
    return local.request


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
