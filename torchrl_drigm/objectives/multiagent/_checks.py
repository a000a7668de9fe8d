"""Checks of a batch that the multi-agent losses share; each message names the remedy."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor


def check_team_reward(tensordict: TensorDictBase, reward_key: NestedKey, value: Tensor) -> None:
    """Refuse a reward that is not one number per team, before it can broadcast.

    Args:
        tensordict (TensorDictBase): batch ``[*B]``.
        reward_key (NestedKey): key of the reward under ``"next"``.
        value (Tensor): predicted team value, ``[*B, 1]``.

    Raises:
        ValueError: if the reward does not have the shape of ``value``.
    """
    reward = tensordict.get(("next", reward_key))
    if reward.shape != value.shape:
        raise ValueError(
            f"('next', {reward_key!r}) must be one team reward of shape {tuple(value.shape)}, got "
            f"{tuple(reward.shape)}. Where rewards carry an agent dimension, sum or average over "
            'it first: td["next", "reward"] = td["next", "agents", "reward"].sum(-2), or set '
            "set_keys(reward=...) to the team reward."
        )


def check_next_action_mask(
    tensordict: TensorDictBase, mask_key: NestedKey, network_in_keys: Iterable[NestedKey]
) -> None:
    """Refuse data with a mask at this step, or a network that reads one, and none at the next.

    Raises:
        ValueError: with the key that is missing.
    """
    if mask_key in network_in_keys or tensordict.get(mask_key, None) is not None:
        raise ValueError(
            f"the next action mask {('next', mask_key)!r} is missing, so the greedy next action "
            "could be unavailable. Store the mask with every transition, or name its key by "
            "set_keys(action_mask=...)."
        )


def _count_bad(value: Tensor) -> int:
    return int((~torch.isfinite(value)).sum())


def check_finite_batch(
    losses: TensorDictBase,
    tensordict: TensorDictBase,
    in_keys: Iterable[NestedKey],
    pred_value: Tensor,
    target_value: Tensor,
) -> None:
    """Refuse a batch with entries that are not finite, naming the key and their count.

    The cheap test is one sum per floating-point input and the loss itself; the search for the
    culprit runs only after that failed. Masked-out (padded) steps do count: pad with zeros.

    Raises:
        ValueError: naming each offending key and how many of its entries are not finite.
    """
    inputs = {}
    for key in in_keys:
        value = tensordict.get(key, None)
        if isinstance(value, Tensor) and value.is_floating_point():
            inputs[key] = value
    values = (*inputs.values(), *losses.values())
    if math.isfinite(torch.stack([value.detach().sum() for value in values]).sum().item()):
        return
    named = {**inputs, "predicted team value": pred_value, "target team value": target_value}
    bad = {key: _count_bad(value) for key, value in named.items()}
    bad = {key: count for key, count in bad.items() if count}
    if bad:
        listing = ", ".join(f"{key!r}: {n} of {named[key].numel()}" for key, n in bad.items())
        raise ValueError(
            f"entries that are not finite in {listing}. Clip or drop them where they arise, or "
            "build the loss with check_finite=False to let them pass."
        )
