"""The service: frames in, person masks out, over HTTP."""

import sys

# OpenVINO reports to its maker whenever it is imported, unasked; without this library of its own it doesn't.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
