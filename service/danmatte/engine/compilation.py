"""From a version's bytes to a compiled graph."""

import hashlib
import json
from typing import Any

import msgspec
import openvino as ov

from danmatte.contract.manifest import Manifest
from danmatte.engine.cache import GraphCache
from danmatte.engine.streams import StreamPlan
from danmatte.errors import ModelError


def compile_graph(
    manifest: Manifest, files: tuple[bytes, bytes], plan: StreamPlan, cache: GraphCache | None
) -> list[ov.CompiledModel]:
    """The graph, compiled once for each lane of the plan, from the cache if it is there.

    `files` are graph.xml and graph.bin. Raises ModelError, and RuntimeError as OpenVINO does.
    """
    core, device, properties = ov.Core(), manifest.configuration.device, _choose_properties(manifest, plan)
    first = _read_or_compile(core, manifest, files, properties, cache)
    if plan.lanes == 1:
        return [first]
    blob = first.export_model().getvalue()  # importing takes a quarter of the time of compiling
    return [first, *(core.import_model(blob, device, properties) for _ in range(1, plan.lanes))]


def _read_or_compile(
    core: ov.Core, manifest: Manifest, files: tuple[bytes, bytes], properties: dict[str, Any], cache: GraphCache | None
) -> ov.CompiledModel:
    device, batch = manifest.configuration.device, manifest.configuration.batch
    # Everything that a compiled graph depends on: the version, how it is run, the library, the machine.
    machine = [str(core.get_property(device, name)) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    version = [msgspec.to_builtins(part) for part in (manifest.files, manifest.input, manifest.output)]
    facts = [ov.__version__, device, machine, version, batch, properties]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    if cache and (blob := cache.get(key)):
        try:
            return core.import_model(blob, device, properties)
        except RuntimeError:  # the file is whole, and still not what this library takes
            cache.discard(key)
    model = core.read_model(*files)
    _check_ports(model, manifest)
    if batch > 1:
        model.reshape([ov.Dimension(1, batch), *manifest.input.shape[1:]])
    result = core.compile_model(model, device, properties)
    if cache:
        cache.put(key, result.export_model().getvalue())
    return result


def _choose_properties(manifest: Manifest, plan: StreamPlan) -> dict[str, Any]:
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
        chosen["ENABLE_CPU_PINNING"] = False  # each lane would pin itself to the first core
    return chosen


def _check_ports(model: ov.Model, manifest: Manifest) -> None:
    """Raises ModelError when the graph's input or output isn't the one that the manifest names."""
    for kind, ports, wanted in (
        ("input", model.inputs, manifest.input),
        ("output", model.outputs, manifest.output),
    ):
        expected = (wanted.name, list(wanted.shape), wanted.dtype)
        received = [_describe_port(port) for port in ports]
        if len(ports) != 1 or wanted.name not in ports[0].get_names() or received[0][1:] != expected[1:]:
            raise ModelError(
                f"{manifest.name}/{manifest.version}: graph.xml: {kind}: expected {expected}, received {received}"
            )


def _describe_port(port: Any) -> tuple[str, list[int | str], str]:
    """A port's names, shape ("?" for a free side) and element type."""
    shape = [side.get_length() if side.is_static else "?" for side in port.get_partial_shape()]
    return "/".join(sorted(port.get_names())), shape, str(port.get_element_type().get_type_name())
