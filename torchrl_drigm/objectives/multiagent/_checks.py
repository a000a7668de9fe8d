"""Checks of a batch that the multi-agent losses share; each message names the remedy."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor

_TEAM_REWARD = (
    "Where rewards carry an agent dimension, sum or average over it first: "
    'td["next", "reward"] = td["next", "agents", "reward"].sum(-2), or set '
    "set_keys(reward=...) to the team reward."
)


def team_reward(tensordict: TensorDictBase, reward_key: NestedKey) -> Tensor:
    """The team's reward, ``[*B, 1]``.

    Raises:
        ValueError: if there is none, or it does not end in one number.
    """
    reward = tensordict.get(("next", reward_key), None)
    if reward is None:
        per_agent = [
            key for key in tensordict.keys(True, True) if key[0] == "next" and key[-1] == "reward"
        ]
        found = f" (there is {per_agent[0]!r})" if per_agent else ""
        raise ValueError(f"no team reward under ('next', {reward_key!r}){found}. {_TEAM_REWARD}")
    if reward.ndim < 1 or reward.shape[-1] != 1:
        raise ValueError(
            f"('next', {reward_key!r}) must be one team reward of shape [*B, 1], got "
            f"{tuple(reward.shape)}. {_TEAM_REWARD}"
        )
    return reward


def check_team_reward(tensordict: TensorDictBase, reward_key: NestedKey, value: Tensor) -> None:
    """Refuse a reward that is not one number per team, before it can broadcast.

    Args:
        tensordict (TensorDictBase): batch ``[*B]``.
        reward_key (NestedKey): key of the reward under ``"next"``.
        value (Tensor): predicted team value, ``[*B, 1]``.

    Raises:
        ValueError: if the reward does not have the shape of ``value``.
    """
    reward = team_reward(tensordict, reward_key)
    if reward.shape != value.shape:
        raise _not_the_teams(reward_key, value.shape, reward.shape)


def _not_the_teams(key: NestedKey, expected: Iterable[int], received: torch.Size) -> ValueError:
    return ValueError(
        f"('next', {key!r}) must be one team reward of shape {tuple(expected)}, got "
        f"{tuple(received)}. {_TEAM_REWARD}"
    )


def check_flag(
    name: NestedKey, flag: Tensor | None, batch: torch.Size, reward_key: NestedKey
) -> Tensor:
    """The flag ``name`` of every step, ``[*B, 1]``; ``*B`` is that of the reward.

    Raises:
        ValueError: if there is none, or it has another shape.
    """
    if flag is None:
        raise ValueError(
            f"no flag under {name!r}: a loss must know where a trajectory ends. Keep it with every "
            "transition, or name its key by set_keys(done=..., terminated=...)."
        )
    if flag.shape == (*batch[:-1], 1) != (*batch, 1):
        raise _not_the_teams(reward_key, flag.shape, torch.Size((*batch, 1)))
    if flag.shape != (*batch, 1):
        raise ValueError(
            f"the flag {name!r} must have the shape of the team reward, {(*batch, 1)}, got "
            f"{tuple(flag.shape)}. One flag for the whole team: td[{name!r}].any(-2) of flags per "
            "agent, or unsqueeze(-1)."
        )
    return flag


def missing_actions(name: NestedKey) -> ValueError:
    """The error of data without the actions that were taken."""
    return ValueError(f"no actions under {name!r}. Name their key by set_keys(action=...).")


def check_actions(
    name: NestedKey, action: Tensor | None, batch: torch.Size, reward_key: NestedKey
) -> Tensor:
    """Categorical actions as int64 ``[*B, n_agents]``; ``*B`` is that of the reward.

    Raises:
        ValueError: if there are none, they are no integers, or have another shape than
            ``[*B, n_agents]`` and ``[*B, n_agents, 1]``.
    """
    if action is None:
        raise missing_actions(name)
    if action.is_floating_point() or action.is_complex() or action.dtype == torch.bool:
        raise ValueError(
            f"{name!r} must hold the indices of categorical actions, got {action.dtype}. Build the "
            "loss with action_space='one-hot' for one-hot actions, or convert them: .long()."
        )
    if action.shape == batch:
        raise _not_the_teams(reward_key, (*batch[:-1], 1), torch.Size((*batch, 1)))
    if action.shape[: len(batch)] != batch or action.ndim - len(batch) not in (1, 2):
        raise ValueError(
            f"{name!r} must be one action of each agent, of shape [*B, n_agents] with *B = "
            f"{list(batch)} as the team reward has it, got {tuple(action.shape)}."
        )
    if action.ndim == len(batch) + 2:
        if action.shape[-1] != 1:
            raise ValueError(
                f"{name!r} must be one index per agent, of shape [*B, n_agents], got "
                f"{tuple(action.shape)}. Build the loss with action_space='one-hot' for one-hot "
                "actions."
            )
        action = action.squeeze(-1)
    return action.long()


def check_action_shape(
    name: NestedKey, action: Tensor, action_value: Tensor, action_space: str
) -> None:
    """Refuse actions of fewer agents than there are values, or that would have to broadcast.

    Raises:
        ValueError: unless there is one action for each agent of each step.
    """
    expected = action_value.shape[:-1] if action_space == "categorical" else action_value.shape
    if action.shape != expected:
        raise ValueError(
            f"{name!r} must have the shape {tuple(expected)} for action values of shape "
            f"{tuple(action_value.shape)} and a {action_space} action space, got "
            f"{tuple(action.shape)}. One action of each agent is needed."
        )


def check_next_action_mask(tensordict: TensorDictBase, mask_key: NestedKey, applies: bool) -> None:
    """Refuse data with a mask at this step, or a network that reads one, and none at the next.

    Raises:
        ValueError: with the key that is missing.
    """
    if applies or tensordict.get(mask_key, None) is not None:
        raise ValueError(
            f"the next action mask {('next', mask_key)!r} is missing, so the greedy next action "
            "could be unavailable. Store the mask with every transition, or name its key by "
            "set_keys(action_mask=...)."
        )


def check_mask_batch(name: NestedKey, mask: Tensor, batch: torch.Size) -> None:
    """Refuse a mask of legal actions that networks would have to broadcast.

    Raises:
        ValueError: unless it has the dimensions ``[*B, n_agents, n_actions]``.
    """
    if mask.shape[: len(batch)] != batch or mask.ndim != len(batch) + 2:
        raise ValueError(
            f"the action mask {name!r} must have the shape of the action values, "
            f"[*B, n_agents, n_actions] with *B = {tuple(batch)}, got {tuple(mask.shape)}. Expand "
            "it to every agent, or name another key by set_keys(action_mask=...)."
        )


def check_mask_shape(name: NestedKey, mask: Tensor, action_value: Tensor) -> None:
    """Refuse a mask of legal actions that would have to broadcast.

    Raises:
        ValueError: unless it has one entry for each action of each agent of each step.
    """
    if mask.shape != action_value.shape:
        raise ValueError(
            f"the action mask {name!r} must have the shape of the action values, "
            f"[*B, n_agents, n_actions] = {tuple(action_value.shape)}, got {tuple(mask.shape)}. "
            "Expand it to every agent, or name another key by set_keys(action_mask=...)."
        )


def check_finite_batch(
    losses: TensorDictBase,
    tensordict: TensorDictBase,
    in_keys: Iterable[NestedKey],
    values: dict[str, Tensor],
    causes: Iterable[str] = (),
) -> None:
    """Refuse a loss that is not finite, or comes from entries that are not, naming the cause.

    The cheap test is one sum per floating-point input and the losses themselves; the search for the
    culprit runs only after that failed.

    Args:
        losses (TensorDictBase): scalars.
        tensordict (TensorDictBase): the batch, masked steps already replaced.
        in_keys (iterable of NestedKey): what the loss reads of it.
        values (dict): further tensors by what to call them.
        causes (iterable of str): sentences on what made a value NaN on purpose; evaluated lazily.

    Raises:
        ValueError: naming each offending key and how many of its entries are not finite.
    """
    inputs = {}
    for key in in_keys:
        value = tensordict.get(key, None)
        if isinstance(value, Tensor) and value.is_floating_point():
            inputs[key] = value
    sums = [value.detach().sum() for value in (*inputs.values(), *losses.values())]
    if math.isfinite(torch.stack(sums).sum().item()):
        return
    causes = list(causes)
    if causes:
        raise ValueError(" ".join(causes))
    remedy = "or build the loss with check_finite=False to let them pass."
    named = {**inputs, **values}
    bad = {key: int((~torch.isfinite(value)).sum()) for key, value in named.items()}
    bad = {key: count for key, count in bad.items() if count}
    if bad:
        listing = ", ".join(f"{key!r}: {n} of {named[key].numel()}" for key, n in bad.items())
        raise ValueError(
            f"entries that are not finite in {listing}. Clip or drop them where they arise, "
            f"{remedy}"
        )
    overflown = [key for key, loss in losses.items() if not torch.isfinite(loss)]
    if overflown:
        sizes = ", ".join(f"{key!r} {value.abs().max().item():.3g}" for key, value in named.items())
        raise ValueError(
            f"{', '.join(overflown)} overflowed, from entries that are finite; the largest ones "
            f"are: {sizes}. Scale rewards or inputs down, {remedy}"
        )
