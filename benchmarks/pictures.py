"""The pictures of the documentation: the screen and panel of live audio, a picture of a file, a page of an evaluation.

    python -m benchmarks.pictures                    # docs/pictures anew, and docs/demo.png
    python -m benchmarks.pictures --only live,methods

*live* and *panel* are real sessions on a virtual sound card (`tests/virtual_card/install`), *panel* and *evaluate*
screenshots of pages in Chromium (packages playwright and chromium); what a machine lacks is named and left as it is.
Everything shown is the demonstration's clip in noises of `benchmarks/listening.py`, so that it may be published.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from rich.console import Console, RenderableType
from rich.text import Text

from benchmarks.listening import CLIP, NOISES, ROOT
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ, mix_at_snr, read_mono
from rtdenoise.rates import resample
from rtdenoise.typing import F32

PICTURES = ROOT / "docs" / "pictures"
_SECONDS, _LEVEL_DB = 4.5, -26.0
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the pictures; exit code 1 if one of them could not be made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(MAKERS), help="default: %(default)s")
    parser.add_argument("--to", type=Path, default=PICTURES, help="folder (default docs/pictures)")
    options = parser.parse_args(arguments)
    names = options.only.split(",")
    if unknown := set(names) - set(MAKERS):
        parser.error(f"--only {', '.join(sorted(unknown))}: known are {', '.join(MAKERS)}")
    options.to.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in names:
        with tempfile.TemporaryDirectory() as work:
            try:
                print(MAKERS[name](options.to, Path(work)))
            except (ImportError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
                print(f"pictures: {name} left as it is: {error}", file=sys.stderr)
                failed = 1
    return failed


def noisy(noise: str, snr_db: float) -> tuple[F32, F32]:
    """Some seconds of the demonstration's clip, clean and in noise, at 16 kHz."""
    clean = read_mono(CLIP)[: round(_SECONDS * SAMPLE_RATE_HZ)]
    disturbance = NOISES[noise](clean.size, np.random.default_rng(7))
    return mix_at_snr(clean, disturbance, snr_db, _LEVEL_DB)


def live(to: Path, work: Path) -> Path:
    """The screen of a session with WF, ten seconds after it began."""
    from benchmarks.live_sessions import card_of
    from rtdenoise.cli.live.screen import Screen
    from rtdenoise.live_audio.controls import Mark
    from rtdenoise.live_audio.ends.recorder import Recorder
    from tests.live.harness import plan, running

    _, heard = noisy("fan", 5.0)
    with card_of() as card:
        card.set_idle(resample(heard, SAMPLE_RATE_HZ, card.rate).astype(np.float32))
        with running(plan()) as runner:
            session = runner.session
            screen = Screen(session, lambda: None, Recorder(session, work, lambda _line: None), lambda: Mark(0.0, ""))
            try:
                until = time.monotonic() + 10.0
                while (now := time.monotonic()) < until:
                    screen.update(now)
                    time.sleep(0.05)
                drawn = screen.render()
            finally:
                screen.close()
    return terminal(drawn, "rtdenoise live", to / "live.svg", width=110)


def methods(to: Path, _work: Path) -> Path:
    """What `rtdenoise methods` lists, as far as the parameters."""
    text = rtdenoise("methods").partition("\n\nParameters")[0]
    return terminal(Text(text), "rtdenoise methods", to / "methods.svg", width=max(map(len, text.splitlines())) + 1)


def plot(to: Path, work: Path) -> Path:
    """What `--plot` draws of a file."""
    soundfile.write(work / "noisy.wav", noisy("keyboard", 5.0)[1], SAMPLE_RATE_HZ)
    rtdenoise("--input", str(work / "noisy.wav"), "--method", "CAN", "--plot")
    (drawn,) = work.glob("*.png")
    return as_webp(drawn, to / "plot.webp")


def demo(to: Path, work: Path) -> Path:
    """The picture of the README."""
    rtdenoise("demo", "--output", str(work / "demo"))
    target = to.parent / "demo.png"
    with _opened(work / "demo" / "demo.png") as image:
        image.convert("RGB").quantize(256).save(target, optimize=True)  # a third of the size
    return target


def evaluate(to: Path, work: Path) -> Path:
    """The top of the page that `rtdenoise evaluate` makes."""
    for noise in NOISES:
        for snr_db in (0.0, 10.0):
            for kind, samples in zip(("clean", "noisy"), noisy(noise, snr_db), strict=True):
                path = work / kind / noise / f"{noise}-{snr_db:g}dB.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, samples, SAMPLE_RATE_HZ)
    methods = [word for name in ("WF:quality", "CAN:can-small", "CAN:can-live") for word in ("-a", name)]
    folders = ["--clean", str(work / "clean"), "--noisy", str(work / "noisy"), "-o", str(work / "made")]
    rtdenoise("evaluate", *folders, *methods, "--no-dnsmos", "--no-cost", "--jobs", "1")
    photographed(work / "made" / "index.html", work / "page.png")
    return as_webp(work / "page.png", to / "evaluate.webp")


def panel(to: Path, work: Path) -> list[Path]:
    """The control panel of a session with WF, in light, in dark, and on a phone."""
    from benchmarks.live_sessions import card_of
    from tests.live.panels import browser, opened, until
    from tests.live.panels import panel as panel_of

    _, heard = noisy("fan", 5.0)
    sizes = {
        "panel": {"viewport": {"width": 1060, "height": 800}},
        "panel-dark": {"viewport": {"width": 1060, "height": 800}, "color_scheme": "dark"},
        "panel-phone": {"viewport": {"width": 360, "height": 1400}},
    }
    made = []
    kept = work / "config" / "rtdenoise" / "panel.json"
    kept.parent.mkdir(parents=True)
    choices = {"input": "mic:virtual_microphone", "output": "speaker:virtual_speaker"}
    kept.write_text(json.dumps({"choices": choices}), encoding="utf-8")
    os.environ["XDG_CONFIG_HOME"] = str(work / "config")
    with card_of() as card, panel_of(work / "live.sock", "--start", "--recordings", "takes") as found:
        card.set_idle(resample(heard, SAMPLE_RATE_HZ, card.rate).astype(np.float32))
        with browser() as chromium:
            for name, options in sizes.items():
                with opened(chromium, found.address, **options) as page:
                    until(lambda page=page: str(page.text_content("#state")).startswith("Live"), 300.0)
                    page.wait_for_timeout(12_000)
                    page.evaluate("recordings.textContent = 'Recordings go to ~/takes.'")
                    page.screenshot(path=str(work / f"{name}.png"), full_page=True)
                made.append(as_webp(work / f"{name}.png", to / f"{name}.webp"))
    return made


MAKERS = {"live": live, "methods": methods, "plot": plot, "demo": demo, "evaluate": evaluate, "panel": panel}


def rtdenoise(*words: str) -> str:
    """What the command line prints."""
    command, wide = [sys.executable, "-m", "rtdenoise", *words], os.environ | {"COLUMNS": "100"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=wide)
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1])
    return done.stdout


def terminal(content: RenderableType, title: str, to: Path, *, width: int) -> Path:
    """A terminal with this content as SVG, in fonts that the reader has."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(content)
    drawn = console.export_svg(title=title, unique_id=to.stem)
    drawn = _FONT_FACE.sub("", drawn).replace("Fira Code, monospace", "monospace")
    to.write_text(re.sub(r"[ \t]+$", "", drawn, flags=re.MULTILINE), encoding="utf-8")
    return to


def as_webp(source: Path, to: Path) -> Path:
    """A picture, smaller."""
    with _opened(source) as image:
        image.convert("RGB").save(to, "WEBP", quality=70)
    return to


def _opened(source: Path) -> Any:
    from PIL import Image  # comes with matplotlib

    return Image.open(source)


def photographed(page: Path, to: Path) -> None:
    """A page as Chromium shows it."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        raise RuntimeError("no Chromium: apt install chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        sheet = browser.new_page(viewport={"width": 1000, "height": 1100})
        sheet.goto(page.as_uri())
        sheet.screenshot(path=str(to))
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
