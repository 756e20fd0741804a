"""From a version's bytes to a compiled graph."""

import hashlib
import json
from typing import Any

import msgspec
import openvino as ov

from danmatte.contract.manifest import Manifest
from danmatte.engine.cache import Cache
from danmatte.engine.threading import Plan
from danmatte.errors import ModelError


def compiled(manifest: Manifest, files: tuple[bytes, bytes], plan: Plan, cache: Cache | None) -> list[ov.CompiledModel]:
    """The graph, once for every lane of the plan; raises ModelError, and RuntimeError as OpenVINO does."""
    core, properties = ov.Core(), _properties(manifest, plan)
    first = _compiled(core, manifest, files, properties, cache)
    if plan.lanes == 1:
        return [first]
    blob = first.export_model().getvalue()  # to read this takes a quarter of what compiling does
    device = manifest.configuration.device
    return [first, *(core.import_model(blob, device, properties) for _ in range(1, plan.lanes))]


def _compiled(
    core: ov.Core, manifest: Manifest, files: tuple[bytes, bytes], properties: dict[str, Any], cache: Cache | None
) -> ov.CompiledModel:
    """From the cache if it is there."""
    key = _key(core, manifest, properties) if cache else ""
    blob = cache.get(key) if cache else None
    if cache and blob:
        try:
            return core.import_model(blob, manifest.configuration.device, properties)
        except RuntimeError:  # whole, and still not what this library takes
            cache.discard(key)
    model = core.read_model(*files)
    _check_ports(model, manifest)
    if manifest.configuration.batch > 1:
        model.reshape([ov.Dimension(1, manifest.configuration.batch), *manifest.input.shape[1:]])
    result = core.compile_model(model, manifest.configuration.device, properties)
    if cache:
        cache.put(key, result.export_model().getvalue())
    return result


def _properties(manifest: Manifest, plan: Plan) -> dict[str, Any]:
    """OpenVINO's properties for the plan (docs.openvino.ai, CPU device)."""
    wanted = manifest.configuration
    chosen: dict[str, Any] = {
        "PERFORMANCE_HINT": wanted.hint.upper(),
        "INFERENCE_PRECISION_HINT": wanted.precision,
    }
    if wanted.device == "CPU":
        chosen["INFERENCE_NUM_THREADS"] = plan.threads
    if plan.streams:
        chosen["NUM_STREAMS"] = plan.streams
    if plan.requests:
        chosen["PERFORMANCE_HINT_NUM_REQUESTS"] = plan.requests
    if plan.lanes > 1:
        chosen["ENABLE_CPU_PINNING"] = False  # each would take the first core
    return chosen


def _key(core: ov.Core, manifest: Manifest, properties: dict[str, Any]) -> str:
    """Everything that a compiled graph depends on: the version, how it is run, the library, the machine."""
    device = manifest.configuration.device
    machine = [str(core.get_property(device, name)) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    said = [msgspec.to_builtins(part) for part in (manifest.files, manifest.input, manifest.output)]
    facts = [ov.__version__, device, machine, said, manifest.configuration.batch, properties]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _check_ports(model: ov.Model, manifest: Manifest) -> None:
    for kind, ports, wanted in (
        ("input", model.inputs, manifest.input),
        ("output", model.outputs, manifest.output),
    ):
        expected = (wanted.name, list(wanted.shape), wanted.dtype)
        received = [_port(port) for port in ports]
        if len(ports) != 1 or wanted.name not in ports[0].get_names() or received[0][1:] != expected[1:]:
            raise ModelError(
                f"{manifest.name}/{manifest.version}: graph.xml: {kind}: expected {expected}, received {received}"
            )


def _port(port: Any) -> tuple[str, list[int | str], str]:
    shape = [side.get_length() if side.is_static else "?" for side in port.get_partial_shape()]
    return "/".join(sorted(port.get_names())), shape, str(port.get_element_type().get_type_name())
