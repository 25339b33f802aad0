r"""Clips to listen to: per noise and SNR the noisy one and what each system makes of it, with spectrograms.

    python -m benchmarks.listening listening                # listening/index.html, one file with everything in it
    python -m benchmarks.listening listening --noises fan --snr 0 --systems WF:quality,CAN:can-live
    python -m benchmarks.listening --docs                   # docs/audio and the table of docs/listening.md anew

All of it may be published: the speech is the demonstration's (sentences of this project, spoken by eSpeak NG), the
noises are computed here from a seed.  Needs the extras plots and peers; a peer that is missing is named and left out.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import soundfile

from rtdenoise.demo.noise import fan
from rtdenoise.evaluate.compared.systems import NOISY, choose, enhancer
from rtdenoise.evaluate.report import html
from rtdenoise.evaluate.report.drawing import make_figure, require_drawing
from rtdenoise.evaluate.report.pictures import power_db
from rtdenoise.evaluate.report.tables import markdown_table
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ, mix_at_snr, read_mono
from rtdenoise.typing import F32, F64

ROOT = Path(__file__).resolve().parent.parent
PAGE, AUDIO = ROOT / "docs" / "listening.md", ROOT / "docs" / "audio"
CLIP = ROOT / "rtdenoise" / "demo" / "clip.flac"
SYSTEMS = ("WF:quality", "CAN:can-small", "CAN:can-live", "rnnoise", "deepfilternet")
TITLES = {
    NOISY: "noisy",
    "WF:quality": "WF quality",
    "CAN:can-small": "can-small",
    "CAN:can-live": "can-live",
    "rnnoise": "RNNoise 0.2",
    "deepfilternet": "DeepFilterNet 3",
}
MARKED = re.compile(r"(<!-- clips -->\n)(.*?)(<!-- end of clips -->)", re.DOTALL)
_LEVEL_DB, _SECONDS, _SEED = -26.0, 4.5, 7
_RANGE_DB = 65.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """A noise at an SNR, and what the systems make of it: (n,) float32 by the names of the systems, noisy first."""

    noise: str
    snr_db: float
    sounds: Mapping[str, F32]

    @property
    def stem(self) -> str:
        """Beginning of its files' names."""
        return f"{self.noise}-{self.snr_db:g}dB"


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the page, or the clips of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="where index.html goes")
    parser.add_argument("--noises", default=",".join(NOISES), help="of %(default)s")
    parser.add_argument("--snr", default="0,10", help="dB; default %(default)s")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="default %(default)s")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="default %(default)s")
    parser.add_argument("--docs", action="store_true", help="write docs/audio and docs/listening.md")
    options = parser.parse_args(arguments)
    if (options.folder is None) == (not options.docs):
        parser.error("give a folder, or --docs")
    if unknown := set(options.noises.split(",")) - set(NOISES):
        parser.error(f"--noises {', '.join(sorted(unknown))}: known are {', '.join(NOISES)}")
    require_drawing()
    snrs_db = [float(text) for text in options.snr.split(",")]
    mixtures, missing = mix(options.noises.split(","), snrs_db, options.systems.split(","), options.seconds)
    for name, reason in missing.items():
        print(f"{name} left out: {reason}", file=sys.stderr)
    if options.docs:
        write_docs(mixtures, PAGE, AUDIO)
    else:
        options.folder.mkdir(parents=True, exist_ok=True)
        (options.folder / "index.html").write_text(page(mixtures), encoding="utf-8")
        print(options.folder / "index.html")
    return 0


def mix(
    noises: Sequence[str], snrs_db: Sequence[float], systems: Sequence[str], seconds: float
) -> tuple[list[Mixture], dict[str, str]]:
    """The mixtures, and the systems that do not run here with the reason."""
    own = [name for name in systems if ":" in name]
    chosen, missing = choose(own, [name for name in systems if name not in own])
    chosen.sort(key=lambda system: (system.kind != NOISY, systems.index(system.name) if system.kind != NOISY else 0))
    speech = read_mono(CLIP)
    mixtures = []
    for number, noise in enumerate(noises):
        begin = round(number * 4.8 * SAMPLE_RATE_HZ) % max(1, speech.size - round(seconds * SAMPLE_RATE_HZ))
        clean = speech[begin : begin + round(seconds * SAMPLE_RATE_HZ)]
        disturbance = NOISES[noise](clean.size, np.random.default_rng(_SEED + number))
        for snr_db in snrs_db:
            _, noisy = mix_at_snr(clean, disturbance, snr_db, _LEVEL_DB)
            sounds = {system.name: enhancer(system, SAMPLE_RATE_HZ)(noisy) for system in chosen}
            mixtures.append(Mixture(noise=noise, snr_db=snr_db, sounds=sounds))
    return mixtures, missing


def _fan(n_samples: int, rng: np.random.Generator) -> F64:
    return fan(n_samples, SAMPLE_RATE_HZ, rng)


def _babble(n_samples: int, rng: np.random.Generator) -> F64:
    """Seven voices at once: the demonstration's from other places, higher, lower, faster and slower."""
    speech = read_mono(CLIP)
    total = np.zeros(n_samples)
    for speed in rng.uniform(0.82, 1.22, 7):
        at = rng.uniform(0, speech.size) + speed * np.arange(n_samples)
        total += np.interp(at % (speech.size - 1), np.arange(speech.size), speech)
    return total


def _keyboard(n_samples: int, rng: np.random.Generator) -> F64:
    """Keystrokes, each a click as it goes down and a weaker one as it comes up, above faint air."""
    total = 0.02 * rng.standard_normal(n_samples)
    at = 0.0
    while (at := at + rng.uniform(0.09, 0.28)) < n_samples / SAMPLE_RATE_HZ - 0.2:
        for later, level in ((0.0, 1.0), (rng.uniform(0.05, 0.09), 0.4)):
            length = round(0.03 * SAMPLE_RATE_HZ)
            times = np.arange(length) / SAMPLE_RATE_HZ
            click = rng.standard_normal(length) * np.exp(-times / 0.004)
            click += 0.6 * np.sin(2 * np.pi * rng.uniform(250, 900) * times) * np.exp(-times / 0.008)
            begin = round((at + later) * SAMPLE_RATE_HZ)
            total[begin : begin + length] += level * click[: n_samples - begin]
    return total


NOISES: dict[str, Callable[[int, np.random.Generator], F64]] = {
    "fan": _fan,
    "babble": _babble,
    "keyboard": _keyboard,
}


def encoded(signal: F32) -> bytes:
    """A clip as Opus in Ogg, some 32 kbit/s."""
    memory = io.BytesIO()
    clipped = np.clip(signal, -1.0, 1.0)
    soundfile.write(memory, clipped, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS", compression_level=0.9)
    return memory.getvalue()


def picture(mixture: Mixture) -> bytes:
    """Spectrograms of all clips of a mixture beside each other, on one scale, as WebP."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = make_figure(2.0 * len(mixture.sounds), 1.7)
    powers = {name: power_db(signal, SAMPLE_RATE_HZ) for name, signal in mixture.sounds.items()}
    top = max(float(power.max()) for power in powers.values())
    grid = figure.subplots(1, len(powers), squeeze=False, sharey=True)[0]
    for axes, (name, power) in zip(grid, powers.items(), strict=True):
        extent = (0.0, mixture.sounds[name].size / SAMPLE_RATE_HZ, 0.0, SAMPLE_RATE_HZ / 2000)
        look = {"origin": "lower", "aspect": "auto", "cmap": "magma", "extent": extent}
        axes.imshow(power.T, vmin=top - _RANGE_DB, vmax=top, **look)
        axes.set_title(_title(name), fontsize=9, pad=3)
        axes.tick_params(labelsize=7)
    grid[0].set_ylabel("kHz", fontsize=8)
    FigureCanvasAgg(figure)
    memory = io.BytesIO()
    figure.savefig(memory, format="webp", dpi=100, pil_kwargs={"quality": 55})
    return memory.getvalue()


def page(mixtures: Sequence[Mixture]) -> str:
    """One HTML file: for each mixture its spectrograms, and a player below each."""
    parts = []
    for mixture in mixtures:
        names = [escape(_title(name)) for name in mixture.sounds]
        sources = [_data("audio/ogg", encoded(signal)) for signal in mixture.sounds.values()]
        players = [
            f'<audio controls preload="metadata" aria-label="{name}" src="{source}"></audio>'
            for name, source in zip(names, sources, strict=True)
        ]
        cells = "".join(f"<div><b>{name}</b>{player}</div>" for name, player in zip(names, players, strict=True))
        title = escape(f"{mixture.noise}, {mixture.snr_db:g} dB")
        image = f'<img alt="Spectrograms: {title}" src="{_data("image/webp", picture(mixture))}">'
        parts.append(f'<article><h2>{title}</h2>{image}<div class="row">{cells}</div></article>')
    return html.document("rtdenoise: listening", "\n".join([_HEAD, *parts]), _STYLE)


_STYLE = """
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .5rem; }
.row div { display: flex; flex-direction: column; font-size: .85rem; }
audio { width: 100%; height: 2rem; }
"""
_HEAD = """<h1>Listening</h1>
<p>The same speech in noise, and what each system makes of it.  The voices are eSpeak NG's, the noises are computed:
all of it may be copied.  Spectrograms are in the order of the players, 0 to 8 kHz.</p>"""


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _title(name: str) -> str:
    return TITLES.get(name, name)


def write_docs(mixtures: Sequence[Mixture], path: Path, audio: Path) -> None:
    """Write clips and pictures into a folder beside a page, and the table of links to them into the page."""
    audio.mkdir(exist_ok=True)
    for old in (*audio.glob("*.ogg"), *audio.glob("*.webp")):
        old.unlink()
    parts = []
    for mixture in mixtures:
        links = []
        for name, signal in mixture.sounds.items():
            file = f"{mixture.stem}-{_title(name).lower().replace(' ', '-')}.ogg"
            (audio / file).write_bytes(encoded(signal))
            links.append(f"[play]({audio.name}/{file})")
        shown = f"{audio.name}/{mixture.stem}.webp"
        (audio / f"{mixture.stem}.webp").write_bytes(picture(mixture))
        title = f"{mixture.noise}, {mixture.snr_db:g} dB"
        table = markdown_table([_title(name) for name in mixture.sounds], [links]).replace("---:", "---")
        parts.append(f"### {title}\n\n![Spectrograms: {title}]({shown})\n\n{table}\n")
    text = path.read_text(encoding="utf-8")
    made = "\n".join(parts)
    path.write_text(MARKED.sub(lambda found: f"{found[1]}\n{made}\n{found[3]}", text), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
