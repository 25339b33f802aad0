"""Shared style of all report figures: colours, size and format."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rtdenoise.disk.atomic import written
from rtdenoise.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe & Ito: distinguishable with colour-vision deficiency."""

NO_PICTURES = "pictures need matplotlib: pip install 'rtdenoise[plots]'"


def can_draw() -> bool:
    """Whether matplotlib is available."""
    return find_spec("matplotlib") is not None


def require_drawing() -> None:
    """Raise if figures were requested and cannot be drawn.

    Raises
    ------
    MissingExtraError
    """
    if not can_draw():
        raise MissingExtraError(NO_PICTURES)


def make_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: Path) -> None:
    """Write it as PNG, atomically.

    Raises
    ------
    AudioFileError
        If it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with written(path) as file:
        figure.savefig(file, format="png", dpi=110)
