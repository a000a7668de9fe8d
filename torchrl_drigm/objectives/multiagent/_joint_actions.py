"""What QTRAN compares: joint actions, the agents' values of them and joint values.

Axes: ``*B`` batch (``[*B, T]`` for sequences), ``n_agents`` agents, ``n_actions`` actions each.
"""

from __future__ import annotations

from functools import reduce

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey, unravel_key
from torch import Tensor

from torchrl_drigm.modules._calls import run
from torchrl_drigm.modules._fast_path import GreedyAndChosen, ValueAndOther, fast_path
from torchrl_drigm.objectives.multiagent._checks import check_mask_shape
from torchrl_drigm.objectives.multiagent._deviations import deviating_actions, draw_deviations


class JointActionsMixin:
    """Mix into a robust loss that owns ``joint_value_network`` and ``state_value_network``."""

    deviation_weight: float | None

    def _compared(
        self, current: TensorDictBase, data: TensorDictBase
    ) -> tuple[list[Tensor], Tensor]:
        """Joint actions to compare with those taken, and the agents' values of all.

        The greedy joint action, and with ``deviation_weight`` a deviation from it, as the data has
        actions; values ``[*B, n_agents, 2]`` of the greedy actions and the actions taken, or
        ``[*B, n_agents, 3]`` with the deviation's. What the other networks share of the local one
        goes into ``current``.
        """
        action = data.get(self.tensor_keys.action)
        masks = {key: data.get(key, None) for key in self._mask_keys()}
        masks = {key: mask for key, mask in masks.items() if mask is not None}
        readers = [self.joint_value_network, self.state_value_network]
        agents = self._fast_path(GreedyAndChosen, readers, gives=len(self._features()))
        if agents is not None and not masks and self.deviation_weight is None:
            inputs = (data[key] for key in self._value_modules()[0].in_keys)
            greedy, values, *features = agents.greedy_and_chosen(*inputs, action)
            for key, value in zip(self._features(), features, strict=False):
                current.set(key, value)
            return [greedy], values
        self._run_local_networks(current)
        action_value = current.get(self.tensor_keys.action_value)  # [*B, n_agents, n_actions]
        preference = action_value.detach()
        for key, mask in masks.items():
            check_mask_shape(key, mask, action_value)
            if not self._applies(key):
                preference = preference.masked_fill(~mask, torch.finfo(preference.dtype).min)
        others = [preference.argmax(-1, keepdim=True)]
        if self.deviation_weight is not None:
            legal = reduce(torch.logical_and, masks.values()) if masks else None
            others.append(self._deviation(data, others[0], legal, action_value.shape[-1]))
        taken = self._chosen_value(action_value, action)
        taken = self._only_legal(taken, data, action_value.shape[-1])
        values = action_value.gather(-1, torch.cat(others, -1))
        for mask in masks.values():  # an agent without a legal action has no greedy one
            values = values.masked_fill(~mask.any(-1, keepdim=True), float("nan"))
        others = [self._format(other, action_value).to(action.dtype) for other in others]
        return others, torch.cat([values[..., :1], taken, values[..., 1:]], -1)

    def _deviation(
        self, data: TensorDictBase, greedy: Tensor, legal: Tensor | None, n_actions: int
    ) -> Tensor:
        """Actions ``[*B, n_agents, 1]``, of one agent another one than ``greedy``.

        By what the data has under ``set_keys(deviation=...)``, otherwise drawn.
        """
        key, expected = self.tensor_keys.deviation, greedy.shape[:-1]
        drawn = data.get(key, None)
        if drawn is None:
            drawn = draw_deviations(expected, greedy.device)
        elif drawn.shape != expected or not drawn.is_floating_point():
            raise ValueError(
                f"{key!r} is {drawn.dtype} of shape {list(drawn.shape)}, expected floating-point "
                f"numbers of shape {list(expected)}, as draw_deviations gives them. Leave it out, "
                "and the loss draws by itself."
            )
        return deviating_actions(drawn, greedy.squeeze(-1), legal, n_actions).unsqueeze(-1)

    def _features(self) -> list[NestedKey]:
        """What the values' module writes beyond the values."""
        return self._value_modules()[0].out_keys[1:]

    def _joint_value(self, tensordict: TensorDictBase, action: Tensor) -> Tensor:
        td = tensordict.select(*self.joint_value_network.in_keys, strict=False)
        td.set(self.tensor_keys.action, action)
        run(self.joint_value_network, td)
        return td.get(self.tensor_keys.joint_value)

    def _joint_values(
        self, tensordict: TensorDictBase, action: Tensor, others: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Joint action-values of the actions taken, and without gradient of other joint actions."""
        greedy, *deviations = others
        network = self.joint_value_network
        joint = fast_path(network, ValueAndOther)
        if joint is None or network.in_keys[1] != unravel_key(self.tensor_keys.action):
            return self._joint_value(tensordict, action), [
                self._other_value(tensordict, other) for other in others
            ]
        state, _, *features = (tensordict[key] for key in network.in_keys)
        value, greedy_value = joint.value_and_other(state, action, greedy, *features)
        return value, [greedy_value, *(self._other_value(tensordict, o) for o in deviations)]

    @torch.no_grad()
    def _other_value(self, tensordict: TensorDictBase, action: Tensor) -> Tensor:
        return self._joint_value(tensordict, action)
