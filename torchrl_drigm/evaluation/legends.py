"""Legends that are whole: below the picture, as wide as it is, with a line on what is drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import Container
from matplotlib.figure import Figure

__all__ = ["legend_below", "named_handles"]

_SIZE = 9
_LETTERS = 14  # of this size, in an inch


def legend_below(
    figure: Figure, handles: Sequence[Artist | Container], note: str, size: int = _SIZE
) -> None:
    """A legend below the axes, in as many columns as the figure has room for.

    The figure becomes higher by what the legend takes, and wider where one name is too long.

    Args:
        figure (Figure): with the layout ``"constrained"``.
        handles (sequence of Artist): what is named, each with a label.
        note (str): what lines, bands, bars and dots are; stands above the names.
        size (int): of the letters, in points.
    """
    FigureCanvasAgg(figure)
    room = 0.97
    width = figure.get_figwidth()
    title = textwrap.fill(note, int(width * _LETTERS * _SIZE / size))
    look = {"loc": "outside lower center", "frameon": False, "fontsize": size}
    for columns in range(max(1, min(len(handles), 4)), 0, -1):
        legend = figure.legend(
            handles=list(handles), ncols=columns, title=title, title_fontsize=size, **look
        )
        box = legend.get_window_extent()
        if box.width <= room * figure.bbox.width or columns == 1:
            break
        legend.remove()
    if box.width > room * figure.bbox.width:
        figure.set_figwidth(box.width / room / figure.dpi)
    figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)


def named_handles(figure: Figure) -> list[Artist | Container]:
    """What has a label in any of the panels, each label once; means with error bars come first."""
    found: dict[str, Artist | Container] = {}
    for panel in figure.axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return sorted(found.values(), key=lambda handle: not isinstance(handle, Container))
