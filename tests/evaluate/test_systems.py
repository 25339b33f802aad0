"""Systems: names, other programs with their delay, and clear lines for what cannot be."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from rtdenoise.errors import ConfigError
from rtdenoise.evaluate.compared import external, systems
from rtdenoise.evaluate.compared.systems import System

PROGRAM = """
import sys, numpy, soundfile
signal, rate = soundfile.read(sys.argv[1])
delay = int(sys.argv[3])
soundfile.write(sys.argv[2], numpy.concatenate([numpy.zeros(delay), 0.5 * signal])[: signal.size], rate)
"""


@pytest.fixture
def program(tmp_path):
    """A command that halves a signal and is some samples late."""
    path = tmp_path / "half.py"
    path.write_text(PROGRAM)
    return lambda delay: f"{sys.executable} {path} {{in}} {{out}} {delay}"


@pytest.mark.parametrize("delay", [0, 77, 1600])
def test_delay_of_a_program_is_found_and_taken_out(program, speech, delay):
    system = systems.parse_peer(f"mine={program(delay)}")
    system = systems.find_delay(system, speech.astype(np.float32))
    assert (system.name, system.kind, system.delay_samples) == ("mine", "command", delay)
    assert systems.latency_ms(system) == pytest.approx(delay / 16)
    signal = speech[5000:25000].astype(np.float32)
    out = systems.enhancer(system, 16000)(signal)
    np.testing.assert_allclose(out, 0.5 * signal, atol=1e-4)  # 16 bits


def test_a_program_runs_between_resamplers_at_8_khz(program, speech):
    system = System("mine", "command", program(0))
    signal = speech[::2].astype(np.float32)
    out = systems.enhancer(system, 8000)(signal)
    assert out.shape == signal.shape
    assert np.corrcoef(out[400:-400], signal[400:-400])[0, 1] > 0.99


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("false {in} {out}", "ended with code 1"),
        ("true {in} {out}", "wrote no sound"),
        ("sh -c 'echo no licence >&2; exit 7' {in} {out}", "code 7: no licence"),
    ],
)
def test_failures_of_a_program_are_told(command, reason, speech):
    with pytest.raises(external.CommandError, match=reason):
        external.run_command(command, speech.astype(np.float32))
    with pytest.raises(ConfigError, match=reason):
        systems.find_delay(System("bad", "command", command), speech.astype(np.float32))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("mine=cp {in}", r"\{in\} and \{out\}"),
        ("mine=no-such-program {in} {out}", "no program 'no-such-program'"),
        ("mine=cp '{in} {out}", "closing quotation"),
        ("magic", "known: webrtc"),
    ],
)
def test_peers_that_cannot_be(text, reason):
    with pytest.raises(ConfigError, match=reason.replace("closing", "[Cc]losing")):
        systems.parse_peer(text)


def test_own_methods_take_parameters():
    settings = systems.own_settings("WF:low+attenuation_limit_db=30+noise.tracker=minimum")
    assert settings.preset == "low"
    assert settings.spectral.attenuation_limit_db == 30
    assert settings.spectral.noise.tracker == "minimum"
    assert systems.own_settings("CAN:somewhere/model").can.model == "somewhere/model"
    assert systems.own_settings("WF:low+mix=1e-1").spectral.mix == 0.1
    for text, reason in (
        ("WF:fast", "fast"),
        ("WF:low+nonsense=1", "nonsense"),
        ("WF:low+mix", "KEY=VALUE"),
        ("WF:low+mix=[", "YAML"),
    ):
        with pytest.raises(ConfigError, match=reason):
            systems.parse_own(text)


def test_choice_names_what_is_missing_and_what_is_twice(monkeypatch):
    monkeypatch.setattr(systems.peers, "find_spec", lambda module: None)
    chosen, missing = systems.choose(["bypass"], ["rnnoise", "same=cp {in} {out}"])
    assert [system.name for system in chosen] == ["noisy", "bypass", "same"]
    assert "not installed" in missing["rnnoise"]
    with pytest.raises(ConfigError, match="given twice: bypass"):
        systems.choose(["bypass", "bypass"], [])


def test_fingerprints_follow_the_program(tmp_path):
    tool = tmp_path / "tool"
    tool.write_text("one")
    system = System("mine", "command", f"{tool} {{in}} {{out}}")
    before = systems.fingerprint(system)
    assert before == systems.fingerprint(system)
    tool.write_text("another")
    assert systems.fingerprint(system) != before
    assert systems.fingerprint(System("bypass", "own", "bypass")) == ""


def test_latency_of_own_methods_counts_the_block():
    assert systems.latency_ms(systems.parse_own("WF:balanced")) == pytest.approx(16.0)
    assert systems.latency_ms(System("noisereduce", "peer", "noisereduce")) is None
