"""The icon of each state, in the program's shapes; without colours, too, they differ in brightness and in shape."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

from rtdenoise.tray.shown import LIVE, NONE, ORIGINAL

_SIDE, _FINER = 64, 4  # drawn larger and scaled down: Pillow draws without anti-aliasing


@dataclass(frozen=True, slots=True)
class _Look:
    """Colours; whether the microphone is filled, and whether noise is around it."""

    plate: str
    microphone: str
    filled: bool
    noisy: bool


_LOOKS = {
    LIVE: _Look("#00796b", "#ffffff", filled=True, noisy=False),
    ORIGINAL: _Look("#f5f5f5", "#00251f", filled=True, noisy=True),
    NONE: _Look("#9e9e9e", "#5a5a5a", filled=False, noisy=False),
}
_NOISE = ((11, 17), (17, 11), (10, 30), (53, 17), (47, 11), (54, 30), (12, 46), (52, 46))


def picture(state: str) -> Image.Image:
    """RGBA, 64 by 64 pixels; opaque where the plate is, since some trays ignore what lets others shine through."""
    look = _LOOKS[state]
    image = Image.new("RGBA", (_SIDE * _FINER, _SIDE * _FINER))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle(_scaled(2, 2, 62, 62), 14 * _FINER, look.plate)
    if look.filled:
        draw.rounded_rectangle(_scaled(25, 10, 39, 37), 7 * _FINER, look.microphone)
    else:
        draw.rounded_rectangle(_scaled(25, 10, 39, 37), 7 * _FINER, outline=look.microphone, width=3 * _FINER)
    draw.arc(_scaled(16, 15, 48, 47), 0, 180, look.microphone, 4 * _FINER)
    draw.rectangle(_scaled(30, 45, 34, 53), look.microphone)
    draw.rounded_rectangle(_scaled(22, 51, 42, 55), 2 * _FINER, look.microphone)
    for x, y in _NOISE if look.noisy else ():
        draw.ellipse(_scaled(x - 3, y - 3, x + 3, y + 3), look.microphone)
    return image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)


def _scaled(*corners: int) -> list[int]:
    return [corner * _FINER for corner in corners]
