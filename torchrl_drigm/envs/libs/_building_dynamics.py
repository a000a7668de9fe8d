"""How a building's temperatures follow from the weather and from what its agents do.

Axes: ``B`` copies of the environment, ``N`` zones, ``n`` agents, ``i`` inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchrl_drigm.envs._seeded import SeededEnv
from torchrl_drigm.envs.libs._building_weather import RandomWeather

__all__ = ["BuildingDynamics"]


class BuildingDynamics(SeededEnv):
    """The physics of :class:`SustainGymEnv`, which sets what is named here."""

    n_agents: int
    zones: tuple[str, ...]
    heated: Tensor
    random_weather: RandomWeather | None
    _transition: Tensor  # of a BuildingModel
    _weather: Tensor
    _sample: Tensor  # row of the weather table that the next step takes
    _temperature: Tensor  # [B, N]

    @property
    def action_effect(self) -> Tensor:
        """``[B, N, n]``: how many °C one unit of each agent's action adds to each zone next.

        The next temperatures are ``passive_temperature() + action_effect @ a``.
        """
        effect = self._transition[..., len(self.zones) + 4 :, :].mT
        return effect.expand(*self.batch_size, len(self.zones), self.n_agents)

    def passive_temperature(self) -> Tensor:
        """``[B, N]``: the zone temperatures (°C) after the next step if no agent acts.

        Example:
            >>> from torchrl_drigm.envs import SustainGymEnv
            >>> env = SustainGymEnv(seed=0)
            >>> td = env.rand_step(env.reset())
            >>> idle, effect = env.passive_temperature(), env.action_effect
            >>> td = env.rand_step(td["next"].clone())
            >>> power = (2 * td["agents", "action"] - 200) / 200
            >>> reached = idle + (effect @ power[..., None])[..., 0]
            >>> torch.allclose(td["next", "state"][:, :6], reached)
            True
        """
        inputs = torch.cat([self._temperature, *self._surroundings()], -1)
        return self._apply_physics(inputs, self._transition[..., : len(self.zones) + 4, :])

    def _surroundings(self) -> tuple[Tensor, Tensor]:
        """Of the next step: ``[B, 3]`` outdoor °C, ground °C and GHI; ``[B, 1]`` occupancy kW."""
        weather = self._weather.index_select(0, self._sample)
        given, constant, linear, quadratic = weather.split((3, 1, 1, 1), -1)
        if self.random_weather is not None:
            given = self.random_weather.disturb(given, self._noise)
        total = self._temperature.sum(-1, keepdim=True)
        return given, torch.addcmul(constant, total, torch.addcmul(linear, total, quadratic))

    @staticmethod
    def _apply_physics(inputs: Tensor, matrix: Tensor) -> Tensor:
        """``[B, i]`` by ``[i, N]``, shared by all copies, or ``[B, i, N]``, one per copy."""
        if matrix.ndim == 2:
            return inputs @ matrix
        return torch.bmm(inputs.unsqueeze(1), matrix).squeeze(1)

    def _of_agents(self, values: Tensor) -> Tensor:
        """``[B, N]`` to ``[B, n]``; all of it, without a copy, where every zone has an agent."""
        every = len(self.zones) == self.n_agents
        return values if every else values.index_select(-1, self.heated)
