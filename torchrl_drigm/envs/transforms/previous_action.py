"""The action taken just before an observation, as part of it."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey, expand_as_right
from torch import Tensor
from torchrl.data import Categorical, Composite, MultiCategorical
from torchrl.envs.transforms import Transform
from torchrl.envs.transforms.utils import _get_reset

__all__ = ["PreviousAction"]


class PreviousAction(Transform):
    """Writes the categorical action that led to an observation, and ``n_actions`` where none did.

    Recurrent agents see it beside the observation. No action led to the first observation of an
    episode: there it is ``n_actions``, one more than the last action, and
    :class:`~torchrl_drigm.modules.RecurrentDRQN` lets none enter. One-hot with a class more,
    ``one_hot(previous, n_actions + 1)[..., :n_actions]``, it is the row of zeros that PyMARL feeds.
    The data say so by themselves: flags of first steps, such as ``"is_init"``, are set by samplers
    of slices in mid-episode too.

    Args:
        action_key (NestedKey): the action ``[*B, n_agents]``. Default: ``("agents", "action")``.
        out_key (NestedKey): where to write the previous one, int64 ``[*B, n_agents]``.
            Default: ``("agents", "previous_action")``.

    Raises:
        ValueError: if the action is not categorical with one entry per agent.

    Examples:
        >>> from torchrl.envs import TransformedEnv, VmasEnv
        >>> from torchrl_drigm.envs.transforms import PreviousAction
        >>> base_env = VmasEnv(
        ...     "navigation", num_envs=4, n_agents=3, continuous_actions=False, seed=0
        ... )
        >>> rollout = TransformedEnv(base_env, PreviousAction()).rollout(max_steps=6)
        >>> previous, action = rollout["agents", "previous_action"], rollout["agents", "action"]
        >>> torch.equal(previous[:, 1:], action[:, :-1]), previous[0, 0].tolist()
        (True, [9, 9, 9])
    """

    def __init__(
        self,
        action_key: NestedKey = ("agents", "action"),
        out_key: NestedKey = ("agents", "previous_action"),
    ) -> None:
        super().__init__(in_keys=[action_key], out_keys=[out_key])

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        # a copy: the collector may write the next action into the same memory
        next_tensordict.set(self.out_keys[0], tensordict.get(self.in_keys[0]).clone())
        return next_tensordict

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        # written for every row: the environment keeps the old entries of rows that are not reset
        tensordict_reset.set(self.out_keys[0], self._none())
        return tensordict_reset

    def _reset_on_native_autoreset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        reset = _get_reset(self.parent.reset_keys[0], tensordict)
        old = tensordict.get(self.out_keys[0])
        none = torch.where(expand_as_right(reset, old), self._none(), old)
        tensordict_reset.set(self.out_keys[0], none)
        return tensordict_reset

    def _none(self) -> Tensor:
        spec = self.parent.full_action_spec[self.in_keys[0]]
        return torch.full(spec.shape, spec.n, dtype=torch.int64, device=spec.device)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Not available: a stored batch does not order its steps."""
        raise NotImplementedError(
            "PreviousAction only runs in an environment. Its actions are stored with each step, so "
            "that a replay buffer needs no transform."
        )

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """Adds the previous action to the observations."""
        action = self.parent.full_action_spec[self.in_keys[0]]
        if not isinstance(action, Categorical) or isinstance(action, MultiCategorical):
            raise ValueError(
                f"PreviousAction: expected a Categorical action spec under {self.in_keys[0]!r}, "
                f"received {type(action).__name__}. Build the environment with categorical actions."
            )
        observation_spec[self.out_keys[0]] = Categorical(
            action.n + 1, shape=action.shape, dtype=torch.int64, device=action.device
        )
        return observation_spec
