"""What the processes of a session tell each other arrives as it was sent, and errors are raised as what they were."""

from __future__ import annotations

import pytest

from rtdenoise.child.lines import decode, encode
from rtdenoise.child.scheduling import Grant
from rtdenoise.errors import ConfigError, DeviceError, MissingExtraError, ModelError
from rtdenoise.live_audio import messages
from rtdenoise.live_audio.messages import Failed, packed, unpacked
from tests.live.harness import device, plan

SENT = [
    messages.Open(packed(plan("CAN")), "fd:7", -1),
    messages.AddNetwork(packed(plan("CAN"))),
    messages.Leave(),
    messages.Leave(45.0),
    messages.Load(packed(plan("CAN"))),
    messages.Build(48000),
    messages.Work("fd:7", 8),
    messages.RateFound(44100),
    messages.RunsIn("engine", "too slow"),
    messages.Prepared(),
    messages.OpeningDevices(["ALSA", "JACK Audio Connection Kit"]),
    messages.Opened(source=device("Mikrofon ä"), rate_hz=48000, rules={"WF": 1}),
    messages.Granted([Grant(name="memory lock", granted=False, detail="ask for it")]),
    messages.WatchingTarget(),
    messages.TargetGone(),
    messages.Finished(),
    messages.Refused(),
    messages.Leaving(),
    messages.Built(64, 128, 16000.0, True, 0.125),
    messages.Failed("DeviceError", "gone"),
]


@pytest.mark.parametrize("sent", SENT, ids=lambda sent: type(sent).__name__)
def test_a_message_arrives_as_it_was_sent(sent):
    line = encode(sent)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode(line) == sent and type(decode(line)) is type(sent)


def test_every_message_is_among_them():
    kinds = {kind for kind in vars(messages).values() if getattr(kind, "__module__", "") == messages.__name__}
    assert {kind for kind in kinds if isinstance(kind, type)} == {type(sent) for sent in SENT}


def test_a_plan_is_unpacked_as_it_was_packed():
    assert unpacked(packed(plan("CAN"))) == plan("CAN")


@pytest.mark.parametrize("line", [b"", b"{", b'{"@": "Nothing"}', b"\xff"])
def test_lines_that_are_no_messages(line):
    with pytest.raises(ValueError):
        decode(line)


def test_only_messages_are_sent():
    with pytest.raises(TypeError, match="LivePlan is no message"):
        encode(plan())


class UnheardOfError(ConfigError):
    """One that the other process does not know by name."""


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (MissingExtraError("needs rtdenoise[tf]"), MissingExtraError, "needs rtdenoise[tf]"),
        (UnheardOfError("no such preset"), ConfigError, "no such preset"),
        (ValueError("two\n  lines"), ModelError, "ValueError: two lines"),
    ],
)
def test_errors_are_raised_as_what_they_were(error, kind, text):
    found = decode(encode(Failed.of(error, ModelError))).error
    assert type(found) is kind and str(found) == text
    assert not isinstance(found, DeviceError)
