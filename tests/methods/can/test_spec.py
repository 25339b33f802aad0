from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from rtdenoise.errors import ConfigError, ModelError
from rtdenoise.methods.can.layers.rings import plan_rings
from rtdenoise.methods.can.spec import CanSpec, load_spec, spec_from_mapping
from rtdenoise.methods.can.specs import SPECS, shipped_spec
from tests.methods.can import reference
from tests.methods.can.networks import ALL, random_network


def test_json_round_trip(tmp_path):
    for spec in (SPECS | ALL).values():
        (tmp_path / "spec.json").write_text(spec.as_json())
        assert load_spec(tmp_path / "spec.json") == spec


def test_files_state_lengths_in_seconds_and_those_in_samples_are_read():
    spec = replace(SPECS["can-live"], sample_rate=44100, hop=176, frame=1408, span=704)
    values = json.loads(spec.as_json())
    assert values["hop_seconds"] == 176 / 44100 and not {"hop", "frame", "span", "stride"} & set(values)
    assert spec_from_mapping(values) == spec_from_mapping(asdict(spec)) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hop_seconds": 0.0041}, "hop_seconds=0.0041 is 65.600 samples at 16000 Hz; it must be a whole number"),
        ({"sample_rate": 11025}, "hop_seconds=0.008 is 88.200 samples at 11025 Hz"),
        ({"hop": 64}, "hop_seconds and hop say the same; leave one out"),
        ({"frame_seconds": "long"}, "frame_seconds='long' must be a number"),
        ({"span_seconds": 0.0}, "span=0 must be at least 1"),
        ({"sample_rate": "fast"}, "sample_rate='fast' must be a whole number"),
    ],
)
def test_lengths_that_a_rate_does_not_have_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        spec_from_mapping(json.loads(SPECS["can-live"].as_json()) | change)


FRAMED = {"domain": "framed", "mask": "none", "fine_channels": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"domain": "cepstrum"}, "domain='cepstrum' must be one of: wave, framed, spectral"),
        ({"mask": "none"}, "mask='none' does not fit domain='spectral'"),
        ({"causal": False}, "causal=False is for the wave domain"),
        ({"dilations": []}, "dilations="),
        ({"statistics": "file"}, "statistics='file' needs domain='wave'"),
        ({"statistics": "none"}, "statistics='none' must be one of: running, file"),
        ({"channels": 0}, "channels=0 must be at least 1"),
        ({"channels": 4.5}, "channels=4.5 must be a whole number of at least 1"),
        ({"kernel": "3"}, "kernel='3' must be a whole number"),
        ({"dilations": ["a"]}, r"dilations=\['a'\] must be whole numbers"),
        ({"hop": 100}, "no windows for frame=512 span=256 hop=100"),
        ({"frame": 500}, "frame=500 must be a multiple of hop=128"),
        (FRAMED | {"stride": 24}, "stride=24 must divide hop=128 and frame=512"),
        (FRAMED | {"fine_channels": 8}, "fine_channels=8 does not fit domain='framed'"),
        ({"fine_channels": -1}, "fine_channels=-1 must be at least 0"),
        ({"mean_rows": 0}, "mean_rows=0 must be at least 1"),
        ({"mask_power": 0.0}, "mask_power=0.0"),
        ({"gain_min_db": "low"}, "gain_min_db='low' must be a number"),
        ({"gain_min_db": 3.0}, "gain_min_db=3.0 must not amplify"),
        ({"depth": 3}, "unknown key 'depth'.*known are name, domain"),
    ],
)
def test_impossible_specifications_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        spec_from_mapping(asdict(SPECS["can-live"]) | change)


def test_missing_keys_and_unknown_names_are_named():
    with pytest.raises(ConfigError, match=r"incomplete.*domain"):
        spec_from_mapping({"name": "x", "channels": 4, "dilations": [1]})
    with pytest.raises(ConfigError, match="no network specification 'can-huge'; known are germain2018"):
        shipped_spec("can-huge")


def test_damaged_specification_files_are_refused(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        load_spec(tmp_path / "spec.json")
    for text in ("{", "[1]", '{"name": 3}'):
        (tmp_path / "spec.json").write_text(text)
        with pytest.raises(ModelError, match=r"spec\.json"):
            load_spec(tmp_path / "spec.json")


def test_published_network_has_the_published_size():
    spec = SPECS["germain2018"]
    assert spec.receptive_field == 16385
    inner = 3 * 64 + 13 * 3 * 64 * 64 + 64 + 1  # convolutions without biases, and the output layer
    assert inner + 14 * (64 + 2) == 160925  # beta of each batch norm, w0 and w1
    assert spec.multiplications_per_second == pytest.approx(2.56e9, rel=0.01)


@pytest.mark.parametrize("name", [name for name, spec in ALL.items() if not spec.gates])
def test_receptive_rows_are_what_an_output_row_depends_on(name):
    """Rows older than the receptive field change nothing; the oldest inside it does.  (Gated means have no end.)"""
    network = random_network(name)
    reach = network.spec.receptive_rows
    rows = np.random.default_rng(1).normal(0, 1, (reach + 5, network.spec.n_inputs))
    plain = reference.stack(network, rows)[-1]
    older, inside = rows.copy(), rows.copy()
    older[:5] += 1.0
    inside[5] += 1.0
    assert np.array_equal(reference.stack(network, older)[-1], plain)
    assert not np.array_equal(reference.stack(network, inside)[-1], plain)


def test_receptive_field_in_samples():
    assert SPECS["germain2018-causal"].receptive_field == 16385
    # 252 earlier frames, two more behind the stack, and one by overlap
    assert SPECS["can-live"].receptive_field == 512 + (2 * 2 * 63 + 2 + 1) * 128
    assert SPECS["can-small"].receptive_field == 512 + (2 * 3 * 15 + 1) * 128


def test_rings_read_exactly_the_past_they_should():
    spec = CanSpec(name="x", domain="wave", channels=4, dilations=(1, 64, 128, 512), hop=64)
    plan = plan_rings(spec)
    assert plan.deep == (1, 2, 3)
    assert plan.shallow == (0,)
    written: dict[int, int] = {}
    for step in range(40):
        reads = plan.reads(step)
        for row, dilation in zip(reads, (64, 128, 512), strict=True):
            for slot, tap in zip(row, (2, 1), strict=True):
                assert written.get(int(slot), -1) == max(step - tap * dilation // 64, -1)
        for slot in plan.writes(step):
            written[int(slot)] = step


def test_networks_that_cannot_stream_are_refused():
    with pytest.raises(ConfigError, match="residual and looks into the future"):
        plan_rings(replace(SPECS["germain2018"], residual=True))
    with pytest.raises(ConfigError, match="dilation=100 must be a multiple of the 64 rows"):
        plan_rings(CanSpec(name="x", domain="wave", channels=4, dilations=(100,), hop=64))
