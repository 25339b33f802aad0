"""Scoring: kept, continued, done again only where something sounds different; records and what became worse."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from rtdenoise.errors import ConfigError
from rtdenoise.evaluate import clips, mixing, scoring
from rtdenoise.evaluate.compared.systems import System, parse_own
from rtdenoise.evaluate.measures import metrics
from rtdenoise.evaluate.report import compare, tables
from rtdenoise.evaluate.report.comparison import SAME
from rtdenoise.evaluate.report.record import SCHEMA, make_record, to_csv, to_json

pytest.importorskip("pystoi", reason="package pystoi is not installed")

NOISY, BYPASS = System("noisy", "noisy", ""), System("bypass", "own", "bypass")


@pytest.fixture
def material(library):
    speech, noise = mixing.find_sources(library / "speech"), mixing.find_sources(library / "noise")
    return clips.from_mixtures(mixing.plan_mixtures(speech, noise, clips=4, seed=1, seconds=2.0, snrs_db=(0.0, 10.0)))


def count_measures(monkeypatch):
    calls = []
    real = metrics.measure
    monkeypatch.setattr(metrics, "measure", lambda *a, **k: calls.append(1) or real(*a, **k))
    return calls


def test_scores_are_kept_and_found_again(material, tmp_path, monkeypatch):
    calls = count_measures(monkeypatch)
    seen = []
    first = scoring.score_all(
        material, [NOISY, BYPASS], tmp_path, jobs=1, with_dnsmos=False, progress=lambda d, t: seen.append((d, t))
    )
    assert len(calls) == 4  # bypass gives what noisy gives: the same samples are scored once
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    again = scoring.score_all(material, [NOISY, BYPASS], tmp_path, jobs=1, with_dnsmos=False)
    assert len(calls) == 4
    assert [entry.scores for entry in again] == [entry.scores for entry in first]


def test_a_run_that_stopped_goes_on(material, tmp_path, monkeypatch):
    calls = count_measures(monkeypatch)

    def stop(done, _total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scoring.score_all(material, [NOISY], tmp_path, jobs=1, with_dnsmos=False, progress=stop)
    scoring.score_all(material, [NOISY], tmp_path, jobs=1, with_dnsmos=False)
    assert len(calls) == 4


def test_what_a_new_package_brings_is_added(material, tmp_path, monkeypatch):
    real = metrics.find_spec
    with monkeypatch.context() as without:
        without.setattr(metrics, "find_spec", lambda name: None if name == "pystoi" else real(name))
        first = scoring.score_all(material[:1], [NOISY], tmp_path, jobs=1, with_dnsmos=False)
        assert "pystoi" in metrics.missing_packages(with_dnsmos=False)
    assert "estoi" not in first[0].scores["noisy"] and "si_sdr_db" in first[0].scores["noisy"]
    second = scoring.score_all(material[:1], [NOISY], tmp_path, jobs=1, with_dnsmos=False)
    assert 0.0 < second[0].scores["noisy"]["estoi"] < 1.0


def test_full_band_recordings_are_measured_at_their_own_rate_too(material, tmp_path):
    rng = np.random.default_rng(3)
    voice = 0.05 * rng.normal(size=48000) * (np.sin(2 * np.pi * 2 * np.arange(48000) / 48000) > 0)
    for name, samples in (("clean", voice), ("noisy", voice + 0.01 * rng.normal(size=48000))):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "a.wav", samples, 48000)
    pair = clips.from_pairs(tmp_path / "clean", tmp_path / "noisy").clips
    systems = [NOISY, parse_own("WF:balanced"), parse_own("WF:balanced+processing_rate_hz=16000")]
    found = scoring.score_all([*pair, *material[:1]], systems, tmp_path / "cache", jobs=1, with_dnsmos=False)
    noisy, full, resampled = (found[0].scores[system.name] for system in systems)
    assert set(metrics.OWN_RATE_NAMES) <= set(noisy) and not set(metrics.OWN_RATE_NAMES) & set(found[1].scores["noisy"])
    assert resampled["lsd_above_db"] > noisy["lsd_above_db"] > full["lsd_above_db"]
    assert resampled["si_sdr_full_db"] < full["si_sdr_full_db"]
    again = scoring.score_all(pair, systems, tmp_path / "cache", jobs=1, with_dnsmos=False)
    assert again[0].scores == found[0].scores
    record = make_record(found, systems, material={}, missing={})
    assert "LSD above" in tables.quality(record) and "lsd_above_db" in to_csv(record)


def test_damaged_scores_are_made_again(material, tmp_path, monkeypatch):
    calls = count_measures(monkeypatch)
    scoring.score_all(material[:1], [NOISY], tmp_path, jobs=1, with_dnsmos=False)
    for path in tmp_path.rglob("*.json"):
        path.write_text("{cut")
    scoring.score_all(material[:1], [NOISY], tmp_path, jobs=1, with_dnsmos=False)
    assert len(calls) == 2


def test_one_that_fails_is_named_and_the_rest_goes_on(material, tmp_path):
    broken = System("broken", "command", "false {in} {out}")
    lost = replace(material[0], recipe=None, clean_path="nowhere.wav", noisy_path="nowhere.wav")
    found = scoring.score_all([lost, *material[1:]], [NOISY, broken], tmp_path, jobs=1, with_dnsmos=False)
    assert "nowhere.wav" in found[0].error
    assert all("code 1" in entry.failed["broken"] for entry in found[1:])
    record = make_record(found, [NOISY, broken], material={}, missing={})
    assert list(record["left_out"]) == [material[0].name]
    assert len(record["failed"]["broken"]) == 3
    assert record["systems"]["noisy"]["mean"]["estoi"]["n"] == 3


def test_a_peer_that_crashes_costs_the_clip_under_way_alone(material, tmp_path, monkeypatch):
    """A C library that dies takes its process along, whose other clips are scored by another."""
    deadly = System("deadly", "peer", "deadly")
    monkeypatch.setattr(scoring, "score_clip", scores_or_death)
    material = [replace(clip, name=f"deadly{i}") if i == 1 else clip for i, clip in enumerate(material)]
    for jobs in (1, 2):
        found = scoring.score_all(material, [NOISY, deadly], tmp_path, jobs=jobs, with_dnsmos=False)
        assert [entry.error for entry in found] == ["", "the process that scored it died", "", ""]
        assert [entry.clip for entry in found] == material


def scores_or_death(clip, systems, cache, with_dnsmos):
    """In a process of its own."""
    if clip.name.startswith("deadly"):
        os.abort()
    return scoring.ClipScores(clip, 16000)


@pytest.fixture
def record(material, tmp_path):
    every = [*material, *clips.clean_inputs(material, 1)]
    wiener = parse_own("WF:low")
    found = scoring.score_all(every, [NOISY, BYPASS, wiener], tmp_path / "cache", jobs=1, with_dnsmos=False)
    return make_record(found, [NOISY, BYPASS, wiener], material={"kind": "mixtures"}, missing={})


def test_record_breaks_down_and_survives_json(record):
    assert json.loads(to_json(record))["schema"] == "rtdenoise.evaluate/1"
    entry = record["systems"]["WF:low"]
    assert entry["latency_ms"] == pytest.approx(8.0)
    assert set(entry["by_snr"]) == {"0", "10"} and set(entry["by_noise"]) == {"hiss", "rumble"}
    assert entry["over_noisy"]["si_sdr_db"]["low"] > 1.0
    assert record["systems"]["bypass"]["over_noisy"]["estoi"] == {"mean": 0.0, "low": 0.0, "high": 0.0, "n": 4}
    assert record["clean_in"]["bypass"]["si_sdr_db"]["mean"] > 100.0
    rows = list(csv.DictReader(io.StringIO(to_csv(record))))
    assert len(rows) == 5 * 3
    assert {row["system"] for row in rows} == {"noisy", "bypass", "WF:low"}


def test_tables_tell_means_distances_and_clean_speech(record):
    text = tables.quality(record)
    mean = record["systems"]["WF:low"]["mean"]["si_sdr_db"]["mean"]
    assert f"| {mean:.2f} |" in next(line for line in text.splitlines() if line.startswith("| WF:low"))
    gap = mean - record["systems"]["bypass"]["mean"]["si_sdr_db"]["mean"]
    row = next(line for line in tables.distances(record, "bypass").splitlines() if line.startswith("| WF:low | all"))
    assert f"{gap:+.2f}" in row
    assert "WF:low" in tables.clean_speech(record)
    assert tables.distances(record, "rnnoise") == ""
    assert "SSNR" in tables.papers(record)


def test_what_became_worse_is_told_apart_from_chance(record):
    old = json.loads(to_json(record))
    assert {change.verdict for change in compare.compare(old, record)} == {SAME}
    worse = json.loads(to_json(record))
    for name, rows in worse["scores"].items():
        rows["WF:low"]["si_sdr_db"] -= 1.0
        rows["WF:low"]["estoi"] += 0.02 if name.startswith("0000") else -0.02  # not sure with four clips
    verdicts = {(c.subject["system"], c.subject["metric"]): c.verdict for c in compare.compare(old, worse)}
    assert verdicts["WF:low", "si_sdr_db"] == compare.WORSE
    assert verdicts["WF:low", "estoi"] == SAME
    assert verdicts["bypass", "si_sdr_db"] == SAME
    assert {(c.subject["system"], c.subject["metric"]): c.verdict for c in compare.compare(worse, old)}[
        "WF:low", "si_sdr_db"
    ] == "better"


def test_a_method_that_breaks_on_every_clip_is_worse(record):
    old = json.loads(to_json(record))
    broken = json.loads(to_json(record))
    for rows in broken["scores"].values():
        del rows["WF:low"]
    found = {(c.subject["system"], c.subject["metric"]): c for c in compare.compare(old, broken)}
    assert found["WF:low", compare.LOST].verdict == compare.WORSE
    assert found["WF:low", compare.LOST].subject["clips"] == 5
    assert {c.verdict for c in found.values() if c.subject["system"] == "bypass"} == {SAME}
    assert "failed or missing now" in compare.changes_table(list(found.values()))
    assert json.loads(json.dumps(found["WF:low", compare.LOST].as_dict(), allow_nan=False))["difference"] is None
    del broken["systems"]["WF:low"]  # not even tried: worse, unless the others alone were asked for
    assert compare.WORSE in {c.verdict for c in compare.compare(old, broken) if c.subject["system"] == "WF:low"}
    assert {c.subject["system"] for c in compare.compare(old, broken, ["bypass"])} == {"bypass"}


def test_a_clip_left_out_and_a_score_that_became_undefined_are_worse(record):
    old, new = (json.loads(to_json(record)) for _ in range(2))
    first, second = list(new["scores"])[:2]
    new["left_out"] = {first: "the process that scored it died"}
    del new["scores"][first]
    new["scores"][second]["bypass"]["si_sdr_db"] = None
    found = [tuple(c.subject.values()) for c in compare.compare(old, new) if c.verdict == compare.WORSE]
    assert found == [("bypass", "clips", 1), ("bypass", "si_sdr_db", 1), ("WF:low", "clips", 1)]
    for rows in new["scores"].values():  # what is not measured any more is nobody's loss
        for row in rows.values():
            row.pop("si_sdr_db")
    assert "si_sdr_db" not in {c.subject["metric"] for c in compare.compare(old, new)}


def test_records_that_cannot_be_compared(record, tmp_path):
    with pytest.raises(ConfigError, match="no clip and method in common"):
        compare.compare({**record, "scores": {}}, record)
    path = tmp_path / "old.json"
    for text, reason in (
        ("{", "no JSON"),
        ("{}", "no record of"),
        (json.dumps({"schema": "x"}), "no record of"),
        (json.dumps({"schema": SCHEMA, "scores": {}}), "without systems"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=reason):
            compare.load_evaluation(path)


def test_labels_of_a_picture_do_not_cover_each_other():
    from rtdenoise.evaluate.report.pictures import label_heights

    points = [(16.0, 1.50), (16.0, 1.51), (20.0, 1.505), (40.0, 1.5), (8.0, 2.0)]
    heights = label_heights(points)
    near = sorted(heights[:3])
    assert min(b - a for a, b in pairwise(near)) >= 0.02
    assert heights[3] == 1.5 and heights[4] == 2.0
    assert all(height >= y for height, (_, y) in zip(heights, points, strict=True))
