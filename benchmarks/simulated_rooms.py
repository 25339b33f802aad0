"""Simulate rooms for training: responses from several places of a room to one microphone (extra `rooms`).

    python -m benchmarks.simulated_rooms OUT
    python -m benchmarks.simulated_rooms OUT --rooms 1000 --seed 1
    rtdenoise train configs/can-live.yaml --data recordings --more OUT --set mixtures.noise_room=0.25

Shoeboxes of 2 to 10 m with a reverberation time of about 0.1 to 0.8 s; walls, floor and ceiling absorb differently, and
each rises or falls over the octaves.  Reflections by the image method, the late tail by rays (Scheibler et al. 2018,
"Pyroomacoustics").  The first place is at most a metre from the microphone; the others are anywhere.  Writes 16 kHz
FLAC files ``room-NUMBER-PLACE.flac`` of at most half a second, and OUT/manifest.csv with the columns of other
manifests: responses of one room have the same ``label``, so that `rtdenoise.lab.data.mixtures` can put a voice and a
noise into the same room.  The same seed gives the same rooms.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from rich.progress import track

from rtdenoise.typing import F32

SAMPLE_RATE_HZ = 16000
SECONDS = 0.5
COLUMNS = ("path", "kind", "split", "label", "source", "licence", "seconds", "distance_m", "wanted_reverberation_s")
_CENTRES_HZ = (125, 250, 500, 1000, 2000, 4000, 8000)
_WALL_GAP_M = 0.3  # from any wall to the microphone, and to a source; half of it to one near the microphone
_PEAK = 0.9
_IMAGE_ORDER = 10
_N_RAYS = 4000


def room(rng: np.random.Generator, places: int) -> tuple[list[F32], list[float], float]:
    """One room: responses of `places` sources, their distances in m, and the reverberation time wanted, in s."""
    import pyroomacoustics

    size = np.array([rng.uniform(2.0, 10.0), rng.uniform(2.0, 7.0), rng.uniform(2.2, 3.6)])
    reverberation_s = float(np.exp(rng.uniform(np.log(0.1), np.log(0.8))))
    absorption = float(np.clip(_mean_absorption(size, reverberation_s), 0.02, 0.98))
    walls = ("east", "west", "north", "south", "floor", "ceiling")
    materials = {wall: _material(rng, absorption, pyroomacoustics) for wall in ("walls", "floor", "ceiling")}
    shoebox = pyroomacoustics.ShoeBox(
        size,
        fs=SAMPLE_RATE_HZ,
        materials={wall: materials.get(wall, materials["walls"]) for wall in walls},
        max_order=_IMAGE_ORDER,
        air_absorption=True,
        ray_tracing=True,
        use_rand_ism=True,  # moves images by some centimetres: a perfect box rings
    )
    shoebox.set_ray_tracing(n_rays=_N_RAYS, receiver_radius=0.4)
    microphone = _anywhere(rng, size)
    sources = [_near(rng, microphone, size), *(_anywhere(rng, size) for _ in range(places - 1))]
    shoebox.add_microphone(microphone)
    for source in sources:
        shoebox.add_source(source)
    shoebox.compute_rir()
    responses = [_cut(np.asarray(response, np.float64)) for response in shoebox.rir[0]]
    return responses, [float(np.linalg.norm(source - microphone)) for source in sources], reverberation_s


def _mean_absorption(size: np.ndarray, reverberation_s: float) -> float:
    """Mean absorption of the surfaces that gives this reverberation time (Eyring 1930).

    `pyroomacoustics.inverse_sabine` refuses short times in large rooms.
    """
    volume, surface = float(np.prod(size)), 2.0 * float(size[0] * size[1] + size[0] * size[2] + size[1] * size[2])
    return 1.0 - float(np.exp(-0.161 * volume / (surface * reverberation_s)))


def _material(rng: np.random.Generator, absorption: float, library: object) -> object:
    """Absorption around a mean, rising or falling with frequency as that of carpet or of plaster does."""
    tilt, level = rng.uniform(-0.15, 0.35), absorption * rng.uniform(0.6, 1.4)
    coefficients = [level * 2.0 ** (tilt * (octave - 3)) for octave in range(len(_CENTRES_HZ))]
    bounded = [float(np.clip(c, 0.01, 0.99)) for c in coefficients]
    return library.Material({"coeffs": bounded, "center_freqs": list(_CENTRES_HZ)})  # type: ignore[attr-defined]


def _anywhere(rng: np.random.Generator, size: np.ndarray) -> np.ndarray:
    return np.asarray(rng.uniform(_WALL_GAP_M, size - _WALL_GAP_M))


def _near(rng: np.random.Generator, microphone: np.ndarray, size: np.ndarray) -> np.ndarray:
    """A place within a metre of the microphone."""
    direction = rng.standard_normal(3)
    place = microphone + rng.uniform(0.2, 1.0) * direction / np.linalg.norm(direction)
    return np.asarray(np.clip(place, 0.5 * _WALL_GAP_M, size - 0.5 * _WALL_GAP_M))


def _cut(response: np.ndarray) -> F32:
    """From a little before the direct sound on."""
    start = max(int(np.argmax(np.abs(response))) - 32, 0)
    part = response[start : start + int(SECONDS * SAMPLE_RATE_HZ)]
    return np.asarray(part * (_PEAK / np.max(np.abs(part))), np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    parser.add_argument("--rooms", type=int, default=500, help="how many (default %(default)s)")
    parser.add_argument("--places", type=int, default=4, help="sources in each room (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other rooms (default %(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.rooms < 1 or chosen.places < 1 or chosen.seed < 0:
        parser.error("--rooms and --places must be at least 1, --seed at least 0")
    try:
        import pyroomacoustics
    except ImportError:
        parser.error("pyroomacoustics is not installed: pip install 'rtdenoise[rooms]'")
    if chosen.out.exists() and (not chosen.out.is_dir() or any(chosen.out.iterdir())):
        parser.error(f"{chosen.out} exists and is not an empty folder; name a new one")
    pyroomacoustics.constants.set("num_threads", 1)  # with more the order of random draws varies
    folder = chosen.out / "rooms"
    folder.mkdir(parents=True, exist_ok=True)
    with (chosen.out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for number in track(range(chosen.rooms), "rooms"):
            table.writerows(_written(folder, chosen.seed, number, chosen.places))
            file.flush()  # so that rooms made before an interruption can be used
    print(f"{chosen.rooms * chosen.places} responses of {chosen.rooms} rooms in {chosen.out}")
    return 0


def _written(folder: Path, seed: int, number: int, places: int) -> list[tuple[str, ...]]:
    """Write the responses of one room; its rows of the manifest."""
    import pyroomacoustics

    rng = np.random.default_rng([seed, number])
    pyroomacoustics.random.seed(int(rng.integers(2**31)))  # of rays and of images
    rows = []
    responses, distances_m, reverberation_s = room(rng, places)
    for place, (response, distance_m) in enumerate(zip(responses, distances_m, strict=True)):
        path = folder / f"room-{number:05d}-{place}.flac"
        soundfile.write(path, response, SAMPLE_RATE_HZ, subtype="PCM_16")
        name, label = f"{folder.name}/{path.name}", f"simulated-{seed}-{number:05d}"
        lengths = (f"{len(response) / SAMPLE_RATE_HZ:.2f}", f"{distance_m:.2f}", f"{reverberation_s:.2f}")
        rows.append((name, "rooms", "train", label, "simulated", "CC0-1.0", *lengths))
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
