"""danmatte: masks of the people in frames and videos, in this process, over HTTP or over gRPC."""

import sys

# OpenVINO reports to its maker whenever it is imported, unasked; without this library of its own it doesn't.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
