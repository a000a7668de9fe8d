"""Training environments as groups: which one a copy is in, and the worst reward over all."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor, nn
from torchrl.data import Categorical, Composite, TensorSpec, Unbounded
from torchrl.envs.transforms import Transform

__all__ = ["GroupIndex", "WorstGroupReward"]


class GroupIndex(Transform):
    """Writes the index of the climate that each copy of the environment is in.

    It is read off the attributes ``climate`` (int64 ``[*B]``) and ``climates`` (a sequence) of the
    base environment, such as :class:`~torchrl_drigm.envs.SustainGymEnv`.

    Args:
        out_key (NestedKey): where to write the index, int64 ``[*B, 1]``. Default: ``"group"``.

    Raises:
        ValueError: if the base environment has no such attributes.

    Examples:
        >>> from torchrl.envs import TransformedEnv
        >>> from torchrl_drigm.envs import SustainGymEnv
        >>> from torchrl_drigm.envs.transforms import GroupIndex
        >>> base_env = SustainGymEnv(
        ...     climates=[("Hot_Dry", "Tucson"), ("Cool_Marine", "Seattle")], num_envs=2, seed=0
        ... )
        >>> env = TransformedEnv(base_env, GroupIndex())
        >>> env.reset(climate=torch.tensor([1, 0]))["group"]
        tensor([[1],
                [0]])
    """

    def __init__(self, out_key: NestedKey = "group") -> None:
        super().__init__(in_keys=[], out_keys=[out_key])

    def _read(self, name: str):
        base_env = getattr(self.parent, "base_env", self.parent)
        if not hasattr(base_env, name):
            raise ValueError(
                f"GroupIndex: {type(base_env).__name__} has no attribute {name!r}. Use it on an "
                "environment with several climates in one batch, such as SustainGymEnv."
            )
        return getattr(base_env, name)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        # [*B] -> [*B, 1]; a copy, since the environment may write in place
        return next_tensordict.set(self.out_keys[0], self._read("climate").unsqueeze(-1).clone())

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        return self._call(tensordict_reset)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Not available: a stored batch does not say which environment it comes from."""
        raise NotImplementedError(
            "GroupIndex only runs in an environment, which knows the climates. Its index is stored "
            "with each step."
        )

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """Adds the index to the observations."""
        observation_spec[self.out_keys[0]] = Categorical(
            len(self._read("climates")),
            shape=(*observation_spec.shape, 1),
            dtype=torch.int64,
            device=observation_spec.device,
        )
        return observation_spec


class WorstGroupReward(Transform):
    r"""Puts the worst predicted reward of all groups in place of the team reward.

    The reward becomes :math:`\min_g \hat r_g(s, \mathbf a)`, the second stage of GroupDR (paper,
    Appendix F.2; Liu et al. 2025): any loss may then train on it. State and action are those of
    the step's start, and no gradient flows. The state is the one that a policy sees: with an
    ``ObservationNorm`` on ``"state"`` anywhere in the chain it is the scaled one, so fit the model
    on data of that same chain. Put this transform after a ``RewardSum`` that is to log true
    returns, and before a ``RewardScaling``.

    Called on stored transitions, as a replay buffer does, it replaces ``("next", "reward")`` alike.
    The model's parameters are in the transform's state dict, hence in a collector's.

    Args:
        reward_model (nn.Module): maps state and joint action to predicted rewards
            ``[*B, n_groups]``, such as a fitted :class:`~torchrl_drigm.modules.GroupRewardModel`.
        state_key (NestedKey): ``[*B, *state_shape]``. Default: ``"state"``.
        action_key (NestedKey): ``[*B, n_agents]``. Default: ``("agents", "action")``.
        reward_key (NestedKey): team reward, ``[*B, 1]``. Default: ``"reward"``.

    Raises:
        ValueError: if the environment's reward is not one number per team.

    Examples:
        >>> from torchrl.envs import TransformedEnv
        >>> from torchrl_drigm.envs import SustainGymEnv
        >>> from torchrl_drigm.envs.transforms import WorstGroupReward
        >>> from torchrl_drigm.modules import GroupRewardModel
        >>> base_env = SustainGymEnv(num_envs=2, seed=0)
        >>> model = GroupRewardModel(n_groups=5, state_shape=10, n_agents=6, n_actions=200)
        >>> env = TransformedEnv(base_env, WorstGroupReward(model))
        >>> td = env.rand_step(env.reset())
        >>> worst = model(td["state"], td["agents", "action"]).amin(-1, keepdim=True)
        >>> torch.equal(td["next", "reward"], worst)
        True
    """

    def __init__(
        self,
        reward_model: nn.Module,
        state_key: NestedKey = "state",
        action_key: NestedKey = ("agents", "action"),
        reward_key: NestedKey = "reward",
    ) -> None:
        super().__init__(in_keys=[state_key, action_key], out_keys=[reward_key])
        self.reward_model = reward_model.eval()

    @torch.no_grad()
    def _worst(self, tensordict: TensorDictBase) -> Tensor:
        state, action = (tensordict.get(key) for key in self.in_keys)
        return self.reward_model(state, action).amin(-1, keepdim=True)

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        return next_tensordict.set(self.out_keys[0], self._worst(tensordict))

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """A copy of stored transitions ``[*B]``, on the same tensors, with the other reward."""
        # a buffer hands over its own storage where all is asked for
        return tensordict.copy().set(("next", self.out_keys[0]), self._worst(tensordict))

    def transform_reward_spec(self, reward_spec: TensorSpec) -> TensorSpec:
        """The predicted reward has no bounds."""
        key = self.out_keys[0]
        reward = reward_spec[key] if isinstance(reward_spec, Composite) else reward_spec
        expected = (*self.parent.batch_size, 1)
        if tuple(reward.shape) != expected:
            raise ValueError(
                f"WorstGroupReward: {key!r} has shape {tuple(reward.shape)}; expected one team "
                f"reward, {expected}. Sum rewards over the agents first."
            )
        worst = Unbounded(expected, dtype=reward.dtype, device=reward.device)
        if not isinstance(reward_spec, Composite):
            return worst
        reward_spec[key] = worst
        return reward_spec
