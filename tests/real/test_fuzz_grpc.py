"""Hostile messages over gRPC by the thousand, to every method of every service."""

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.real.fuzzing import MOST_PIXELS, SLOW_S, attack_server, note_part, send_all, still_serves
from tests.real.mutations import mutate

pytestmark = pytest.mark.slow


async def test_no_grpc_message_causes_a_server_error(
    models: Path, unused_tcp_port: int, jpeg: bytes, tmp_path: Path
) -> None:
    grpc = pytest.importorskip("grpc")
    seeds, methods = build_messages(jpeg), list_methods()
    limits = {"max_pixels": MOST_PIXELS, "max_body_bytes": 2**18}
    with attack_server(models, tmp_path, grpc_port=unused_tcp_port, **limits) as url:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{unused_tcp_port}") as channel:
            outcomes = await send_all(partial(call, channel, methods, seeds), at_once=4)
        assert await still_serves(url, jpeg)
    assert set(outcomes) >= {"OK", "INVALID_ARGUMENT"}
    note_part("calls", outcomes)


def build_messages(jpeg: bytes) -> list[bytes]:
    """Requests for inference, and for a model by name, of both protocols."""
    from danmatte.api.grpc.messages import inference, message

    encoded = {"name": "frame", "datatype": "BYTES", "shape": [1]}
    pixels = {"name": "frame", "datatype": "UINT8", "shape": [1, 96, 160, 3]}
    element = len(jpeg).to_bytes(4, "little") + jpeg
    ask, predict = inference("ModelInferRequest"), message("tensorflow.serving.PredictRequest")
    sides, spec = {"dim": [{"size": side} for side in (1, 96, 160, 3)]}, {"name": "toy"}
    requests = [
        ask(model_name="toy", inputs=[encoded], raw_input_contents=[element], outputs=[{"name": "mask"}]),
        ask(model_name="toy", model_version="1", inputs=[pixels], raw_input_contents=[bytes(96 * 160 * 3)]),
        ask(model_name="toy", inputs=[{**encoded, "contents": {"bytes_contents": [jpeg]}}]),
        inference("ModelMetadataRequest")(name="toy", version="2"),
        predict(
            model_spec=spec,
            inputs={"frame": {"dtype": 4, "tensor_shape": sides, "tensor_content": bytes(96 * 160 * 3)}},
        ),
        predict(model_spec=spec, inputs={"frame": {"dtype": 7, "string_val": [jpeg]}}, output_filter=["mask"]),
        message("tensorflow.serving.GetModelMetadataRequest")(model_spec=spec, metadata_field=["signature_def"]),
    ]
    return [each.SerializeToString() for each in requests]


def list_methods() -> list[tuple[str, bool]]:
    """Return every method that ends, and whether it streams its responses."""
    from danmatte.api.grpc.messages import pool
    from danmatte.api.grpc.server import services  # noqa: F401 - registers them
    from danmatte.api.grpc.service import Service

    return [
        (f"/{name}/{method.name}", method.server_streaming)
        for name in sorted(Service.registered)
        for method in pool().FindServiceByName(name).methods
        if method.name != "Watch"  # which lasts
    ]


async def call(channel: Any, methods: Sequence[tuple[str, bool]], seeds: Sequence[bytes], number: int) -> str:
    """Make a random call, and return its status."""
    import grpc

    rng = random.Random(number)
    often = [method for method in methods if method[0].endswith(("Infer", "Predict"))]
    path, streams = rng.choice(often if rng.random() < 0.5 else methods)
    message = mutate(number, seeds) if rng.random() < 0.9 else rng.choice(seeds)
    try:
        if streams:
            answers = channel.unary_stream(path)(message, timeout=SLOW_S)
            async for _ in answers:
                pass
        else:
            await channel.unary_unary(path)(message, timeout=SLOW_S)
    except grpc.aio.AioRpcError as error:
        failure = error
    else:
        return "OK"
    if "DecodeError" in (failure.details() or ""):
        return "no message"  # the library's own error
    assert failure.code().name not in ("UNKNOWN", "INTERNAL", "DEADLINE_EXCEEDED"), (number, path, failure)
    return str(failure.code().name)
