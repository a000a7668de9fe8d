"""Finite sets of kernels, which the adversary may choose from as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torchrl_drigm.tabular.dec_pomdp import check_kernel
from torchrl_drigm.uncertainty import UncertaintySet

__all__ = ["FiniteSet"]


class FiniteSet(UncertaintySet):
    r"""A finite set of whole kernels, as in the paper's Examples 1 and 2.

    Such a set is *not* of the product form that Eq. 1 asks for: the adversary picks one kernel for
    all states and joint actions. Its robust joint values are
    :math:`\inf_{P \in \mathcal P} Q^P_{tot}` (Eq. 3), no fixed point of the robust Bellman
    operator, and Theorem 1 does not hold for it (see
    :func:`~torchrl_drigm.tabular.robust_individual_values`). With ``rectangular=True`` it stands
    for its rectangular hull: the adversary picks a kernel per state and joint action, and Eq. 1
    holds.

    Args:
        kernels (sequence of Tensor): kernels of one shape, ``[S, A_1, ..., A_N, S']`` each.
        rectangular (bool): whether rows of different kernels may be mixed.

    Keyword Args:
        joint_with_reward (bool): whether rewards by next state follow the kernel, as they do where
            the adversary chooses reward and next state together. Defaults to ``False``.

    Attributes:
        kernels (Tensor): the kernels, stacked, ``[K, S, A_1, ..., A_N, S']`` float64.

    Raises:
        ValueError: if there is no kernel, or one has another shape or is no kernel.

    Examples:
        >>> left, right = torch.tensor([[[1.0, 0.0]]] * 2), torch.tensor([[[0.0, 1.0]]] * 2)
        >>> hull = FiniteSet([left, right], rectangular=True)
        >>> hull.expectation(left, torch.tensor([3.0, 5.0], dtype=torch.float64)).squeeze(-1)
        tensor([3., 3.], dtype=torch.float64)
    """

    def __init__(
        self,
        kernels: Sequence[Tensor],
        rectangular: bool = False,
        *,
        joint_with_reward: bool = False,
    ):
        super().__init__(joint_with_reward=joint_with_reward)
        if not len(kernels):
            raise ValueError("kernels must hold at least one kernel, got none.")
        shape = torch.as_tensor(kernels[0]).shape
        self.kernels = torch.stack(
            [check_kernel(kernel, shape, f"kernels[{i}]") for i, kernel in enumerate(kernels)]
        )
        self.rectangular = rectangular

    def __repr__(self):
        joint = ", joint_with_reward=True" if self.joint_with_reward else ""
        return f"FiniteSet({len(self.kernels)} kernels, rectangular={self.rectangular}{joint})"

    def __len__(self):
        return len(self.kernels)

    def expectation(self, probs: Tensor, values: Tensor) -> Tensor:
        """Smallest expectation of ``values`` in every row, ``[S, A_1, ..., A_N]``.

        The values are those of next states, ``[S']``, or of outcomes, ``[S, A_1, ..., A_N, S']``.

        ``probs``, the nominal kernel, gives the shape only: the set is no ball around it.

        Raises:
            ValueError: if ``probs`` has another shape than the kernels, or ``values`` has another
                one or is not finite.
        """
        return self._expectations(probs, values).amin(0)

    def worst_kernel(self, probs: Tensor, values: Tensor) -> Tensor:
        """The rows that attain :meth:`expectation`, ``[S, A_1, ..., A_N, S']``.

        Raises:
            ValueError: if ``probs`` has another shape than the kernels, or ``values`` has another
                one or is not finite.
        """
        which = self._expectations(probs, values).argmin(0)
        return self.kernels.take_along_dim(which[None, ..., None], 0).squeeze(0)

    def _expectations(self, probs: Tensor, values: Tensor) -> Tensor:
        """Under every kernel, ``[K, S, A_1, ..., A_N]``."""
        if probs.shape != self.kernels.shape[1:]:
            raise ValueError(
                "the kernels of the set must have the shape of the model's, "
                f"{list(probs.shape)}, got {list(self.kernels.shape[1:])}."
            )
        if values.shape not in (probs.shape, probs.shape[-1:]) or not values.isfinite().all():
            raise ValueError(
                "values must be one finite number per next state, [S'] = "
                f"{list(probs.shape[-1:])}, or per entry of probs, {list(probs.shape)}, got "
                f"{list(values.shape)}, {int((~values.isfinite()).sum())} of them not finite."
            )
        values = values.to(self.kernels)
        if values.ndim == 1:
            return self.kernels @ values
        return (self.kernels * values).sum(-1)
