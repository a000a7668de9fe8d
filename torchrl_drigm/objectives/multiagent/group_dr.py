"""The regression that fits GroupDR's reward model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tensordict import TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModule, dispatch
from tensordict.utils import NestedKey, unravel_key
from torch import Tensor, nn
from torchrl.objectives.common import LossModule

from torchrl_drigm.objectives._batch import inspects, replace_masked, valid_steps
from torchrl_drigm.objectives.multiagent._checks import (
    check_finite_batch,
    check_team_reward,
    team_reward,
)


class GroupRewardLoss(LossModule):
    r"""Mean squared error of a reward model, each transition against its own group's prediction.

    .. math::
        L = \mathbb E\,\big(\hat r_g(s, \mathbf a) - r\big)^2

    with :math:`g` the group, or training environment, that the transition :math:`(s, \mathbf a, r)`
    comes from. Predictions for the other groups get no gradient. It is the first stage of GroupDR
    (paper, Appendix F.2; Liu et al. 2025); the second trains with any loss on the minimum over the
    groups, which :class:`~torchrl_drigm.envs.transforms.WorstGroupReward` puts in place of the
    reward.

    Args:
        reward_model (nn.Module or TensorDictModule): such as
            :class:`~torchrl_drigm.modules.GroupRewardModel`. A plain module is called with state
            and joint action. It writes ``"group_reward"``, ``[*B, n_groups]``.

    Keyword Args:
        check_finite (bool): refuse batches with entries that are not finite, naming them.
            Defaults to ``True``.

    Inputs:
        - ``"state"`` ``[*B, *state_shape]`` and ``("agents", "action")`` ``[*B, n_agents]``;
        - ``"group"`` ``[*B, 1]``, int64, as
          :class:`~torchrl_drigm.envs.transforms.GroupIndex` writes it;
        - ``("next", "reward")`` ``[*B, 1]``, the team's.

    Masked steps count nowhere, and a batch without a step that counts has loss 0, as in
    :class:`~torchrl_drigm.objectives.RobustQMixerLoss`.

    Returns:
        TensorDict with the scalar ``loss_reward``.

    Raises:
        ValueError: for a reward with an agent dimension, a group of another shape or type or out
            of range, and entries that are not finite.

    Examples:
        >>> from torchrl_drigm.modules import GroupRewardModel
        >>> model = GroupRewardModel(n_groups=3, state_shape=4, n_agents=2, n_actions=5)
        >>> loss = GroupRewardLoss(model)
        >>> data = TensorDict(
        ...     {
        ...         "state": torch.randn(8, 4),
        ...         "agents": {"action": torch.randint(5, (8, 2))},
        ...         "group": torch.randint(3, (8, 1)),
        ...         "next": {"reward": torch.randn(8, 1)},
        ...     },
        ...     [8],
        ... )
        >>> loss(data)["loss_reward"].backward()
    """

    @dataclass
    class _AcceptedKeys:
        """Tensordict keys.

        Attributes:
            state (NestedKey): state read by a plain reward model. Defaults to ``"state"``.
            action (NestedKey): joint action read by a plain reward model.
                Defaults to ``("agents", "action")``.
            group (NestedKey): index of the training environment. Defaults to ``"group"``.
            group_reward (NestedKey): output of the reward model. Defaults to ``"group_reward"``.
            reward (NestedKey): team reward. Defaults to ``"reward"``.
        """

        state: NestedKey = "state"
        action: NestedKey = ("agents", "action")
        group: NestedKey = "group"
        group_reward: NestedKey = "group_reward"
        reward: NestedKey = "reward"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    default_value_estimator = None
    out_keys = ["loss_reward"]  # noqa: RUF012 - as TorchRL's losses have it

    reward_model: TensorDictModule
    reward_model_params: TensorDictParams
    target_reward_model_params: TensorDictParams

    def __init__(
        self, reward_model: nn.Module | TensorDictModule, *, check_finite: bool = True
    ) -> None:
        super().__init__()
        self.check_finite = check_finite
        self._plain = not isinstance(reward_model, TensorDictModule)
        if self._plain:
            reward_model = TensorDictModule(
                reward_model,
                in_keys=[self.tensor_keys.state, self.tensor_keys.action],
                out_keys=[self.tensor_keys.group_reward],
            )
        self.convert_to_functional(reward_model, "reward_model", create_target_params=False)

    def _forward_value_estimator_keys(self, **kwargs) -> None:
        # A plain module was given its keys here, so that it follows when they are renamed.
        if self._plain:
            keys = self.tensor_keys
            # not as a submodule: its parameters are the loss's
            self.__dict__["reward_model"] = TensorDictModule(
                self.reward_model.module, [keys.state, keys.action], [keys.group_reward]
            )

    @property
    def in_keys(self) -> list[NestedKey]:
        """What the model reads, the group and the reward."""
        keys = self.tensor_keys
        return [*self.reward_model.in_keys, keys.group, unravel_key(("next", keys.reward))]

    @dispatch(auto_batch_size=False)
    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        """Compute the loss of a batch ``[*B]``."""
        keys = self.tensor_keys
        batch = team_reward(tensordict, keys.reward).shape[:-1]
        valid = valid_steps(tensordict, self._loss_mask_keys(), batch)
        data = tensordict if valid is None else replace_masked(tensordict, valid)
        reward = data.get(("next", keys.reward))
        if not reward.numel():
            nothing = sum(p.flatten()[:0].sum() for p in self.parameters())
            return TensorDict({"loss_reward": nothing}, [])
        missing = [
            key for key in (*self.reward_model.in_keys, keys.group) if data.get(key, None) is None
        ]
        if missing:
            raise ValueError(
                f"the data lacks {missing[0]!r}, which the loss reads. Name its key by "
                "set_keys(state=..., action=..., group=...)."
            )
        td = data.select(*self.reward_model.in_keys)
        action = td.get(keys.action, None)
        if action is not None and action.ndim == len(batch) + 2 and action.shape[-1] == 1:
            td.set(keys.action, action.squeeze(-1))
        with self.reward_model_params.to_module(self.reward_model, preserve_module_state=False):
            self.reward_model(td)
        predicted = td.get(keys.group_reward)  # [*B, n_groups]
        check_team_reward(data, keys.reward, predicted[..., :1])
        group = data.get(keys.group)
        if not (group.is_floating_point() or group.dtype == torch.bool):
            group = group.long()
        self._check_group(group, predicted)
        own = predicted.gather(-1, group)  # [*B, 1]
        error = (own - reward).square().squeeze(-1)
        loss = self._reduce_loss(error, mask=valid, reduction="mean")
        losses = TensorDict({"loss_reward": loss}, [])
        if self.check_finite and inspects():
            values = {"predicted reward": own, "reward": reward}
            check_finite_batch(losses, data, self.in_keys, values)
        return losses

    def _check_group(self, group: Tensor, predicted: Tensor) -> None:
        key, shape = self.tensor_keys.group, (*predicted.shape[:-1], 1)
        if group.shape != shape or group.dtype != torch.int64:
            raise ValueError(
                f"{key!r} must be one int64 index per transition, of shape {tuple(shape)}, got "
                f"{group.dtype} of shape {tuple(group.shape)}. Let the GroupIndex transform write "
                "it where the data is collected, or unsqueeze(-1) your own."
            )
        n_groups = predicted.shape[-1]
        if not inspects():
            return
        low, high = (int(bound) for bound in group.aminmax())
        if low < 0 or high >= n_groups:
            raise ValueError(
                f"{key!r} holds indices from {low} to {high}, and the reward model has "
                f"{n_groups} groups. Build it with n_groups={high + 1} or more, or collect in the "
                "environments it was built for."
            )
