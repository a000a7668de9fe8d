"""What agents see of SustainGym's environments, one class for each kind. Axis: ``n`` agents."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["AnyView", "BuildingView", "ChargingView", "view_of"]

BUILDING = "sustaingym.envs.building", "MultiAgentBuildingEnv"
CHARGING = "sustaingym.envs.evcharging", "MultiAgentEVChargingEnv"


class AnyView:
    """Observations as they are; the state is the environment's, or all of them side by side.

    Attributes:
        names: of the agents.
        keys: by which a step looks up their actions.
        days: number of days that a reset can set; ``None`` if there is no such thing.
    """

    days: int | None = None

    def __init__(self, env: Any, observation_space: Any) -> None:
        self._env = env
        self._space = observation_space
        self.names = list(env.possible_agents)
        self.keys: list[Any] = self.names

    def read(self, observations: dict) -> tuple[NDArray, NDArray]:
        """What each agent sees, ``[n, F]``, and the state, ``[S]``."""
        from gymnasium.spaces import flatten

        seen = np.stack([flatten(self._space, observations[name]) for name in self.names])
        try:
            return seen, self._env.state()
        except NotImplementedError:
            return seen, seen.flatten()


class BuildingView(AnyView):
    """An agent's own zone and what all share; SustainGym shows everyone the whole state."""

    days = 365

    def __init__(self, env: Any, observation_space: Any) -> None:
        super().__init__(env, observation_space)
        # by position, not by name; the two differ where a zone has no unit
        self.keys = list(range(len(self.names)))

    def read(self, observations: dict) -> tuple[NDArray, NDArray]:
        """Zone, outdoor, ground, irradiance and occupancy; all zones, and these four."""
        state = self._env.state()
        return np.stack([np.concatenate([state[[zone]], state[-4:]]) for zone in self.names]), state


class ChargingView(AnyView):
    """An agent's own station and what all share; SustainGym shows everyone all stations.

    With ``periods_delay`` it shows other stations late: these are seen in the state alone here,
    as they are.
    """

    def __init__(self, env: Any, observation_space: Any) -> None:
        super().__init__(env, observation_space)
        generator = env.single_env.data_generator
        if getattr(generator, "sequential", False):  # elsewhere a seed is no day
            self.days = generator.num_days_in_date_range

    def read(self, observations: dict) -> tuple[NDArray, NDArray]:
        """Steps to departure, kWh, and the shared ones; these two of all stations, and these."""
        now = self._env.single_env.unwrapped._get_observation()
        own = np.stack([now["est_departures"], now["demands"]], -1)
        shared = np.concatenate([now["timestep"], now["prev_moer"], now["forecasted_moer"]])
        seen = np.concatenate([own, np.tile(shared, (len(own), 1))], -1)
        return seen, np.concatenate([own.T.flatten(), shared])


def view_of(env: Any, observation_space: Any) -> AnyView:
    """The view for an environment, which imports none: each kind needs another extra.

    Args:
        env: a PettingZoo ``ParallelEnv``.
        observation_space: of each of its agents.
    """
    for (module, name), view in {BUILDING: BuildingView, CHARGING: ChargingView}.items():
        # what was never imported has no instances
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(env, kind):
            return view(env, observation_space)
    return AnyView(env, observation_space)
