"""One state and one reward for a team whose environment has them per agent."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.data import Composite, TensorSpec, Unbounded
from torchrl.envs.transforms import Transform

__all__ = ["TeamView"]

TEAM_REWARDS = {"sum": torch.sum, "mean": torch.mean}
_OBSERVATIONS = "observations"


def check_team_reward(team_reward: str) -> None:
    """Refuse what is no way to make one reward of several.

    Raises:
        ValueError: for an unknown one.
    """
    if team_reward not in TEAM_REWARDS:
        raise ValueError(f"team_reward={team_reward!r} must be one of {sorted(TEAM_REWARDS)}.")


def check_team_state(team_state: str | None) -> None:
    """Refuse what is no way to make a state.

    Raises:
        ValueError: for an unknown one.
    """
    if team_state not in (None, _OBSERVATIONS):
        raise ValueError(
            f"team_state={team_state!r} must be {_OBSERVATIONS!r}, or null for the environment's "
            "own state where it has one."
        )


def join(rewards: Tensor, team_reward: str) -> Tensor:
    """Rewards of agents, ``[*B, n, 1]``, to the team's, ``[*B, 1]``."""
    return TEAM_REWARDS[team_reward](rewards, -2)


class TeamView(Transform):
    """Writes the state of a team, all observations side by side, and its reward, summed up.

    Value factorization learns one value of one team: its loss wants a reward ``[*B, 1]``, and QMIX
    a state. Environments such as VMAS give both per agent.

    Args:
        observation_key (NestedKey): ``[*B, n_agents, F]``. Default: ``("agents", "observation")``.
        agent_reward_key (NestedKey, optional): ``[*B, n_agents, 1]``; taken away from the data.
            Default: ``("agents", "reward")``. ``None`` leaves the environment's reward alone.
        state_key (NestedKey, optional): where to write the state ``[*B, n_agents * F]``. Default:
            ``"state"``. ``None`` leaves the environment's state alone.
        reward_key (NestedKey): where to write the reward ``[*B, 1]``. Default: ``"reward"``.
        team_reward (str): what it is of the agents' rewards, ``"sum"`` or ``"mean"``. Default:
            ``"sum"``.

    Raises:
        ValueError: for another ``team_reward``.

    Examples:
        >>> from torchrl.envs import TransformedEnv, VmasEnv
        >>> from torchrl_drigm.envs.transforms import TeamView
        >>> env = TransformedEnv(VmasEnv("balance", num_envs=2, n_agents=3), TeamView())
        >>> env.rollout(3)["next", "reward"].shape
        torch.Size([2, 3, 1])
    """

    def __init__(
        self,
        observation_key: NestedKey = ("agents", "observation"),
        agent_reward_key: NestedKey | None = ("agents", "reward"),
        state_key: NestedKey | None = "state",
        reward_key: NestedKey = "reward",
        team_reward: str = "sum",
    ) -> None:
        check_team_reward(team_reward)
        self.team_reward = team_reward
        self._state = (observation_key, state_key) if state_key is not None else None
        self._reward = (agent_reward_key, reward_key) if agent_reward_key is not None else None
        pairs = [pair for pair in (self._state, self._reward) if pair is not None]
        super().__init__(*([list(keys) for keys in zip(*pairs, strict=True)] or [[], []]))

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        if self._state is not None:
            observation_key, state_key = self._state
            next_tensordict.set(state_key, next_tensordict.get(observation_key).flatten(-2))
        if self._reward is not None:
            agent_reward_key, reward_key = self._reward
            reward = next_tensordict.get(agent_reward_key, None)
            if reward is not None:
                next_tensordict.set(reward_key, join(reward, self.team_reward))
                next_tensordict.exclude(agent_reward_key, inplace=True)
        return next_tensordict

    forward = _call

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        return self._call(tensordict_reset)

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """Adds the state."""
        if self._state is not None:
            observation_key, state_key = self._state
            spec = observation_spec[observation_key]
            *batch, n_agents, n_features = spec.shape
            observation_spec[state_key] = Unbounded(
                (*batch, n_agents * n_features), dtype=spec.dtype, device=spec.device
            )
        return observation_spec

    def transform_reward_spec(self, reward_spec: TensorSpec) -> TensorSpec:
        """One reward in place of one per agent."""
        if self._reward is None:
            return reward_spec
        batch = tuple(self.parent.batch_size)
        reward = Unbounded((*batch, 1), dtype=torch.float32, device=reward_spec.device)
        return Composite({self._reward[1]: reward}, shape=batch, device=reward_spec.device)
