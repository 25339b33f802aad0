"""Cards of exported networks: what they tell, and whose text stays."""

from __future__ import annotations

from dataclasses import asdict, replace

from rtdenoise.lab.export.card import CARD, remove_card, write_card
from rtdenoise.lab.training.settings import TrainSettings
from tests.methods.can.networks import BANDED, BESIDE, SMALL

SETTINGS = TrainSettings(network=SMALL["wave"], loss=[{"term": "l1"}])


def write(folder, settings=SETTINGS, step=7):
    facts = {"audio_seconds": 36.0, "settings": asdict(settings)}
    return write_card(folder, SMALL["wave"], 10, step, facts, folder / "last.npz", folder / "a.yaml")


def test_pairs_are_not_called_mixtures(tmp_path):
    for pairs, told in ((False, "of mixtures made on the fly |"), (True, "of noisy and clean recordings, paired as")):
        assert write(tmp_path, replace(SETTINGS, pairs=pairs))
        assert told in (tmp_path / CARD).read_text()


def test_further_folders_are_in_text_and_command(tmp_path):
    for more, told, command in (
        ([], "the folder `here`;", "--data DATA\n"),
        (["a", "b"], "`here`, `a`, `b`;", " --more MORE" * 2),
    ):
        assert write(tmp_path, replace(SETTINGS, data="here", more=more))
        card = (tmp_path / CARD).read_text()
        assert told in card and command in card


def test_weights_to_start_with_know_no_settings_and_bands_are_told(tmp_path):
    facts = {"audio_seconds": 36.0}
    assert write_card(tmp_path, BANDED["banded"], 10, 1007, facts, tmp_path / "start.npz", tmp_path / "a.yaml")
    card = (tmp_path / CARD).read_text()
    assert "recordings of a folder that is not recorded;" in card
    assert "| steps | 1,007 |\n" in card and "network: 8 x 16 channels, 3 dilated" in card
    assert BESIDE["beside"].channels_text == "12 + 8 x 16"


def test_only_cards_as_they_were_written_are_replaced(tmp_path):
    assert write(tmp_path) and write(tmp_path, step=8)
    card = (tmp_path / CARD).read_text()
    assert "| steps | 8 of " in card
    for changed in (card + "More.\n", card.partition("\n")[2], "mine", "", b"\xff\xfe"):
        (tmp_path / CARD).write_bytes(changed if isinstance(changed, bytes) else changed.encode())
        before = (tmp_path / CARD).read_bytes()
        assert not write(tmp_path)
        assert not remove_card(tmp_path)
        assert (tmp_path / CARD).read_bytes() == before
    (tmp_path / CARD).write_text(card)
    assert remove_card(tmp_path) and not (tmp_path / CARD).exists()
