"""Settings from presets, files and overrides: precedence, and every way to get them wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import rtdenoise
from rtdenoise.choice import Choice
from rtdenoise.config import data_folder, load_settings, merge, parse_assignments, preset_names
from rtdenoise.disk.yamltext import load_yaml
from rtdenoise.errors import ConfigError
from rtdenoise.methods.spectral.params import SpectralParams
from rtdenoise.registry import build


def test_presets_ship_and_build():
    assert preset_names() == ["quality", "balanced", "asr", "low", "ultra"]
    delays = {}
    for name in preset_names():
        denoiser = build(load_settings(preset=name), 16000)
        delays[name] = (denoiser.latency_samples + denoiser.hop) / 16
    assert delays == {"quality": 32.0, "balanced": 16.0, "asr": 16.0, "low": 8.0, "ultra": 4.0}


def test_the_preset_for_recognisers_limits_what_any_method_takes_away_unless_told_otherwise():
    settings = load_settings(preset="asr")
    assert settings.spectral.attenuation_limit_db == settings.can.attenuation_limit_db <= 12.0
    told = load_settings(preset="asr", overrides={"attenuation_limit_db": 20.0})
    assert told.spectral.attenuation_limit_db == 20.0
    assert Choice(preset="asr", attenuation_limit_db=20.0).settings().can.attenuation_limit_db == 20.0


def test_shipped_files_use_only_known_keys():
    for path in data_folder("configs").glob("*.yaml"):
        if path.stem in preset_names():
            load_settings(preset=path.stem)


def test_precedence_is_argument_over_file_over_preset(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("method: SS\npreset: low\nattenuation_limit_db: 9\nwiener: {prior_smoothing_seconds: 0.3}\n")
    settings = load_settings(config=file)
    assert (settings.method, settings.spectral.framing.span_seconds) == ("SS", 0.008)
    assert (settings.spectral.attenuation_limit_db, settings.spectral.wiener.prior_smoothing_seconds) == (9, 0.3)
    changed = load_settings(config=file, method="wf", preset="ultra", overrides={"attenuation_limit_db": 6})
    assert (changed.method, changed.spectral.framing.span_seconds) == ("WF", 0.004)
    assert (changed.spectral.attenuation_limit_db, changed.spectral.wiener.prior_smoothing_seconds) == (6, 0.3)


def test_sections_merge_key_by_key():
    assert merge({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 5}}) == {"a": {"x": 1, "y": 5}, "b": 3}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"atenuation_limit_db": 9}, "unknown key 'atenuation_limit_db'; did you mean 'attenuation_limit_db'"),
        ({"noise": {"trackr": "minimum"}}, "unknown key 'noise.trackr'; did you mean 'tracker'"),
        ({"wienr": {}}, "did you mean 'wiener'"),
        ({"zzz": 1}, "valid here: .*attenuation_limit_db.*channel_mode.*framing.*method.*preset"),
        ({"noise": 5}, "noise must be a mapping of keys to values, not 5"),
        ({"noise": {"tracker": "magic"}}, "noise.tracker='magic' must be one of: presence, minimum, beginning"),
        ({"wiener": {"rule": "best"}}, "wiener.rule='best' must be one of: context, fine, decision-directed, log-mmse"),
        ({"attenuation_limit_db": -3}, "attenuation_limit_db=-3 must be a number from 0 to 100 dB"),
        ({"attenuation_limit_db": "loud"}, "attenuation_limit_db='loud' must be a number"),
        ({"attenuation_limit_db": float("nan")}, "attenuation_limit_db=nan must be a number"),
        ({"mix": 2}, "mix=2 must be a number from 0 to 1"),
        ({"mix": True}, "mix=True must be a number"),
        ({"framing": {"overlap": 3}}, "framing.overlap=3 must be one of: 2, 4, 8"),
        ({"framing": {"span_seconds": 0.064}}, "span_seconds=0.064 must not exceed frame_seconds=0.032"),
        ({"subtraction": {"n_bands": 0}}, "subtraction.n_bands=0 must be a whole number from 1 to 16"),
        ({"channel_mode": "sideways"}, "channel_mode='sideways' must be one of: linked, each, downmix"),
        ({"method": "magic"}, r"unknown method 'magic'; valid: SS, WF, CAN, bypass \(ML is CAN\)"),
        ({"preset": "best"}, "unknown preset 'best'; valid: quality, balanced, asr, low, ultra"),
        ({"preset": "../low"}, "unknown preset"),
        ({"preset": "x" * 5000}, "unknown preset 'xxx"),
        (
            {"preset": "can-small"},
            r"'can-small' is a network, not a preset \(valid: quality.*model='can-small' \(--method CAN --model can-",
        ),
        ({"preset": "feature-network"}, r"'feature-network' is a training configuration \(rtdenoise train feature-net"),
        ({"method": "can-live"}, r"unknown method 'can-live'.*method='CAN', model='can-live'"),
        ({"network": "can-small", "loss": {}}, "this mapping is a training configuration.*model="),
        ({"framing": {"overlap": 2.0}}, "framing.overlap=2.0 must be one of: 2, 4, 8"),
        ({"processing_rate_hz": float("nan")}, "processing_rate_hz=nan Hz must be a whole number of Hz from 8000"),
        ({"processing_rate_hz": "x"}, "processing_rate_hz='x' must be"),
        ({"can": {"attenuation_limit_db": -1}}, "^can.attenuation_limit_db=-1 must be"),
        ([1], r"config=\[1\] must be the path of a YAML file or a mapping"),
        (5, "config=5 must be the path"),
        (b"x", "config=b'x' must be the path"),
        ("a\0b", "cannot read the configuration .*embedded null"),
    ],
)
def test_mistakes_name_what_is_valid(config, message):
    with pytest.raises(ConfigError, match=message):
        load_settings(config=config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("- 1\n- 2\n", "must hold keys and values, not list"),
        ("\xff", "cannot read|unknown|must hold"),
        ("mix: 1\nnoise: {}\nmix: 0.5\n", "bad.yaml: 'mix' stands twice, in lines 1 and 3; keep one"),
        ("noise:\n  tracker: minimum\n  tracker: presence\n", "'tracker' stands twice, in lines 2 and 3"),
        ("noise: {tracker: minimum, 'tracker': presence}", "'tracker' stands twice, in lines 1 and 1"),
        ("mix: 2001-99-99\n", "not valid YAML"),
        ("network: can-small\nloss: {}\n", r"bad.yaml is a training configuration \(rtdenoise train\)"),
    ],
)
def test_unreadable_files_are_named(tmp_path, text, message):
    file = tmp_path / "bad.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=message):
        load_settings(config=file)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*none.yaml: No such file"):
        load_settings(config=tmp_path / "none.yaml")


def test_an_edited_file_is_read_again(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("mix: 0.5\n")
    assert load_settings(config=file).spectral.mix == 0.5
    file.write_text("mix: 0.25\n# changed\n")
    assert load_settings(config=file).spectral.mix == 0.25


def test_every_parameter_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SpectralParams().mix = 0.1


@pytest.mark.parametrize("name", ["WF", "wf", "Ss", "BYPASS"])
def test_methods_are_found_in_any_case(name):
    assert rtdenoise.stream(name, sample_rate=16000).sample_rate == 16000


@pytest.mark.parametrize("method", ["WF", "SS", "CAN", None])
def test_a_limit_out_of_range_is_named_as_it_was_given(method):
    """It is a limit of networks, too, and was named as theirs whatever the method."""
    for arguments in ({"overrides": {"attenuation_limit_db": -3}}, {"config": {"attenuation_limit_db": -3}}):
        with pytest.raises(ConfigError, match=r"^attenuation_limit_db=-3 must be a number from 0 to 100 dB"):
            load_settings(method=method, **arguments)
    with pytest.raises(ConfigError, match=r"^attenuation_limit_db=-3 must be"):
        rtdenoise.stream(method, sample_rate=16000, attenuation_limit_db=-3)


def test_yaml_may_still_merge():
    assert load_yaml("a: &a {x: 1}\nb: {<<: *a, x: 2}\nc: {<<: *a, <<: *a}\n", "here")["b"] == {"x": 2}


def test_a_key_given_twice_in_a_change_is_named():
    with pytest.raises(ConfigError, match="'tracker' stands twice"):
        parse_assignments(["noise={tracker: minimum, tracker: presence}"])


@pytest.mark.parametrize(
    ("keywords", "config"),
    [
        ({"model": "can-small"}, {"method": "CAN", "can": {"model": "can-small"}}),
        (
            {"model": data_folder("models") / "can-small", "method": "ml"},
            {"method": "CAN", "can": {"model": "can-small"}},
        ),
        ({"attenuation_limit_db": 6}, {"attenuation_limit_db": 6}),
        (
            {"attenuation_limit_db": 6, "model": "can-small", "config": {"can": {"attenuation_limit_db": 40}}},
            {"method": "CAN", "can": {"model": "can-small", "attenuation_limit_db": 6}},
        ),
        ({"mix": 0.5, "config": {"mix": 0.1}}, {"mix": 0.5}),
        ({"channel_mode": "each"}, {"channel_mode": "each"}),
    ],
)
def test_what_everybody_guesses_is_a_keyword(keywords, config):
    signal = np.random.default_rng(0).normal(0, 0.1, (3000, 2)).astype(np.float32)
    found = rtdenoise.denoise(signal, 16000, **keywords)
    np.testing.assert_array_equal(found, rtdenoise.denoise(signal, 16000, config=config))
    denoisers = [
        rtdenoise.build(sample_rate=16000, **keywords),
        rtdenoise.stream(sample_rate=16000, **keywords),
        rtdenoise.build(sample_rate=16000, config=config),
    ]
    assert len({(d.hop, d.latency_samples) for d in denoisers}) == 1


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"method": "WF", "model": "can-small"}, "model='can-small' is a network: method='CAN', not 'WF'"),
        ({"model": 5}, "can.model=5 must be the name or the folder"),
        ({"model": "nope"}, "no model 'nope'; shipped are"),
        ({"model": "x" * 5000}, "no model 'xxx"),
        ({"mix": True}, "mix=True must be a number"),
        ({"channel_mode": ["x"]}, "channel_mode=.* must be one of"),
    ],
)
def test_keywords_that_cannot_be(keywords, message):
    with pytest.raises(rtdenoise.RtDenoiseError, match=message):
        rtdenoise.stream(sample_rate=16000, **keywords)


@pytest.mark.parametrize(("rate", "channels"), [(7000, 1), (400000, 1), (16000, 0), (16000, 65)])
def test_rates_and_channels_out_of_range(rate, channels):
    with pytest.raises(ConfigError, match="must be"):
        rtdenoise.stream("WF", sample_rate=rate, channels=channels)
