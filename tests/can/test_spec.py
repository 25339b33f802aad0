from __future__ import annotations

import json

import numpy as np
import pytest
from tests.can import reference
from tests.can.networks import SMALL, random_network

from rtdenoise.can.rings import plan_rings
from rtdenoise.can.spec import SPECS, CanSpec, load_spec, shipped_spec, spec_from_mapping
from rtdenoise.errors import ConfigError, ModelError


def test_json_round_trip(tmp_path):
    for spec in SPECS.values():
        (tmp_path / "spec.json").write_text(spec.as_json())
        assert load_spec(tmp_path / "spec.json") == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"domain": "cepstrum"}, "domain='cepstrum' must be one of wave, spectral"),
        ({"mask": "none"}, "mask='none' does not fit domain='spectral'"),
        ({"causal": False}, "causal=False is for the wave domain"),
        ({"dilations": []}, "dilations="),
        ({"channels": 0}, "channels=0 must be at least 1"),
        ({"mask_power": 0.0}, "mask_power=0.0"),
        ({"gain_min_db": 3.0}, "gain_min_db=3.0 must not amplify"),
        ({"depth": 3}, "unknown key 'depth'.*known are name, domain"),
    ],
)
def test_impossible_specifications_are_refused(change, message):
    values = json.loads(SPECS["can-live"].as_json()) | change
    with pytest.raises(ConfigError, match=message):
        spec_from_mapping(values)


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


@pytest.mark.parametrize("name", SMALL)
def test_receptive_field_is_what_an_output_sample_depends_on(name):
    """Samples older than the receptive field change nothing; the oldest inside it does."""
    network = random_network(name)
    spec = network.spec
    n = (spec.receptive_field // spec.hop + 4) * spec.hop
    signal = np.random.default_rng(1).normal(0, 0.1, n)
    plain = reference.whole_signal(network, signal)
    last_hop_end = n
    reach = spec.receptive_field
    older = signal.copy()
    older[: last_hop_end - reach - (spec.hop if spec.domain == "wave" else 0)] += 1.0
    assert np.array_equal(reference.whole_signal(network, older)[-1], plain[-1])
    inside = signal.copy()
    inside[last_hop_end - reach : last_hop_end - reach + spec.hop] += 1.0
    assert not np.array_equal(reference.whole_signal(network, inside)[-spec.hop :], plain[-spec.hop :])


def test_rings_read_exactly_the_past_they_should():
    spec = CanSpec(name="x", domain="wave", channels=4, dilations=(1, 64, 128, 512), hop=64)
    plan = plan_rings(spec)
    assert plan.deep == (1, 2, 3)
    assert plan.shallow == (0,)
    written: dict[int, int] = {}
    for step in range(40):
        reads = plan.reads(step).reshape(3, 2)
        for row, dilation in zip(reads, (64, 128, 512), strict=True):
            for slot, tap in zip(row, (2, 1), strict=True):
                assert written.get(int(slot), -1) == max(step - tap * dilation // 64, -1)
        for slot in plan.writes(step):
            written[int(slot)] = step


def test_networks_that_cannot_stream_are_refused():
    with pytest.raises(ConfigError, match="whole files only"):
        plan_rings(SPECS["germain2018"])
    with pytest.raises(ConfigError, match="dilation=100 must be a multiple of the 64 rows"):
        plan_rings(CanSpec(name="x", domain="wave", channels=4, dilations=(100,), hop=64))
