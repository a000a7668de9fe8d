"""Which steps of a batch count in a loss, and what they must hold.

Axes: ``*B`` batch (``[*B, T]`` for sequences), ``n_agents`` agents, ``n_actions`` actions each.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor

from torchrl_drigm.objectives._batch import (
    as_bool,
    cut_before_masked,
    in_next,
    replace_masked,
    time_dim_of,
    valid_steps,
)
from torchrl_drigm.objectives.multiagent._checks import (
    check_actions,
    check_flag,
    check_mask_batch,
    check_mask_shape,
    missing_actions,
    team_reward,
)


class StepsMixin:
    """The batch as it counts, means and priorities over the steps that do."""

    burn_in: int
    of_runs = False  # whether batches are [R, *B], of several runs whose means are their own
    _asks_for_greedy_now = False  # whether the loss needs the greedy actions of this step too

    def _prepare(self, tensordict: TensorDictBase) -> tuple[TensorDictBase, Tensor | None]:
        """The batch as it counts, and which of its steps do, bool ``[*B]`` or ``None`` for all.

        Masked steps are replaced, trajectories cut before them, masks, flags and actions have the
        types that networks and estimators expect. The batch itself stays as it is.
        """
        keys = self.tensor_keys
        batch = team_reward(tensordict, keys.reward).shape[:-1]
        valid = valid_steps(tensordict, self._loss_mask_keys(), batch)
        masks = [name for key in self._mask_keys() for name in (key, in_next(key))]
        changed = {}
        if valid is not None:
            if getattr(self.value_estimator, "average_rewards", False):
                raise ValueError(
                    "average_rewards=True standardises rewards over masked steps too. Use the "
                    "RewardScaling transform instead."
                )
            tensordict = replace_masked(tensordict, valid, masks)
        for key in masks:
            mask = tensordict.get(key, None)
            if mask is not None:
                check_mask_batch(key, mask, batch)
                if mask.dtype != torch.bool:
                    changed[key] = as_bool(key, mask)
        action = tensordict.get(keys.action, None)
        if action is None:
            raise missing_actions(keys.action)
        if self.action_space == "categorical":
            checked = check_actions(keys.action, action, batch, keys.reward)
            if checked is not action:
                changed[keys.action] = checked
        flags = self._flags(tensordict, batch, valid)
        changed |= {key: flag for key, flag in flags if tensordict.get(key, None) is not flag}
        if changed:
            tensordict = tensordict.clone(False) if valid is None else tensordict
            for key, value in changed.items():
                tensordict.set(key, value)
        if valid is not None and self._is_recurrent:
            self._start_after_masked(tensordict, valid)
        return tensordict, valid

    def _flags(
        self, tensordict: TensorDictBase, batch: torch.Size, valid: Tensor | None
    ) -> Iterator[tuple[NestedKey, Tensor]]:
        """The flags of ends, with trajectories cut before masked steps."""
        keys = self.tensor_keys
        name = in_next(keys.done)
        done = as_bool(name, check_flag(name, tensordict.get(name, None), batch, keys.reward))
        terminated_name = in_next(keys.terminated)
        terminated = tensordict.get(terminated_name, None)
        if terminated is None and valid is not None:
            terminated = done  # of all ends: a cut is none
        if terminated is not None:
            terminated = check_flag(terminated_name, terminated, batch, keys.reward)
            yield terminated_name, as_bool(terminated_name, terminated)
        if valid is not None and batch:
            cut = cut_before_masked(valid, self._time_dim(tensordict, batch))
            done = done | cut.unsqueeze(-1)
        yield name, done

    def _time_dim(self, tensordict: TensorDictBase, batch: torch.Size) -> int:
        time_dim = getattr(self.value_estimator, "time_dim", None)
        return time_dim_of(tensordict, batch) if time_dim is None else time_dim % len(batch)

    def _start_after_masked(self, tensordict: TensorDictBase, valid: Tensor) -> None:
        """A step after masked ones goes on from the state that the data has there, or from zero."""
        time_dim = self._time_dim(tensordict, valid.shape)
        after = cut_before_masked(valid.flip(time_dim), time_dim).flip(time_dim).unsqueeze(-1)
        for key in self._start_keys():
            is_init = tensordict.get(key, None)
            tensordict.set(key, after if is_init is None else as_bool(key, is_init) | after)

    def _mean(self, value: Tensor, valid: Tensor | None) -> Tensor:
        """Mean over the steps that count: after ``burn_in`` and not masked; 0 where none does.

        Of stacked runs one for each, ``[R]``.
        """
        mask = valid
        if self.burn_in:
            if value.ndim < 2 or value.shape[-1] <= self.burn_in:
                raise ValueError(
                    f"burn_in={self.burn_in} needs sequences [*B, T] with T > {self.burn_in}, got "
                    f"a batch of shape {tuple(value.shape)}. Sample slices, or set burn_in=0."
                )
            after = torch.arange(value.shape[-1], device=value.device) >= self.burn_in
            mask = after.expand(value.shape) if mask is None else mask & after
        if self.of_runs:
            value = value.flatten(1)
            if mask is None:
                return value.mean(1)
            mask = mask.flatten(1)
            return value.masked_fill(~mask, 0.0).sum(1) / mask.sum(1).clamp_min(1)
        return self._reduce_loss(value, mask=mask, reduction="mean")

    def _of_no_step(self, tensordict: TensorDictBase) -> TensorDict:
        """What an empty batch gives: losses 0, whose gradients are 0."""
        nothing = sum(p.flatten()[:0].sum() for p in self.parameters() if p.requires_grad)
        shape = team_reward(tensordict, self.tensor_keys.reward).shape
        tensordict.set(self.tensor_keys.priority, torch.zeros(shape, device=nothing.device))
        losses = {
            key: nothing + 0.0 if key.startswith("loss") else nothing.detach()
            for key in self._out_keys
        }
        return TensorDict(losses, [])

    def _write_priority(
        self,
        tensordict: TensorDictBase,
        pred_value: Tensor,
        target_value: Tensor,
        valid: Tensor | None,
    ) -> None:
        """Squared errors ``[*B, 1]`` into the caller's data; 0 where a step does not count."""
        if torch._C._are_functorch_transforms_active():
            return  # data from outside cannot take what belongs to one call of many
        priority = (pred_value.detach() - target_value.detach()).pow(2)
        if valid is not None:
            priority = priority.masked_fill(~valid, 0.0)
        if tensordict.device is not None:
            priority = priority.to(tensordict.device)
        tensordict.set(self.tensor_keys.priority, priority.unsqueeze(-1), inplace=True)

    def _without_actions(self, tensordict: TensorDictBase, valid: Tensor | None) -> Iterator[str]:
        """Sentences on agents that have no legal action, or took one that is none."""
        keys = self.tensor_keys
        ended = tensordict.get(("next", keys.terminated), tensordict.get(("next", keys.done)))
        for key in self._mask_keys():
            mask, next_mask = tensordict.get(key, None), tensordict.get(("next", key), None)
            if next_mask is not None:
                none = ~next_mask.any(-1) & ~ended
                yield from _illegal(none, valid, f"has no legal next action: ('next', {key!r})")
            if mask is not None and self._asks_for_greedy_now:
                yield from _illegal(~mask.any(-1), valid, f"has no legal action: {key!r}")
            if mask is not None and self._applies(key):
                legal = self._is_legal(mask, tensordict.get(keys.action))
                yield from _illegal(~legal, valid, f"took an action that is not legal: {key!r}")
        if self.action_space == "one_hot":
            none = (tensordict.get(keys.action) != 0).sum(-1) != 1
            yield from _illegal(none, valid, f"took no single action: {keys.action!r}")

    def _is_legal(self, mask: Tensor, action: Tensor) -> Tensor:
        """Whether the actions taken are legal ones, ``[*B, n_agents]``."""
        if self.action_space == "categorical":
            return mask.gather(-1, action.unsqueeze(-1)).squeeze(-1)
        return (mask | (action == 0)).all(-1)

    def _only_legal(self, value: Tensor, tensordict: TensorDictBase, n_actions: int) -> Tensor:
        """Values ``[*B, n_agents, 1]`` of the actions taken, NaN for one that the network forbids.

        Its value is then the lowest number there is, and a mixer may make an ordinary one of it.
        """
        for key in self._mask_keys():
            mask = tensordict.get(key, None)
            if mask is not None and self._applies(key):
                check_mask_shape(key, mask, value.expand(*value.shape[:-1], n_actions))
                legal = self._is_legal(mask, tensordict.get(self.tensor_keys.action))
                value = value.masked_fill(~legal.unsqueeze(-1), float("nan"))
        return value


def _illegal(bad: Tensor, valid: Tensor | None, what: str) -> Iterator[str]:
    """A sentence on the first of some cases ``[*B, n_agents]`` that count, if there is one."""
    if valid is not None:
        bad = bad & valid.unsqueeze(-1)
    where = bad.nonzero()
    if len(where):
        *step, agent = where[0].tolist()
        step = step[0] if len(step) == 1 else tuple(step)
        yield (
            f"agent {agent} at step {step} of the batch {what}; {len(where)} such case(s). Let the "
            "environment keep one action legal (such as doing nothing), end the episode there "
            "(terminated), or mask the step."
        )
