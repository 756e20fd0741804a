"""The service sends no telemetry to third parties."""

import json
import subprocess
import sys

IMPORTED = "import json, sys, danmatte.engine; print(json.dumps([name for name in sys.modules if sys.modules[name]]))"


def test_openvino_telemetry_is_not_loaded() -> None:
    run = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    loaded = json.loads(run.stdout)
    assert "openvino" in loaded
    assert not [name for name in loaded if name.startswith("openvino_telemetry")]
