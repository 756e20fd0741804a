"""Loading, unloading and the index over gRPC with Triton's client; only the admin port allows changes."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from danmatte.api.grpc.messages import inference
from danmatte.http.tokens import derive_secret, make_token
from tests.service.conftest import Start
from tests.service.models.opener import copy_version, spoil
from tests.service.toy import publish

FindPort = Callable[[], int]


@pytest.fixture
def find_port(unused_tcp_port_factory: FindPort) -> FindPort:
    """Return a function that finds a free port."""
    return unused_tcp_port_factory


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """Publish versions 1 and 2, and return the folder of version 1."""
    folder = publish(tmp_path / "models", version=1)
    copy_version(folder, 2)
    return folder


@pytest.fixture
async def ports(start: Start, toy: Path, find_port: FindPort) -> tuple[int, int]:
    """The public and the admin port of a server."""
    public, admin = find_port(), find_port()
    await start(models=str(toy.parents[1]), grpc_port=public, admin_grpc_port=admin, watch_s=0)
    return public, admin


def ask(port: int, *calls: tuple[str, str]) -> list[object]:
    """Call methods of Triton's client by name, each with its argument unless that is empty, and return the results."""
    with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{port}") as client:
        return [getattr(client, name)(*filter(None, [argument])) for name, argument in calls]


async def test_a_model_is_unloaded_and_loaded_again(ports: tuple[int, int]) -> None:
    unload, load, ready = ("unload_model", "toy"), ("load_model", "toy"), ("is_model_ready", "toy")
    answers = await asyncio.to_thread(ask, ports[1], ready, unload, ready, load, ready)
    assert answers == [True, None, False, None, True]
    assert await asyncio.to_thread(ask, ports[0], ready) == [True]


async def test_the_index_names_every_version(ports: tuple[int, int], toy: Path) -> None:
    spoil(toy)
    _, index = await asyncio.to_thread(ask, ports[1], ("load_model", "toy"), ("get_model_repository_index", ""))
    assert [(each.name, each.version) for each in index.models] == [("toy", "2"), ("toy", "1")]
    assert index.models[0].state == "READY"


async def test_a_load_request_finds_versions_added_to_the_folder(ports: tuple[int, int], toy: Path) -> None:
    copy_version(toy, 3)
    _, metadata = await asyncio.to_thread(ask, ports[1], ("load_model", "toy"), ("get_model_metadata", "toy"))
    assert sorted(metadata.versions) == ["1", "2", "3"]


async def test_the_public_port_refuses_load_and_unload(ports: tuple[int, int]) -> None:
    for name in ("load_model", "unload_model"):
        with pytest.raises(InferenceServerException, match="admin_grpc_port") as refused:
            await asyncio.to_thread(ask, ports[0], (name, "toy"))
        assert refused.value.status() == "StatusCode.PERMISSION_DENIED"
    assert await asyncio.to_thread(ask, ports[0], ("is_model_ready", "toy")) == [True]


async def test_only_the_admin_port_advertises_the_repository_extension(ports: tuple[int, int]) -> None:
    described = [await asyncio.to_thread(ask, port, ("get_server_metadata", "")) for port in ports]
    assert ["model_repository" in each.extensions for (each,) in described] == [False, True]


async def test_loading_an_unknown_model_or_with_a_configuration_is_refused(ports: tuple[int, int]) -> None:
    with pytest.raises(InferenceServerException, match="did you mean 'toy'"):
        await asyncio.to_thread(ask, ports[1], ("load_model", "toi"))

    def load() -> None:
        with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{ports[1]}") as client:
            client.load_model("toy", config="{}")

    with pytest.raises(InferenceServerException, match="'config' isn't supported"):
        await asyncio.to_thread(load)


async def test_admin_calls_need_a_key_and_refuse_grpc_tokens(
    start: Start, toy: Path, tmp_path: Path, find_port: FindPort
) -> None:
    file = tmp_path / "keys.toml"
    digest = hashlib.sha256(b"secret").hexdigest()
    file.write_text(f'[operator]\ndigest = "sha256:{digest}"\ntokens = "hmac:{derive_secret("secret")}"\n')
    public, admin = find_port(), find_port()
    await start(models=str(toy.parents[1]), keys=str(file), grpc_port=public, admin_grpc_port=admin)
    request = inference("RepositoryModelUnloadRequest")(model_name="toy").SerializeToString()
    codes = {}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{admin}") as channel:
        unload = channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelUnload")
        token = make_token("secret", "operator", subject="page", scope=("grpc",), seconds=60)
        for name, sent in (("nothing", ""), ("token", f"Bearer {token}"), ("key", "Bearer secret")):
            call = unload(request, metadata=(("authorization", sent),) if sent else ())
            codes[name] = (await call.code()).name
    assert codes == {"nothing": "UNAUTHENTICATED", "token": "PERMISSION_DENIED", "key": "OK"}
