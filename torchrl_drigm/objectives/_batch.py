"""What of a batch counts in a loss, and in which types: shared by losses and estimators.

Axes: ``*B`` batch (``[*B, T]`` for sequences).

One rule for every loss: a step that is masked out counts nowhere. Its entries are replaced by those
of a step that counts before any network runs, so that nothing in it, NaN included, can reach a
mean, a gradient, a recursion over time or a priority. A batch without any step that counts has loss
0 and gradient 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey, unravel_key
from torch import Tensor
from torch.compiler import is_compiling

__all__ = ["as_bool", "cut_before_masked", "replace_masked", "time_dim_of", "valid_steps"]


def in_next(key: NestedKey) -> NestedKey:
    """The key of an entry at the next step.

    Not by ``unravel_key``, which leaves ``("next", ("a", "b"))`` as it is in compiled code
    (tensordict 0.14.3).

    Examples:
        >>> in_next(("agents", "action")), in_next("reward")
        (('next', 'agents', 'action'), ('next', 'reward'))
    """
    return ("next", *key) if isinstance(key, tuple) else ("next", key)


def inspects() -> bool:
    """Whether values of tensors may be looked at: not in a graph, nor in ``vmap`` and its kin."""
    return not is_compiling() and not torch._C._are_functorch_transforms_active()


def as_bool(name: NestedKey, value: Tensor) -> Tensor:
    """A mask or flag as booleans, from any type that holds 0 and 1 alone.

    Raises:
        ValueError: naming the entry, for another number or one that is not finite.

    Examples:
        >>> as_bool("done", torch.tensor([0.0, 1.0]))
        tensor([False,  True])
    """
    if value.dtype == torch.bool:
        return value
    if inspects() and ((value != 0) & (value != 1)).any():
        other = value[(value != 0) & (value != 1)][0].item()
        raise ValueError(
            f"{name!r} must hold True and False, or 0 and 1, got {other} among its "
            f"{value.dtype} entries. Convert it: td[{name!r}] = td[{name!r}] > 0."
        )
    return value != 0


def valid_steps(
    tensordict: TensorDictBase, keys: Iterable[NestedKey], batch: torch.Size
) -> Tensor | None:
    """The steps that count, bool ``[*B]``; ``None`` where the data has no mask.

    Args:
        tensordict (TensorDictBase): the batch.
        keys (iterable of NestedKey): masks to look for, ``True`` where a step counts: ``[*B]``,
            ``[*B, 1]``, or with fewer leading dimensions of ``*B``. All that are there must hold.
        batch (torch.Size): ``*B``.

    Raises:
        ValueError: for a mask of another shape, or with other entries than 0 and 1.
    """
    valid = None
    for key in keys:
        mask = tensordict.get(key, None)
        if mask is None:
            continue
        mask = as_bool(key, mask)
        given = mask.shape
        while mask.ndim > len(batch) and mask.shape[-1] == 1:
            mask = mask.squeeze(-1)
        if mask.shape != batch[: mask.ndim]:
            raise ValueError(
                f"the mask {key!r} must have one entry per step, shape {tuple(batch)} or "
                f"{(*batch, 1)}, got {tuple(given)}. Name another mask by loss_mask_key, or set "
                "loss_mask_key=None to count every step."
            )
        mask = mask[(...,) + (None,) * (len(batch) - mask.ndim)].expand(batch)
        valid = mask if valid is None else valid & mask
    return valid


def replace_masked(
    tensordict: TensorDictBase, valid: Tensor, allowing: Collection[NestedKey] = ()
) -> TensorDictBase:
    """A copy in which steps that do not count hold what the first step that counts holds.

    Networks so see what they may see anyway: zeros could mean an agent without any legal action, or
    divide by a norm of zero. Without a step that counts, entries are zeros, and ``True`` where they
    are boolean or name legal actions.

    Args:
        tensordict (TensorDictBase): batch ``[*B]``; not changed.
        valid (Tensor): bool ``[*B]``, the steps that count.
        allowing (collection of NestedKey): masks of legal actions.

    Returns:
        TensorDictBase: shares the entries without batch dimensions.

    Examples:
        >>> from tensordict import TensorDict
        >>> td = TensorDict({"x": torch.tensor([float("nan"), 5.0, 6.0])}, [3])
        >>> replace_masked(td, torch.tensor([False, True, True]))["x"]
        tensor([5., 5., 6.])
    """
    batch = valid.shape
    first = valid.flatten().to(torch.int64).argmax().unsqueeze(0)
    some = valid.any()
    allowing = {unravel_key(key) for key in allowing}
    replaced = tensordict.clone(False)
    for key, leaf in tensordict.items(True, True):
        if not isinstance(leaf, Tensor) or leaf.shape[: len(batch)] != batch:
            continue
        one = leaf.reshape(-1, *leaf.shape[len(batch) :]).index_select(0, first).squeeze(0)
        ones = leaf.dtype == torch.bool or key in allowing
        one = torch.where(some, one, torch.full_like(one, 1 if ones else 0))
        keep = valid[(...,) + (None,) * (leaf.ndim - len(batch))]
        replaced.set(key, torch.where(keep, leaf, one))
    return replaced


def time_dim_of(tensordict: TensorDictBase, batch: torch.Size) -> int:
    """Dimension of time in ``[*B]``: the one of that name, otherwise the last one."""
    names = tensordict.names if tensordict.ndim else []
    return names.index("time") if "time" in names else len(batch) - 1


def cut_before_masked(valid: Tensor, time_dim: int) -> Tensor:
    """The steps ``[*B]`` that count and are followed by one that does not.

    There a trajectory is cut: what comes next is not its future. The next value is still
    bootstrapped from, since a cut is no end.

    Examples:
        >>> cut_before_masked(torch.tensor([[True, True, False], [True, True, True]]), 1)
        tensor([[False,  True, False],
                [False, False, False]])
    """
    n_steps = valid.shape[time_dim]
    following = valid.narrow(time_dim, 1, n_steps - 1)
    cut = valid.narrow(time_dim, 0, n_steps - 1) & ~following
    return torch.cat([cut, torch.zeros_like(valid.narrow(time_dim, 0, 1))], time_dim)
