"""Harvest, machines and drones as environments; their severity multiplies what may go wrong."""

from __future__ import annotations

import torch

from torchrl_drigm.envs.toy.dec_pomdp import DecPOMDPEnv

__all__ = ["DronesEnv", "HarvestEnv", "MachinesEnv"]


class HarvestEnv(DecPOMDPEnv):
    """Two agents bring in a harvest: :func:`torchrl_drigm.tabular.harvest`, with its rules.

    The keys are those of :class:`DecPOMDPEnv`. An episode has up to seven steps, the last of which
    pays.

    Args:
        severity (float): what the probability of being caught is multiplied by, in [0, 25].
        num_envs (int): number of copies.
        max_steps (int, optional): see :class:`DecPOMDPEnv`. Default: none.
        seed (int, optional): see :class:`DecPOMDPEnv`.
        device: see :class:`DecPOMDPEnv`.

    Raises:
        ValueError: for a severity out of range, and as :class:`DecPOMDPEnv` does.

    Examples:
        >>> env = HarvestEnv(severity=3.0, num_envs=1000, seed=0)
        >>> data = env.reset()
        >>> data["agents", "action"] = torch.ones(1000, 2, dtype=torch.int64)  # both hasty
        >>> env.step(data)["next", "terminated"].float().mean()  # about 1 - 0.88²
        tensor(0.2120)
    """

    def __init__(
        self,
        severity: float = 1.0,
        num_envs: int = 1,
        *,
        max_steps: int | None = None,
        seed: int | None = None,
        device: torch.device | str | int | None = None,
    ) -> None:
        from torchrl_drigm.tabular import harvest  # here, as it takes longer than all of this

        super().__init__(harvest(severity), num_envs, max_steps=max_steps, seed=seed, device=device)
        self.severity = severity


class MachinesEnv(DecPOMDPEnv):
    """Two machines to run or to maintain: :func:`torchrl_drigm.tabular.machines`, with its rules.

    The keys are those of :class:`DecPOMDPEnv`.

    Args:
        severity (float): what the probability of a failure is multiplied by, in [0, 12.5].
        num_envs (int): number of copies.
        cost_in_reward (bool): whether a failure is paid in the reward of its own step.
        max_steps (int, optional): steps after which an episode is truncated. Default: 100, when a
            reward counts ``0.9 ** 100 = 3e-5``.
        seed (int, optional): see :class:`DecPOMDPEnv`.
        device: see :class:`DecPOMDPEnv`.

    Raises:
        ValueError: for a severity out of range, and as :class:`DecPOMDPEnv` does.

    Examples:
        >>> env = MachinesEnv(num_envs=3, seed=0)
        >>> env.rollout(100)["next", "truncated"][:, -2:].squeeze(-1)
        tensor([[False,  True],
                [False,  True],
                [False,  True]])
    """

    def __init__(
        self,
        severity: float = 1.0,
        num_envs: int = 1,
        *,
        cost_in_reward: bool = False,
        max_steps: int | None = 100,
        seed: int | None = None,
        device: torch.device | str | int | None = None,
    ) -> None:
        from torchrl_drigm.tabular import machines

        model = machines(severity, cost_in_reward=cost_in_reward)
        super().__init__(model, num_envs, max_steps=max_steps, seed=seed, device=device)
        self.severity = severity


class DronesEnv(DecPOMDPEnv):
    """Two drones on patrol: :func:`torchrl_drigm.tabular.drones`, with its rules.

    The keys are those of :class:`DecPOMDPEnv`.

    Args:
        severity (float): what the probability of a gust is multiplied by, in [0, 25].
        num_envs (int): number of copies.
        max_steps (int, optional): steps after which an episode is truncated. Default: 300, when a
            reward counts ``0.97 ** 300 = 1e-4``.
        seed (int, optional): see :class:`DecPOMDPEnv`.
        device: see :class:`DecPOMDPEnv`.

    Raises:
        ValueError: for a severity out of range, and as :class:`DecPOMDPEnv` does.

    Examples:
        >>> env = DronesEnv(num_envs=2, seed=0)
        >>> env.reset()["agents", "observation"].shape
        torch.Size([2, 2, 121])
    """

    def __init__(
        self,
        severity: float = 1.0,
        num_envs: int = 1,
        *,
        max_steps: int | None = 300,
        seed: int | None = None,
        device: torch.device | str | int | None = None,
    ) -> None:
        from torchrl_drigm.tabular import drones

        super().__init__(drones(severity), num_envs, max_steps=max_steps, seed=seed, device=device)
        self.severity = severity
