"""How a method looks: the one place that every picture has its colours, markers and lines from.

Colour is the uncertainty set, the marker the mixer, and a line that is not solid tells two methods
of the same set and mixer apart, such as two sizes of a set. What is the mean over several seeds has
a thick line and filled markers, what is one seed a thin one and hollow markers.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

__all__ = [
    "BEST_DISCOUNT",
    "LINES",
    "MARKERS",
    "NEUTRAL",
    "OTHERS",
    "Look",
    "colour_of",
    "looks",
    "seeds_text",
]

# Okabe and Ito's palette, which colour-blind readers can tell apart; black is nominal training.
_SETS = {
    ("nominal", "none", "no uncertainty"): "#000000",
    ("tv", "total variation"): "#0072B2",
    ("contamination", "ρ-contamination"): "#E69F00",
    ("cvar",): "#D55E00",
    ("groupdr", "group_dr"): "#CC79A7",
    ("kl",): "#009E73",
    ("χ²", "chi2"): "#56B4E9",
}
#: For what is none of these: Paul Tol's muted colours, also for the colour-blind.
OTHERS = ("#882255", "#117733", "#332288", "#999933", "#44AA99", "#AA4499")
#: What is no method, such as a policy that does not learn, or a line of zero.
NEUTRAL = "#777777"
#: The best discount in hindsight, which is none that anybody could have chosen.
BEST_DISCOUNT = "best discount"

_OF_MIXERS = {"vdn": "o", "qmix": "s", "qtran": "^"}
MARKERS = ("D", "v", "P", "X", "*", "<", ">")
Line = str | tuple[int, tuple[float, ...]]
#: In the order in which they are taken.
LINES: tuple[Line, ...] = (
    *("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (9, 2))),
    *((0, (5, 1, 1, 1, 1, 1)), (0, (1, 3.5))),
)


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of a method.

    Args:
        colour (str): as ``"#0072B2"``.
        marker (str): as Matplotlib names it.
        line (str or tuple): a line style of Matplotlib.
    """

    colour: str
    marker: str
    line: Line = "-"

    def style(self, n_seeds: int = 2) -> dict[str, Any]:
        """Arguments of Matplotlib's ``plot`` and ``errorbar``.

        Args:
            n_seeds: how many seeds a line is the mean over; one is drawn thin and hollow.

        Examples:
            >>> mean, one = (Look("#0072B2", "s").style(n) for n in (3, 1))
            >>> mean["lw"] > one["lw"], mean["mfc"], one["mfc"]
            (True, '#0072B2', 'white')
        """
        one = n_seeds == 1
        return {
            "color": self.colour,
            "marker": self.marker,
            "ls": self.line,
            "lw": 0.9 if one else 1.8,
            "ms": 4.5,
            "mfc": "white" if one else self.colour,
        }


def colour_of(label: str) -> str:
    """The colour of a method, whatever picture it is in.

    Args:
        label: the method, such as "TV QMIX, ρ = 0.1", or the name or label of its set. What is no
            set of the package has one of :data:`OTHERS`, always the same one.

    Examples:
        >>> colour_of("TV QMIX, ρ = 0.1") == colour_of("tv") == colour_of("TV MyMixer")
        True
        >>> colour_of("my rule") == colour_of("my rule (3 seeds)")
        True
    """
    if label.startswith(BEST_DISCOUNT):
        return NEUTRAL
    own, _ = _parts(label)
    for names, colour in _SETS.items():
        if own.lower() in names:
            return colour
    return OTHERS[zlib.crc32(own.encode()) % len(OTHERS)]


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Looks of the methods of one picture, no two the same.

    The colour is that of :func:`colour_of`. The marker is that of the mixer; the second and
    further methods with both in common have other lines and markers.

    Args:
        labels: the methods, in the order of the legend.

    Examples:
        >>> found = looks(["TV QMIX, ρ = 0.1", "TV QMIX, ρ = 0.3", "TV VDN, ρ = 0.1"])
        >>> len({look.colour for look in found.values()}), len(set(found.values()))
        (1, 3)
        >>> [look.marker for look in found.values()]
        ['s', 'D', 'o']
    """
    found: dict[str, Look] = {}
    for label in dict.fromkeys(labels):
        colour = colour_of(label)
        mixer = _parts(label)[1]
        marker = _OF_MIXERS.get(mixer, "p" if mixer else "o")
        line: Line = "--" if label.startswith(BEST_DISCOUNT) else LINES[0]
        taken = set(found.values())
        free = (Look(colour, m, ls) for ls, m in zip(LINES[1:], MARKERS, strict=False))
        more = (Look(colour, m, ls) for m, ls in product(MARKERS, LINES))
        every = (Look(colour, marker, line), *free, *more)
        found[label] = next((look for look in every if look not in taken), every[0])
    return found


def seeds_text(*counts: int) -> str:
    """How many seeds a line has, for the legend; of one seed there is no error to draw.

    Examples:
        >>> seeds_text(3), seeds_text(1), seeds_text(2, 3)
        ('3 seeds', '1 seed: no error', '2 to 3 seeds')
    """
    low, high = min(counts), max(counts)
    if low < high:
        return f"{low} to {high} seeds{': no error bar for 1' if low == 1 else ''}"
    return "1 seed: no error" if low == 1 else f"{low} seeds"


def _parts(label: str) -> tuple[str, str]:
    """The set and the mixer that a label begins with.

    Examples:
        >>> _parts("TV QMIX, ρ = 0.1"), _parts("total variation"), _parts("VDN (2 seeds)")
        (('TV', 'qmix'), ('total variation', ''), ('VDN', 'vdn'))
        >>> _parts("nominal MyMixer")
        ('nominal', 'mymixer')
    """
    family = label.partition(",")[0].partition(" (")[0].strip()
    own, _, last = family.rpartition(" ")
    if last.lower() not in _OF_MIXERS and not any(own.lower() in names for names in _SETS):
        return family, ""
    return own or family, last.lower()
