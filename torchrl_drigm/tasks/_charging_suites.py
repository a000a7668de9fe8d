"""Suites of EV charging: periods of one site, and another site. Days are those of a period, from 0.

Trained are May to July 2019 at Caltech. In spring 2020 nearly nobody came, and in summer 2021 a
third of those before; at JPL twice as many come to as many stations.
"""

from __future__ import annotations

from typing import Any

from torchrl_drigm._garages import PERIODS
from torchrl_drigm.tasks.suites import VALIDATION

__all__ = ["CHARGING_SUITES", "TRAINED_DAYS", "TRAINED_GARAGE"]

Shifts = list[dict[str, Any]]

TRAINED_GARAGE = ("caltech", "Summer 2019")
TRAINED_DAYS = (0, 92)
AUGUST = (92, 123)  # of a summer: neither trained in nor reported, to choose ρ or a discount in
LABELS = {"caltech": "Caltech", "jpl": "JPL"}


def _shift(site: str, period: str, days: tuple[int, int]) -> dict[str, Any]:
    month = "August 2019" if days == AUGUST else period[0].lower() + period[1:]
    return {"name": f"{LABELS[site]} {month}", "site": site, "period": period, "days": days}


_NOMINAL = _shift(*TRAINED_GARAGE, TRAINED_DAYS)
_LATER = {period: (0, n_days) for period, n_days in list(PERIODS.items())[1:]}

#: Suites by name; the first shift of each is what was trained in.
CHARGING_SUITES: dict[str, Shifts] = {
    "period": [_NOMINAL, *(_shift("caltech", *later) for later in _LATER.items())],
    "site": [
        _NOMINAL,
        _shift("jpl", "Summer 2019", TRAINED_DAYS),
        *(_shift("jpl", *later) for later in _LATER.items()),
    ],
    VALIDATION: [_shift(site, "Summer 2019", AUGUST) for site in LABELS],
}
