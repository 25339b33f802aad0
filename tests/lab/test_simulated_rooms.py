"""Simulated rooms: the same from the same seed, several places in one room, read as training data."""

from __future__ import annotations

import csv

import numpy as np
import pytest

pytest.importorskip("pyroomacoustics")
soundfile = pytest.importorskip("soundfile")

from benchmarks import simulated_rooms  # noqa: E402
from rtdenoise.lab.data.collection import Recording  # noqa: E402
from rtdenoise.lab.data.library import open_shelf  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of the simulator's own


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = []
    for seed in (3, 3, 4):
        made.append(tmp_path_factory.mktemp("simulated") / "rooms")
        command = [str(made[-1]), "--rooms", "2", "--places", "3", "--seed", str(seed)]
        assert simulated_rooms.main(command) == 0
    return made


def rows_of(folder):
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_seed_gives_the_same_rooms_and_another_seed_others(folders):
    contents = [[(folder / row["path"]).read_bytes() for row in rows_of(folder)] for folder in folders]
    assert contents[0] == contents[1]
    assert not set(contents[0]) & set(contents[2])


def test_responses_are_those_of_places_in_a_room(folders, tmp_path):
    rows = rows_of(folders[0])
    assert [row["label"] for row in rows] == sorted([row["label"] for row in rows]) and len(rows) == 6
    for row in rows:
        response, rate_hz = soundfile.read(folders[0] / row["path"])
        assert rate_hz == 16000 and response.ndim == 1 and response.size <= 8000
        assert np.max(np.abs(response)) == pytest.approx(0.9, abs=0.01)
        assert np.sum(response[-100:] ** 2) < 1e-2 * np.sum(response**2)
    for label in {row["label"] for row in rows}:
        distances = [float(row["distance_m"]) for row in rows if row["label"] == label]
        assert distances[0] <= 1.0 and len(set(distances)) == 3
    recordings = [Recording(folders[0] / row["path"], "rooms", "train", row["label"]) for row in rows]
    shelf = open_shelf(recordings, "rooms", "train", cache=tmp_path, sample_rate=16000)
    assert [len(group) for group in shelf.groups] == [3, 3]


def test_what_cannot_work_is_told_before_anything_is_written(folders, capsys, tmp_path):
    file, new = tmp_path / "file", tmp_path / "new"
    file.touch()
    refused = "exists and is not an empty folder; name a new one"
    cases = [([folders[0]], refused), ([file], refused), ([new, "--seed", "-1"], "--seed at least 0")]
    for arguments, message in [*cases, ([new, "--rooms", "0"], "--rooms and --places must be at least 1")]:
        with pytest.raises(SystemExit) as stopped:
            simulated_rooms.main([str(each) for each in arguments])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err
    assert not new.exists()
