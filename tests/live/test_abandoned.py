"""A sound server that stands still: whoever waits in vain is given up without harm, and the session goes on."""

from __future__ import annotations

import os
import signal
import time

import pytest

from rtdenoise.child.process import Child
from rtdenoise.child.questions import ask
from rtdenoise.errors import DeviceError
from rtdenoise.live_audio import session as sessions
from rtdenoise.live_audio.audio import ahead
from rtdenoise.live_audio.supervise import ending
from tests.live.harness import Running, plan, running, stopped
from tests.live.test_exactness import noise
from tests.live.test_returning import hears, returned
from tests.virtual_card.card import VirtualCard


@pytest.fixture
def children(monkeypatch) -> list[Child]:
    """All audio processes, in the order of their start."""
    started: list[Child] = []

    def start(module: str, *arguments) -> Child:
        started.append(Child(module, *arguments))
        return started[-1]

    monkeypatch.setattr(ahead, "Child", start)
    return started


def test_nobody_who_waits_for_a_server_that_stands_still_is_killed_and_makes_it_stand_longer(
    server, monkeypatch, children
):
    """A synchronous server waits 20 s for a client that is killed; killed ones in a row kept a session at its start."""
    monkeypatch.setattr(sessions, "_LIST_AGAIN_SECONDS", 2.5)
    monkeypatch.setattr(ending, "_ANSWER_SECONDS", 100.0)  # a busy machine
    told: list[str] = []
    with (
        VirtualCard(server.name) as card,
        VirtualCard(server.name, "other_microphone", "other_speaker") as other,
        running(plan("bypass"), told) as live,
    ):
        card.set_idle(noise(1.0, card.rate))
        live.wait(lambda: live.session.region.live["energy_in"][0] > 0.0)
        with stopped(other._process.pid):
            live.wait(lambda: len(children) == 3, 60.0)
            time.sleep(3.0)
            assert len(children) == 3, "a third one would only wait behind the two"
            assert "the sound system does not answer; opening the devices again" in told
            live.wait(lambda: told[-1] == "the sound system still does not answer", 10.0)
        live.wait(lambda: hears_all(live), 60.0)
        assert not [child.pid for child in children if child._process.poll() == -signal.SIGKILL]
    assert told[-1] == "audio is back"


def hears_all(live) -> bool:
    return live.session.state == "running" and live.session.region.live["energy_in"][0] > 0.0


def test_a_server_that_takes_no_look_into_it_is_left_in_order_before_anything_runs(server, monkeypatch, children):
    """After a refusal JACK's library is mute: PortAudio closed a stream for ever, and was killed for its noise."""
    started = ahead.Child
    monkeypatch.setattr(sessions, "_LIST_SECONDS", 60.0)  # a busy machine
    monkeypatch.setattr(ahead, "Child", lambda module, *rest: started(late_look(module, len(children)), *rest))
    told: list[str] = []
    with VirtualCard(server.name) as card, VirtualCard(server.name, "other_microphone", "other_speaker") as other:
        card.set_idle(noise(1.0, card.rate))
        session = sessions.Session(plan("bypass"), told.append)
        live = Running(session, told)
        try:
            live.wait(lambda: session._stage.name == "opening", 240.0)
            time.sleep(1.0)
            with stopped(other._process.pid):
                live.wait(lambda: len(children) == 2, 60.0)
            live.wait(lambda: hears_all(live), 60.0)
            live.wait(lambda: not children[0].alive, 10.0)
            assert children[0]._process.returncode == 1 and not children[0].flooding
        finally:
            live.join()
            session.close()
    assert "the sound server takes no new program; opening the devices again" in told


def late_look(module: str, n_before: int) -> str:
    return "tests.live.late_look" if module == "rtdenoise.live_audio.audio.begin" and n_before == 0 else module


def test_a_process_that_does_not_hear_the_order_to_leave_is_ended(server_of, monkeypatch, children):
    monkeypatch.setattr(ending, "_ANSWER_SECONDS", 0.5)
    server = server_of(realtime=False, synchronous=False)
    with VirtualCard(server.name), running(plan("bypass")) as live:
        os.kill(children[0].pid, signal.SIGSTOP)
        live.wait(lambda: live.session.reopened == 1, 30.0)
        live.wait(lambda: not children[0].alive, 30.0)
        assert children[0]._process.returncode == -signal.SIGKILL
    assert live.session._departing._leaving == []


def test_a_session_that_ends_leaves_nobody_who_was_still_leaving(server_of, monkeypatch, children):
    monkeypatch.setattr(ending, "_ANSWER_SECONDS", 100.0)
    server = server_of(realtime=False, synchronous=False)
    with VirtualCard(server.name), running(plan("bypass")) as live:
        os.kill(children[0].pid, signal.SIGSTOP)  # the server may wait for it, and refuse the next so long
        live.wait(lambda: len(children) > 1, 30.0)
        assert children[0].alive
    assert not any(child.alive for child in children)


def unwatched(module: str, *arguments) -> Child:
    """The same process without the look into JACK."""
    return Child("tests.live.unwatched" if module == "rtdenoise.live_audio.audio.begin" else module, *arguments)


@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_without_the_look_into_jack_a_vanished_speaker_is_missed_in_the_list_and_used_again(
    server, monkeypatch, seconds
):
    monkeypatch.setattr("rtdenoise.live_audio.supervise.watch._TARGET_SECONDS", seconds)
    monkeypatch.setattr(ahead, "Child", unwatched)
    told: list[str] = []
    second = VirtualCard(server.name, "other_microphone", "other_speaker").__enter__()
    with VirtualCard(server.name) as card, running(plan("bypass", target="other_speaker"), told) as live:
        card.set_idle(noise(1.0, card.rate))
        time.sleep(3.0)
        assert not told, "it was looked for, and found"
        assert live.session._watch._target is not None, "nobody looks into JACK"
        second.__exit__()
        live.wait(lambda: "the output device is gone; opening the devices again" in told, 60.0)
        with returned(server) as again:
            live.wait(lambda: hears(again), 60.0)
    assert "audio is back" in told


@pytest.mark.parametrize(
    ("end", "words", "n_told"),
    [
        ("abort()", r"^PortAudio cannot list devices: it crashed \(SIGABRT\).*PipeWire or JACK$", 0),
        ("_exit(3)", r"^the audio process ended 3 times; see `rtdenoise doctor`$", 2),
    ],
)
def test_an_audio_process_that_ends_at_the_start_is_one_error_with_a_remedy(tmp_path, monkeypatch, end, words, n_told):
    """PortAudio 19.6 aborts where ALSA has no device at all, and would do so again."""
    (tmp_path / "crashes.py").write_text(f"import os\nos.{end}\n", encoding="ascii")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(ahead, "Child", lambda _module, *rest: Child("crashes", *rest))
    told: list[str] = []
    session = sessions.Session(plan("bypass"), told.append)
    limit = time.monotonic() + 30.0
    with pytest.raises(DeviceError, match=words):
        while session.step() and time.monotonic() < limit:
            time.sleep(0.02)
    assert len(told) == n_told


def test_a_question_whose_process_crashes_without_a_word_names_the_signal_and_a_remedy(tmp_path, monkeypatch):
    (tmp_path / "crashes.py").write_text("import os\nos.kill(os.getpid(), 11)\n", encoding="ascii")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DeviceError, match=r"^it fails: it crashed \(SIGSEGV\).*start PipeWire or JACK$"):
        ask("crashes", timeout_seconds=30.0, what="it fails")
