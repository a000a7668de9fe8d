"""One state and one reward for a team whose environment has them per agent."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torchrl.data import Composite, TensorSpec, Unbounded
from torchrl.envs.transforms import Transform

__all__ = ["TeamView"]


class TeamView(Transform):
    """Writes the state of a team, all observations side by side, and its reward, summed up.

    Value factorization learns one value of one team: its loss wants a reward ``[*B, 1]``, and QMIX
    a state. Environments such as VMAS give both per agent.

    Args:
        observation_key (NestedKey): ``[*B, n_agents, F]``. Default: ``("agents", "observation")``.
        agent_reward_key (NestedKey): ``[*B, n_agents, 1]``; taken away from the data. Default:
            ``("agents", "reward")``.
        state_key (NestedKey): where to write the state ``[*B, n_agents * F]``. Default:
            ``"state"``.
        reward_key (NestedKey): where to write the sum ``[*B, 1]``. Default: ``"reward"``.

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
        agent_reward_key: NestedKey = ("agents", "reward"),
        state_key: NestedKey = "state",
        reward_key: NestedKey = "reward",
    ) -> None:
        super().__init__(
            in_keys=[observation_key, agent_reward_key], out_keys=[state_key, reward_key]
        )

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        (observation_key, agent_reward_key), (state_key, reward_key) = self.in_keys, self.out_keys
        state = next_tensordict.get(observation_key).flatten(-2)
        next_tensordict.set(state_key, state)
        reward = next_tensordict.get(agent_reward_key, None)
        if reward is not None:
            next_tensordict.set(reward_key, reward.sum(-2))
            next_tensordict.exclude(agent_reward_key, inplace=True)
        return next_tensordict

    forward = _call

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        return self._call(tensordict_reset)

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """Adds the state."""
        spec = observation_spec[self.in_keys[0]]
        *batch, n_agents, n_features = spec.shape
        observation_spec[self.out_keys[0]] = Unbounded(
            (*batch, n_agents * n_features), dtype=spec.dtype, device=spec.device
        )
        return observation_spec

    def transform_reward_spec(self, reward_spec: TensorSpec) -> Composite:
        """One reward in place of one per agent."""
        batch = tuple(self.parent.batch_size)
        reward = Unbounded((*batch, 1), dtype=torch.float32, device=reward_spec.device)
        return Composite({self.out_keys[1]: reward}, shape=batch, device=reward_spec.device)
