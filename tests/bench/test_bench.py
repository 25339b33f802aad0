"""The bench on this machine: figures that must hold anywhere, a record that keeps its schema, clear lines."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

import rtdenoise.bench
from rtdenoise.bench import measure, memory, run
from rtdenoise.bench.cases import NATIVE, all_cases, make_case, quick_cases
from rtdenoise.bench.many import measure_many, why_no_gpu
from rtdenoise.bench.report import write_report
from rtdenoise.bench.run import Request, bench, run_worker
from rtdenoise.bench.tables import gpu_table
from rtdenoise.bench.verdict import judge, smallest
from rtdenoise.errors import ConfigError, DeviceError
from rtdenoise.evaluate.report import drawing
from tests.cli.conftest import call

__all__ = ["call"]

SCHEMA = json.loads((Path(rtdenoise.bench.__file__).parent / "schema.json").read_text())


@pytest.fixture(scope="module")
def wiener(tmp_path_factory) -> dict:
    """One native row, measured in a process of its own."""
    return run_worker({"kind": "case", "case": make_case("WF:low").as_dict(), "seconds": 0.3, "loaded": False})


def test_native_row_is_complete(wiener):
    assert "error" not in wiener, wiener
    assert (wiener["engine"], wiener["hop_ms"]) == (NATIVE, 4.0)
    assert wiener["allocations"] == {"compiled_per_hop": 0.0, "python_bytes_per_hop": 0.0}
    for found in (wiener["paced"]["us"], wiener["back_to_back"]["us"], wiener["paced"]["jitter_us"]):
        values = [found[name] for name in ("p50", "p95", "p99", "p99.9", "max")]
        assert values == sorted(values) and values[-1] > 0
    assert 0.5 < wiener["back_to_back"]["us"]["p50"] < 2000  # a hop of 4 ms
    assert wiener["back_to_back"]["us_per_10ms"] == pytest.approx(2.5 * wiener["back_to_back"]["us"]["p50"])
    parts = wiener["latency_ms"]
    assert parts["block"] + parts["algorithm"] == pytest.approx(8.0)
    assert parts["total"] == pytest.approx(8.0 + parts["compute"])
    assert wiener["memory_mb"]["peak"] >= wiener["memory_mb"]["built"] > 20
    assert 10 < wiener["streams_per_core"] < 100_000
    assert [point["streams"] for point in wiener["capacity"]] == [1, 4, 16, 64, 256]


@pytest.mark.parametrize(
    ("name", "queue_ms"),
    [
        ("WF:low", 0.0),
        ("bypass", 0.0),
        ("WF:low+processing_rate_hz=48000", 4.0),
        ("CAN:can-live", 0.0),
        ("CAN:can-live+can.engine=litert", 4.0),
    ],
)
def test_only_an_engine_process_has_a_queue(name, queue_ms):
    """What the audio callback does itself, copying included, waits for nobody."""
    case = make_case(name, 16000)
    denoiser = rtdenoise.build("WF", sample_rate=16000, preset="low")
    assert measure.latency_parts(denoiser, case, {"us": {"p99": 100.0}})["queue"] == queue_ms


def test_timing_itself_costs_less_than_a_microsecond(wiener):
    least = min([wiener["overhead_us"], *(measure.overhead_us() for _ in range(5))])
    assert least < 1.0


def test_paced_run_keeps_its_pace():
    denoiser = rtdenoise.build("bypass", sample_rate=16000, preset="low")
    begun: list[int] = []

    def work(due, period, times):
        for i in range(len(times)):
            time.sleep(max(0.0, (due + i * period - time.monotonic_ns()) * 1e-9))
            begun.append(time.monotonic_ns())
            times[i] = begun[-1], time.monotonic_ns()

    before = os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None
    found = measure.paced_run(work, denoiser, 0.3)
    assert found["hops"] == 75
    assert np.median(np.diff(begun)) == pytest.approx(4e6, rel=0.05)
    assert before is None or os.sched_getscheduler(0) == before  # priority is given back


def test_late_blocks_are_counted():
    denoiser = rtdenoise.build("bypass", sample_rate=16000, preset="low")

    def every_tenth_is_late(due, period, times):
        for i in range(len(times)):
            begin = due + i * period
            times[i] = begin + 1000, begin + (period + 1000 if i % 10 == 0 else period // 2)

    found = measure.paced_run(every_tenth_is_late, denoiser, 0.4)
    assert found["hops"] == 100
    assert found["late_blocks"] == 10
    assert found["us"]["p50"] == pytest.approx(1999, abs=2)
    assert found["jitter_us"]["max"] == pytest.approx(1.0)


def test_allocations_are_seen():
    """A hop that keeps what it makes is not taken for one that may run in an audio callback."""

    class Leaky:
        hop, sample_rate = 64, 16000

        def __init__(self):
            self.kept = []

        def process(self, block, out):
            self.kept.append(block.copy())

    case = make_case("bypass")
    blocks = np.zeros((256, 64), np.float32)
    found = memory.allocations(case, Leaky(), blocks, lambda *_: None)
    assert found["python_bytes_per_hop"] > 256
    assert found["compiled_per_hop"] is None


@pytest.mark.parametrize(
    ("p99_us", "late", "hops", "holds"),
    [(100, 0, 250, True), (100, 1, 250, True), (100, 2, 250, False), (100, 10, 10_000, True), (4001, 0, 250, False)],
)
def test_verdicts(p99_us, late, hops, holds):
    row = {"hop_ms": 4.0, "paced": {"us": {"p99": p99_us}, "late_blocks": late, "hops": hops}}
    assert judge(row) == {"holds": holds, "margin": pytest.approx(1 - p99_us / 4000)}


def test_least_delay_is_of_a_row_that_holds():
    def row(name, total, holds):
        return {"name": name, "rate_hz": 16000, "hop_ms": 4.0, "latency_ms": {"total": total}, "holds": holds}

    rows = [
        row("bypass", 1.0, True),
        row("WF:ultra", 4.0, False),
        row("WF:low", 8.0, True),
        row("SS:quality", 32.0, True),
    ]
    assert smallest(rows) == {"name": "WF:low", "rate_hz": 16000, "block_ms": 4.0, "latency_ms": 8.0}
    assert smallest(rows[:2]) is None


def test_record_keeps_its_schema(monkeypatch, wiener):
    jsonschema = pytest.importorskip("jsonschema", reason="package jsonschema is not installed")
    answers = {"WF:low": wiener, "SS:low": {"error": "no luck"}}
    monkeypatch.setattr(run, "run_worker", lambda job: dict(answers[job["case"]["name"]]))
    record = bench(Request(names=("WF:low", "SS:low"), seconds=0.3))
    jsonschema.validate(json.loads(json.dumps(record)), SCHEMA)
    assert [row["holds"] for row in record["rows"]][1] is False
    del record["rows"][0]["paced"]["us"]["p99"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, SCHEMA)


def test_command_line_measures_beside_a_load_and_writes_the_report(call, tmp_path, monkeypatch, capsys):
    result = call("bench", "-a", "bypass", "--seconds", "0.2", "--load", "-o", tmp_path / "b")
    assert result.code == 0, result.err
    assert "| bypass |" in result.out and "never rests" in result.out
    for name in ("bench.json", "report.md", "index.html", "times.png", "latency.png"):
        assert (tmp_path / "b" / name).stat().st_size > 300, name
    record = json.loads((tmp_path / "b" / "bench.json").read_text())
    assert record["settings"]["loaded"] is True
    assert "<table>" in (tmp_path / "b" / "index.html").read_text()
    monkeypatch.setattr(drawing, "find_spec", lambda _name: None)
    write_report(record, tmp_path / "c")
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["bench.json", "index.html", "report.md"]
    assert "rtdenoise[plots]" in capsys.readouterr().err and "<img" not in (tmp_path / "c" / "index.html").read_text()


def test_command_line_ends_with_3_if_something_became_slower(call, tmp_path):
    arguments = ("bench", "-a", "bypass", "--seconds", "0.1", "--json")
    record = json.loads(call(*arguments).out)
    record["rows"][0]["holds"] = False  # so that a machine that is busy meanwhile makes nothing worse
    old = tmp_path / "old.json"
    old.write_text(json.dumps(record))
    same = call(*arguments, "--compare", old, "--tolerance", 3)
    assert same.code == 0, same.err
    found = json.loads(same.out)
    assert found["agreement"]["verdicts_differ"] == (["bypass at 16000 Hz"] if found["rows"][0]["holds"] else [])
    steady = record["rows"][0]["back_to_back"]
    steady["rounds_us"] = [value / 20 for value in steady["rounds_us"]]
    old.write_text(json.dumps(record))
    slower = call(*arguments, "--compare", old)
    assert slower.code == 3
    assert json.loads(slower.out)["changes"][0]["verdict"] == "slower"


def test_busy_cores_are_busy_and_go_away():
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if not children.exists():
        pytest.skip("this kernel does not list children")
    others = set(children.read_text().split())
    with run.busy_cores(2):
        busy = set(children.read_text().split()) - others
        assert len(busy) == 2
    assert not busy & set(children.read_text().split())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("-a", "WF:fast"), "fast"),
        (("-a", "WF:low", "-a", "WF:low"), "given twice"),
        (("--rate", "100"), "100"),
        (("--seconds", "0"), "seconds=0"),
        (("--compare", "old.json"), "old.json: cannot be read"),
        (("--tolerance", "nan"), "tolerance=nan"),
        (("-a", "WF:low+wiener=["), "WF:low+wiener=[: behind + stands wiener=[: '[' is not a value YAML can read"),
    ],
)
def test_what_cannot_be_is_one_line(call, arguments, reason):
    result = call("bench", "--quick", *arguments)
    assert result.code == 1
    assert reason in result.err and len(result.err.strip().splitlines()) == 1


def test_a_worker_that_dies_is_a_row_with_an_error(monkeypatch):
    monkeypatch.setattr(run.sys, "executable", "false")
    assert run_worker({"kind": "case", "seconds": 0.1}) == {"error": "ended with code 1"}


def test_cases_cover_every_method_preset_and_model():
    from rtdenoise.methods.can.models import model_names

    names = {case.name for case in all_cases()}
    assert {f"{m}:{p}" for m in ("WF", "SS") for p in ("quality", "balanced", "low", "ultra")} <= names
    assert {f"CAN:{model}" for model in model_names()} <= names
    assert {case.name for case in quick_cases()} <= names
    assert {case.rate_hz for case in all_cases()} == {16000, 48000}
    at_a_device = {case.name for case in all_cases() if case.rate_hz == 48000}
    networks = {f"CAN:{model}" for model in ("can-live", "can-ultra", "can-small", "can-wave")}
    assert at_a_device == {"WF:low", "WF:ultra", "SS:low", "SS:ultra", *networks}


def test_cases_are_those_that_run_here(monkeypatch):
    from rtdenoise.bench import cases

    there = cases.find_spec
    monkeypatch.setattr(cases, "_has", lambda model, file: False)  # as in an installation
    assert not {case.name for case in all_cases() if "litert" in case.name or "int8" in case.name}
    assert "CAN:germain2018" in {case.name for case in all_cases()}
    monkeypatch.setattr(cases, "find_spec", lambda name: None if name == "ai_edge_litert" else there(name))
    assert "litert" not in {case.engine for case in all_cases()}
    assert "CAN:can-live" in {case.name for case in all_cases()}


def test_without_a_gpu_it_says_so():
    reason = why_no_gpu()
    if not reason:
        pytest.skip("there is a GPU")
    assert "tensorflow" in reason.lower() and "\n" not in reason


def test_many_streams_count_what_crosses():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    found = measure_many("can-small", (1, 4), device="cpu", seconds=0.2)
    assert [point["streams"] for point in found["batches"]] == [1, 4]
    assert all(point["copies_per_step"] == 2 for point in found["batches"])  # one array in, one out
    assert found["batches"][1]["bytes_per_step"] > 3 * found["batches"][0]["bytes_per_step"]
    assert found["streams_per_device"] >= found["largest_batch_that_holds"]


def test_a_curve_ends_where_the_memory_does(monkeypatch):
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    from rtdenoise.bench import many
    from rtdenoise.methods.can.tensorflow.engine import TensorFlowEngine

    closed = []

    class Small(TensorFlowEngine):
        def close(self):
            closed.append(self)
            super().close()

        def step(self, inputs):
            if len(inputs["real"]) > 2:
                raise tf.errors.ResourceExhaustedError(None, None, "out of\nmemory")
            return super().step(inputs)

    monkeypatch.setattr("rtdenoise.methods.can.tensorflow.engine.TensorFlowEngine", Small)
    found = measure_many("can-small", (1, 2, 4, 8), device="cpu", seconds=0.2)
    assert [point["streams"] for point in found["batches"]] == [1, 2, 4]
    assert found["batches"][2] == {"streams": 4, "error": "ResourceExhaustedError: out of memory"}
    assert found["largest_batch_that_holds"] <= 2 and len(closed) == 3
    table = gpu_table({"gpu": {"why_none": "", "rows": [found]}})
    assert "| can-small | 4 | failed: ResourceExhaustedError: out of memory |" in table
    with pytest.raises(DeviceError, match="4 streams: ResourceExhaustedError"):
        measure_many("can-small", (4,), device="cpu", seconds=0.2)

    def two_hold(_model, batch, *_more):
        return {"us": {"p50": 1000.0 / batch, "p99": 2000.0 if batch < 4 else 1e9}}

    monkeypatch.setattr(many, "_measure_batch", two_hold)
    found = measure_many("can-small", (1, 2, 4), device="cpu", seconds=0.2)
    assert found["largest_batch_that_holds"] == 2
    assert found["streams_per_device"] == int(found["hop_ms"] * 2 / 0.5)  # two in half a millisecond
    assert measure_many("can-small", (4,), device="cpu", seconds=0.2)["streams_per_device"] == 0


def test_settings_must_make_sense():
    with pytest.raises(ConfigError, match="seconds=5000"):
        Request(seconds=5000.0)
