"""Reference policies for buildings: what no learning and what a perfect model achieve.

Axes: ``B`` copies of the environment, ``n`` zones, one agent each. Zone temperatures are read in
°C, so transforms that rescale observations must stay off the environment.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from torchrl_drigm.envs import SustainGymEnv

__all__ = [
    "REFERENCES",
    "DoNothing",
    "OneStepOracle",
    "ProportionalControl",
    "RandomPolicy",
    "ReferencePolicy",
    "power_to_level",
]


def power_to_level(power: Tensor, n_action_levels: int) -> Tensor:
    """The level of :class:`~torchrl_drigm.envs.SustainGymEnv`'s action grid nearest to a power.

    Level ``k`` of ``L`` is the power ``(2 k - L) / L``, so the highest is ``1 - 2 / L``.

    Args:
        power: any shape, in fractions of the unit's maximum; clamped to the grid.
        n_action_levels: ``L``.

    Returns:
        int64 of the same shape, in ``[0, L)``.

    Example:
        >>> power_to_level(torch.tensor([-7.0, -1.0, 0.0, 0.254, 1.0]), 200)
        tensor([  0,   0, 100, 125, 199])
    """
    level = ((power + 1) * (n_action_levels / 2)).round()
    return level.clamp(0, n_action_levels - 1).long()


class ReferencePolicy(TensorDictModuleBase):
    """Base of the policies below: acts once it knows its environment.

    Reads ``("agents", "observation")`` ``[B, n, F]``, zone °C first, and writes
    ``("agents", "action")`` ``[B, n]`` int64. Subclasses implement :meth:`act`.

    Raises:
        RuntimeError: called before :meth:`bind`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.in_keys = [("agents", "observation")]
        self.out_keys = [("agents", "action")]
        # Past nn.Module, which would make the environment a part of the policy.
        self.__dict__["env"] = None

    def bind(self, env: SustainGymEnv) -> None:
        """Tells the policy its environment; :func:`~torchrl_drigm.evaluation.evaluate` does."""
        self.__dict__["env"] = env

    def act(self, observation: Tensor) -> Tensor:
        """Levels int64 ``[B, n]`` for observations ``[B, n, F]``."""
        raise NotImplementedError

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Writes the action into the tensordict and returns it."""
        if self.env is None:
            raise RuntimeError(
                f"{type(self).__name__} does not know its environment: call bind(env) with the "
                "SustainGymEnv first, without its transforms."
            )
        return tensordict.set(self.out_keys[0], self.act(tensordict.get(self.in_keys[0])))


class DoNothing(ReferencePolicy):
    """Neither heats nor cools: the level nearest to power 0."""

    def act(self, observation: Tensor) -> Tensor:
        """Power 0 for every agent."""
        return power_to_level(torch.zeros_like(observation[..., 0]), self.env.n_action_levels)


class RandomPolicy(ReferencePolicy):
    """Levels drawn uniformly, from a generator of its own.

    Args:
        seed: of the generator, which starts again at every :meth:`bind`.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    def bind(self, env: SustainGymEnv) -> None:
        """Also starts the generator again."""
        super().bind(env)
        self._generator = torch.Generator().manual_seed(self.seed)

    def act(self, observation: Tensor) -> Tensor:
        """Uniform over the grid; drawn on the CPU, hence the same on every device."""
        shape = observation.shape[:-1]
        levels = torch.randint(self.env.n_action_levels, shape, generator=self._generator)
        return levels.to(observation.device)


class ProportionalControl(ReferencePolicy):
    """Each agent's power is proportional to the error of its own zone.

    Args:
        gain: power per °C.
        setpoint: °C. Default: each zone's own.

    Example:
        >>> from tensordict import TensorDict
        >>> env = SustainGymEnv("building", num_envs=1, seed=0)
        >>> policy = ProportionalControl()
        >>> policy.bind(env)
        >>> td = env.reset(TensorDict({"day": [10]}, [1]))
        >>> td["agents", "observation"][..., 0] = 20.0  # two degrees too cold: half power
        >>> policy(td)["agents", "action"]
        tensor([[150, 150, 150, 150, 150, 150]])
    """

    def __init__(self, gain: float = 0.25, setpoint: float | None = None) -> None:
        super().__init__()
        self.gain = gain
        self.setpoint = setpoint

    def act(self, observation: Tensor) -> Tensor:
        """``gain * (setpoint - zone temperature)``."""
        setpoint = self.env.target if self.setpoint is None else self.setpoint
        power = self.gain * (setpoint - observation[..., 0])
        return power_to_level(power, self.env.n_action_levels)


class OneStepOracle(ReferencePolicy):
    """Knows the physics and the next weather: the limit of what can be reached, in practice.

    Takes the joint power that would bring every agent's zone to its set point in one step, rounded
    to the grid. It centralises what the agents must find out separately and from their pasts.
    """

    def act(self, observation: Tensor) -> Tensor:
        """Solves ``passive_temperature + action_effect @ power = target`` in the agents' zones."""
        heated = self.env.heated
        missing = self.env.target - self.env.passive_temperature()[:, heated]  # [B, n] °C
        power = torch.linalg.solve(self.env.action_effect[:, heated], missing)
        return power_to_level(power, self.env.n_action_levels)


#: Reference policies by the name that tables and plots give them.
REFERENCES: dict[str, Callable[[], ReferencePolicy]] = {
    "do nothing": DoNothing,
    "random": RandomPolicy,
    "proportional control": ProportionalControl,
    "one-step oracle": OneStepOracle,
}
