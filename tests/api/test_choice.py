"""One value holds what every call lets its caller choose: names, order and defaults agree, and so does what they do."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

import rtdenoise
from rtdenoise.choice import Choice
from rtdenoise.errors import ConfigError

FIELDS = [field.name for field in dataclasses.fields(Choice)]
CALLS = [
    rtdenoise.stream,
    rtdenoise.build,
    rtdenoise.denoise,
    rtdenoise.denoise_file,
    rtdenoise.live,
    rtdenoise.Effect,
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_every_call_spells_them_out_with_none_as_default(call):
    parameters = inspect.signature(call).parameters
    assert set(FIELDS) <= set(parameters)
    assert all(parameters[name].default is None for name in FIELDS)


def chosen(call):
    """What `call` makes of its keywords, each of which is another value."""
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Choice, "settings", lambda self, *_: seen.append(self) or (_ for _ in ()).throw(ConfigError()))
        with pytest.raises(ConfigError):
            call(**{name: name for name in FIELDS})
    return dataclasses.asdict(seen[0])


@pytest.mark.parametrize(
    "call",
    [
        lambda **keywords: rtdenoise.stream(sample_rate=16000, **keywords),
        lambda **keywords: rtdenoise.build(sample_rate=16000, **keywords),
        lambda **keywords: rtdenoise.denoise([0.0], 16000, **keywords),
        lambda **keywords: rtdenoise.denoise_file("none.wav", **keywords),
        rtdenoise.live,
        rtdenoise.Effect,
    ],
)
def test_each_keyword_arrives_as_itself(call):
    assert chosen(call) == {name: name for name in FIELDS}


def test_keywords_are_stronger_than_overrides_and_these_than_a_configuration():
    config = {"mix": 0.1, "attenuation_limit_db": 1.0, "channel_mode": "each"}
    choice = Choice(config=config, mix=0.3)
    settings = choice.settings(overrides={"mix": 0.2, "attenuation_limit_db": 2.0})
    assert (settings.spectral.mix, settings.spectral.attenuation_limit_db, settings.channel_mode) == (0.3, 2.0, "each")
    assert choice.settings("ultra").preset == "ultra"
    assert dataclasses.replace(choice, preset="low").settings("ultra").preset == "low"


def test_it_cannot_be_changed_but_makes_another():
    choice = Choice("WF", attenuation_limit_db=6.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        choice.method = "SS"  # type: ignore[misc]
    assert choice.changed(mix=0.5) == Choice("WF", attenuation_limit_db=6.0, mix=0.5)
    with pytest.raises(ConfigError, match="unknown key 'mixx'; did you mean 'mix'"):
        choice.changed(mixx=1)
