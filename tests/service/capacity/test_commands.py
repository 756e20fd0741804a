"""The command lines of `danmatte measure` and `danmatte plan`."""

import json
from functools import partial
from pathlib import Path

import msgspec
import pytest

from danmatte import cli
from danmatte.capacity import commands
from danmatte.capacity.capacity import Capacity
from danmatte.capacity.demand import StreamDemand
from tests.service.capacity.measured import make_capacity
from tests.service.capacity.test_arrivals import make_lines, write_log
from tests.service.serving import program


@pytest.fixture(autouse=True)
def few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate few requests for a figure, because no test here checks the figures."""
    monkeypatch.setattr(commands, "StreamDemand", partial(StreamDemand, requests=400))


@pytest.fixture
def capacity(tmp_path: Path) -> Path:
    file = tmp_path / "capacity.json"
    file.write_bytes(msgspec.json.encode(make_capacity()))
    return file


def test_plan_accepts_the_file_that_measure_writes(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found" / "capacity.json"
    words = ["--models", str(models), "--frame", "jpeg:160x90", "--seconds", "1", "--mask", "64x36"]
    assert cli.main(["measure", "--out", str(out), *words]) == 0
    assert "a second" in capsys.readouterr().err
    assert Capacity.read(out).mask == "64x36"
    assert cli.main(["plan", str(out), "--streams", "3", "--p99-ms", "1000"]) == 0
    assert "machines" in capsys.readouterr().out


def test_a_plan_is_printed_and_written_as_json_svg_and_helm_values(
    capacity: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    targets = {name: tmp_path / name for name in ("plan.json", "curve.svg", "values.yaml")}
    words = ["--streams", "30", "--fps", "5", "--jitter-ms", "10", "--growth", "1.3", "--cores-per-machine", "4"]
    forms = ["--json", targets["plan.json"], "--svg", targets["curve.svg"], "--helm-values", targets["values.yaml"]]
    costs = ["--price-per-core-hour", "0.05", "--hours-of-video", "1000"]
    assert cli.main(["plan", str(capacity), *words, *map(str, forms), *costs]) == 0
    printed = capsys.readouterr().out
    plan = json.loads(targets["plan.json"].read_text())
    assert f"{plan['machines']} machines" in printed
    assert plan["cost_a_month"] == pytest.approx(plan["cores"] * 0.05 * 730)
    # a core makes 1000 / 24 masks a second, and an hour of video at 5 a second needs 18,000
    assert plan["video_core_hours"] == pytest.approx(1000 * 5 * 24 / 1000)
    assert targets["curve.svg"].read_text().startswith("<svg")
    assert f"replicas: {plan['pods']}" in targets["values.yaml"].read_text()


def test_plan_accepts_an_access_log_as_the_load(
    capacity: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_log(tmp_path / "access.jsonl", make_lines(300))
    assert cli.main(["plan", str(capacity), "--trace", str(log), "--cores-per-machine", "2"]) == 0
    assert "times the recorded load" in capsys.readouterr().out


def test_check_loads_a_running_server_with_its_api_key(
    capacity: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text("secret\n")
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
    (tmp_path / "keys.toml").write_text(f'me = "sha256:{digest}"\n')
    found = tmp_path / "check.json"
    with program(models, "--keys", str(tmp_path / "keys.toml")) as (_, url):
        words = ["--check", url, "--fps", "2", "--seconds", "1", "--cores-per-pod", "1", "--json", str(found)]
        assert cli.main(["plan", str(capacity), *words, "--key-file", str(tmp_path / "key")]) == 0
    assert capsys.readouterr().out.count("predicted") == 12
    assert any(one["measured"]["refused_share"] < 1 for one in json.loads(found.read_text()))


def test_check_refuses_a_server_that_returns_no_mask_before_loading_it(
    capacity: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys.toml").write_text(f'me = "sha256:{"0" * 64}"\n')
    with program(models, "--keys", str(tmp_path / "keys.toml")) as (_, url):
        assert cli.main(["plan", str(capacity), "--check", url]) == 2
    assert "expected a mask, received status 401; --key-file takes its API key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "expected --streams or --trace, received neither"),
        (["--streams", "0"], "--streams: expected 1 to 1e+07, received 0"),
        (["--streams", "5", "--fps", "nan"], "--fps: expected 0.01 to 1000, received nan"),
        (["--streams", "5", "--growth", "-1"], "--growth: expected"),
        (["--streams", "5", "--p99-ms", "0"], "--p99-ms: expected"),
        (["--streams", "5", "--p99-ms", "1"], "p99 of a nearly idle pod"),
        (["--streams", "5", "--cores-per-machine", "0"], "--cores-per-machine: expected"),
        (["--streams", "5", "--price-per-core-hour", "-1"], "--price-per-core-hour: expected"),
        (["--streams", "5", "--frame", "png:1x1"], "expected one that was measured"),
        (["--streams", "5", "--frame", "tiff"], "expected FORMAT:WIDTHxHEIGHT"),
        (["--streams", "5", "--svg", "/nowhere/curve.svg"], "/nowhere/curve.svg: can't be written"),
        (["--trace", "none.jsonl"], "none.jsonl: expected a readable access log"),
        (["--check", "http://127.0.0.1:1", "--key-file", "none"], "none: expected a readable file with a key"),
        (["--check", "http://127.0.0.1:1", "--seconds", "0"], "--seconds: expected 1 to 300, received 0"),
        (["--check", "http://127.0.0.1:1"], "--check: http://127.0.0.1:1: expected a mask, received no answer"),
        (["--check", "nonsense"], "--check: nonsense: expected a mask, received no answer"),
    ],
)
def test_invalid_options_of_plan_are_refused_in_one_line(
    capacity: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert cli.main(["plan", str(capacity), *words]) == 2
    message = capsys.readouterr().err
    assert says in message
    assert len(message.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--mask", "big"], "--mask: size: expected WIDTHxHEIGHT"),
        (["--seconds", "1e9"], "--seconds: expected 1 to 300"),
        (["--frame", "gif:10x10"], "expected FORMAT:WIDTHxHEIGHT"),
        (["--frames", "nowhere"], "nowhere: expected JPEG, PNG or WebP pictures"),
    ],
)
def test_invalid_options_of_measure_are_refused(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert cli.main(["measure", "--out", str(tmp_path / "out.json"), "--models", str(models), *words]) == 2
    assert says in capsys.readouterr().err
