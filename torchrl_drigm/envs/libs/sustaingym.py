"""SustainGym's multi-agent environments: buildings in batches, and a wrapper around any of them.

Axes: ``B`` copies of the environment (``num_envs``), ``N`` zones, ``n`` agents, one for each zone
with a heater. By default that is every zone.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from torchrl_drigm.envs.libs._building import load_building
from torchrl_drigm.envs.libs._building_checks import (
    DAYS_PER_YEAR,
    check_at_least,
    check_days,
    check_option,
    require_sustaingym,
)
from torchrl_drigm.envs.libs._building_climates import check_climates
from torchrl_drigm.envs.libs._building_dynamics import BuildingDynamics
from torchrl_drigm.envs.libs._building_failures import HeaterFailures
from torchrl_drigm.envs.libs._building_file import check_building
from torchrl_drigm.envs.libs._building_parameters import BuildingParameters
from torchrl_drigm.envs.libs._building_physics import BuildingPhysics
from torchrl_drigm.envs.libs._building_specs import building_specs
from torchrl_drigm.envs.libs._building_weather import RandomWeather
from torchrl_drigm.envs.libs._reset_checks import check_chosen
from torchrl_drigm.envs.libs._sustaingym_wrapper import SustainGymWrapper

__all__ = [
    "BuildingParameters",
    "BuildingPhysics",
    "HeaterFailures",
    "RandomWeather",
    "SustainGymEnv",
    "SustainGymWrapper",
]


class SustainGymEnv(BuildingDynamics):
    """Many copies of SustainGym's ``BuildingEnv``, stepped at once in torch on any device.

    One agent heats or cools one zone of a building (Sec. F.1 of the paper). An episode is a day
    of 288 five-minute steps. Physics, weather and reward are read off the installed
    ``sustaingym``, whose own ``step`` this class follows, its lag included: an observation
    holds the weather of the step just taken. Each copy has its own climate and day.

    Keys, all floating point in float32:

    - ``("agents", "observation")`` ``[B, n, 5]``: own zone °C, outdoor °C, ground °C, global
      horizontal irradiance in [0, 1], occupancy heat kW.
    - ``"state"`` ``[B, N + 4]``: all zones °C, then the last four features above.
      With ``failures`` that are ``observed`` an observation ends with one feature more, what is
      left of its heater's time out of order, and a state with ``n`` more.
    - ``("agents", "action")`` ``[B, n]`` int64: level ``k`` of ``L = n_action_levels`` is the
      power ``a = (2 k - L) / L`` (heating where positive) as a fraction of the unit's maximum.
    - ``"reward"`` ``[B, 1]``: the team's, ``n`` times that of each agent, which is
      ``-(24 (1 - β) ||a||_p + β ||X' - target||_p)``, where ``β = 0.999`` and ``p = 2``.
    - ``"done"``, ``"truncated"``, ``"terminated"`` ``[B, 1]``: the end of the day is a
      truncation; nothing terminates. A copy stepped on after it stays truncated, under the
      weather of that moment.

    A reset starts each copy in a climate and on a day drawn uniformly from ``climates`` and
    ``days``; ``reset(TensorDict({"day": ..., "climate": ...}, [B]))`` sets either, or both, as
    int64 ``[B]`` or ``[B, 1]``: any day of the year, and indices into ``climates``. Under a
    ``TransformedEnv``, which hands down no such entries, pass them as keywords:
    ``reset(day=..., climate=...)``. Rollouts and collectors reset by themselves without these
    entries, hence at random. The state dict holds the state of the copies and of the random
    generator, so a checkpoint resumes exactly.

    Args:
        env_name: ``"building"``. SustainGym's other environments go into
            :class:`SustainGymWrapper`.
        building: one of SustainGym's buildings, of 3 to 118 zones, or a building file of your own,
            which needs ``U_Wall``; OfficeSmall has 6 zones.
        climates: (weather, location) pairs, each once. The weather is one of SustainGym's names or
            an ``.epw`` file of your own: 8,760 hourly rows in local standard time. The location,
            which is the ground's, is one of SustainGym's names or one in ``ground_temp``.
        days: half-open range ``(lo, hi)`` of days of the year, from 0.
        n_action_levels: size of each agent's action grid, 200 in SustainGym.
        num_envs: number of copies, ``B``.
        wrap_days: accept days from 365 on, and take them modulo 365. SustainGym 0.1.7 clips
            them all to one single episode; 0.1.6 took them modulo 364.
        failures: how heaters fail, a :class:`HeaterFailures` or its fields; ``None``: never.
        random_weather: how the weather strays from the files, a :class:`RandomWeather` or its
            fields; ``None``: not at all.
        physics: how the building differs from SustainGym's, a :class:`BuildingPhysics` or its
            fields; ``None``: not at all.
        **parameters: what else SustainGym's ``ParameterGenerator`` takes, the fields of
            :class:`BuildingParameters`: ``target``, ``max_power``, ``ac_map``, ``reward_beta``,
            ``reward_pnorm``, ``time_res``, ``ground_temp`` and others.
        seed: seed of all that is random; drawn from torch's generator if ``None``.
        device: where the copies live. Random numbers are drawn on the CPU, so that a seed means
            the same episodes on every device.

    Attributes:
        day: ``[B]`` int64, the day that each copy is in.
        climate: ``[B]`` int64, the index of each copy's climate.
        target: ``[n]``, set points of the agents' zones in °C.
        zones: names of all zones, in the order of the state.
        heated: ``[n]`` int64, the zone of each agent.
        building_parameters: a :class:`BuildingParameters`.
        steps_left: ``[B, n]`` int64, steps that each heater stays out of order; with ``failures``.

    Raises:
        ImportError: SustainGym is not installed.
        FileNotFoundError: there is no such weather or building file.
        ValueError: a file is not what SustainGym can read as such, or an argument, or an entry of
            a reset, is out of its range.

    Example:
        >>> from tensordict import TensorDict
        >>> env = SustainGymEnv("building", climates=[("Hot_Dry", "Tucson")], num_envs=2, seed=0)
        >>> td = env.reset(TensorDict({"day": torch.tensor([0, 180])}, [2]))
        >>> td["agents", "observation"][:, 0]
        tensor([[22.0000,  5.6000, 20.9000,  0.0000, -0.0786],
                [22.0000, 31.5000, 15.4000,  0.0000, -0.0786]])
        >>> env.rollout(3)["next", "reward"].shape
        torch.Size([2, 3, 1])
    """

    def __init__(
        self,
        env_name: str = "building",
        *,
        building: str = "OfficeSmall",
        climates: Sequence[tuple[str, str]] = (("Hot_Dry", "Tucson"),),
        days: tuple[int, int] = (0, 200),
        n_action_levels: int = 200,
        num_envs: int = 1,
        wrap_days: bool = False,
        failures: HeaterFailures | Mapping[str, Any] | None = None,
        random_weather: RandomWeather | Mapping[str, Any] | None = None,
        physics: BuildingPhysics | Mapping[str, Any] | None = None,
        seed: int | None = None,
        device: torch.device | str | int | None = None,
        **parameters: Any,
    ) -> None:
        require_sustaingym("SustainGymEnv", "pvlib")
        if env_name != "building":
            raise ValueError(
                f"env_name={env_name!r} must be 'building'; "
                "SustainGymWrapper takes SustainGym's other multi-agent environments."
            )
        check_at_least("n_action_levels", n_action_levels, 2)
        check_at_least("num_envs", num_envs, 1)
        check_days(days, wrap_days)
        if unknown := sorted(set(parameters) - set(BuildingParameters.names())):
            raise TypeError(
                f"SustainGymEnv got an unexpected keyword argument {unknown[0]!r}. Those of a "
                f"building are {', '.join(BuildingParameters.names())}."
            )
        own = BuildingParameters(**parameters)
        check_building(building, own)
        check_climates(climates, own)
        failures = check_option("failures", HeaterFailures, failures)
        random_weather = check_option("random_weather", RandomWeather, random_weather)
        physics = check_option("physics", BuildingPhysics, physics)
        super().__init__(device=device, batch_size=[num_envs])

        models = [load_building(building, *climate, physics, own) for climate in climates]
        first = models[0]
        self.building = building
        self.climates = [tuple(climate) for climate in climates]
        self.days = tuple(days)
        self.wrap_days = wrap_days
        self.n_action_levels = n_action_levels
        self.failures = failures
        self.random_weather = random_weather
        self.physics = physics
        self.building_parameters = own  # nn.Module has parameters of its own
        self.zones = first.zones
        self.n_agents = n = len(first.heated)
        n_zones = len(first.zones)
        # The team's reward is the sum of n equal ones.
        self._power_weight = -self.n_agents * first.power_weight
        self._comfort_weight = -self.n_agents * first.comfort_weight
        self._norm = first.norm
        self._day_length = first.day_length
        self._samples = len(first.weather)

        # State columns that each agent sees: its own zone, the four shared features, and, where it
        # shows, its own heater.
        seen = [first.heated[:, None], (n_zones + torch.arange(4)).expand(n, 4)]
        if failures is not None and failures.observed:
            seen.append(n_zones + 4 + torch.arange(n)[:, None])
        seen = torch.cat(seen, -1)
        n_features = seen.shape[-1]
        constants = {
            "target": first.target[first.heated],
            "heated": first.heated,
            "_start": first.target,
            "_lowest_action": torch.tensor(-1.0),
            "_first_sample": first.first_sample,
            "_weather": torch.cat([model.weather for model in models]),
            "_physics": torch.stack([model.transition for model in models]),
            "_transition": first.transition,
            "_seen": seen.flatten(),
        }
        zeros = torch.zeros(num_envs, dtype=torch.long)
        episode = {
            "day": zeros,
            "climate": zeros,
            "_sample": zeros,  # row of the weather table that the next step takes
            "_last_sample": zeros + self._day_length,
            "_temperature": first.target.expand(num_envs, -1),  # of all zones
        }
        if failures is not None:
            episode["steps_left"] = torch.zeros(num_envs, n, dtype=torch.long)
        if random_weather is not None:
            episode["_noise"] = torch.zeros(num_envs, 2)  # of the weather of the next step
        for name, value in constants.items():
            self.register_buffer(name, value.to(self.device), persistent=False)
        for name, value in episode.items():
            self.register_buffer(name, value.clone().to(self.device))
        self._episode = tuple(episode)

        specs = building_specs(
            num_envs,
            n,
            n_features,
            n_zones + 4 + n * (n_features - 5),
            n_action_levels,
            self.device,
        )
        for name, spec in specs.items():
            setattr(self, name, spec)
        self.set_seed(seed)

    def _observe(self, *state: Tensor) -> dict[str, Tensor | TensorDict]:
        if self.failures is not None and self.failures.observed:
            state = (*state, self.steps_left / self.failures.steps)
        state = torch.cat(state, -1)
        seen = state.index_select(-1, self._seen).view(*self.batch_size, self.n_agents, -1)
        agents = TensorDict(
            {"observation": seen}, (*self.batch_size, self.n_agents), device=self.device
        )
        return {"agents": agents, "state": state}

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        levels = tensordict.get(("agents", "action"))
        power = torch.add(self._lowest_action, levels, alpha=2 / self.n_action_levels)
        if self.failures is not None:
            power = torch.where(self.steps_left > 0, 0.0, power)
            uniform = self._random(torch.rand, self.n_agents)
            self.steps_left = self.failures.next_steps_left(self.steps_left, power, uniform)
        surroundings = self._surroundings()
        inputs = torch.cat([self._temperature, *surroundings, power], -1)
        temperature = self._apply_physics(inputs, self._transition)

        effort = torch.linalg.vector_norm(power, self._norm, -1, keepdim=True)
        error = self._of_agents(temperature) - self.target
        discomfort = torch.linalg.vector_norm(error, self._norm, -1, keepdim=True)
        reward = torch.add(self._comfort_weight * discomfort, effort, alpha=self._power_weight)

        self._temperature = temperature
        if self.random_weather is not None:
            self._noise = self.random_weather.next_noise(
                self._noise, self._random(torch.randn, 2), self.building_parameters.time_res
            )
        self._sample = torch.minimum(self._sample + 1, self._last_sample)
        truncated = (self._sample == self._last_sample).unsqueeze(-1)
        return TensorDict(
            {
                **self._observe(temperature, *surroundings),
                "reward": reward,
                "done": truncated.clone(),
                "terminated": torch.zeros_like(truncated),
                "truncated": truncated,
            },
            self.batch_size,
            device=self.device,
        )

    def _reset(
        self,
        tensordict: TensorDictBase | None = None,
        *,
        day: Tensor | None = None,
        climate: Tensor | None = None,
        **kwargs,
    ) -> TensorDictBase:
        reset = None if tensordict is None else tensordict.get("_reset", None)
        reset = torch.ones_like(self.day, dtype=torch.bool) if reset is None else reset.flatten()
        if tensordict is not None:
            day = tensordict.get("day", day)
            climate = tensordict.get("climate", climate)
        if day is None:
            day = self._draw(*self.days)
        else:
            bound = None if self.wrap_days else DAYS_PER_YEAR
            day = check_chosen("day", day, reset, bound).to(self.day)
        if climate is None:
            climate = self._draw(0, len(self.climates))
        else:
            climate = check_chosen("climate", climate, reset, len(self.climates)).to(self.day)

        self.day = torch.where(reset, day % DAYS_PER_YEAR, self.day)
        self.climate = torch.where(reset, climate, self.climate)
        first = self._first_sample[self.day] + self._samples * self.climate
        self._sample = torch.where(reset, first, self._sample)
        self._last_sample = first + self._day_length
        self._temperature = torch.where(reset[:, None], self._start, self._temperature)
        if self.failures is not None:
            self.steps_left = torch.where(reset[:, None], 0, self.steps_left)
        if self.random_weather is not None:
            noise = self._random(torch.randn, 2)
            self._noise = torch.where(reset[:, None], noise, self._noise)
        self._has_moved()

        done = torch.zeros_like(reset).unsqueeze(-1)
        return TensorDict(
            {
                **self._observe(self._temperature, *self._surroundings()),
                "done": done,
                "terminated": done.clone(),
                "truncated": done.clone(),
            },
            self.batch_size,
            device=self.device,
        )

    def _draw(self, low: int, high: int) -> Tensor:
        return self._random(partial(torch.randint, low, high))

    def _has_moved(self) -> None:
        # With one climate all copies share one matrix, and a step is one plain product.
        if len(self.climates) > 1:
            self._transition = self._physics[self.climate]
