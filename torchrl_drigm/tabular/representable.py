"""Which joint values each factorization can have."""

from __future__ import annotations

import torch
from torch import Tensor

from torchrl_drigm.tabular.individual_values import additive_decomposition

__all__ = ["check_mixer", "representable"]

MIXERS = ("vdn", "qmix", "qtran")


def check_mixer(mixer: str) -> None:
    """Refuses a factorization that is none of VDN, QMIX and QTRAN.

    Raises:
        ValueError: naming what there is.

    Examples:
        >>> check_mixer("qmix")
    """
    if mixer not in MIXERS:
        raise ValueError(f"mixer must be one of {MIXERS}, got {mixer!r}.")


def representable(q: Tensor, mixer: str, atol: float = 1e-8) -> Tensor:
    r"""In which states a factorization can have these joint values, ``[S]`` bool.

    - ``"vdn"``: where they are a sum over agents.
    - ``"qmix"``: necessary conditions for TorchRL's ``QMixer`` (that of the QMIX paper). An agent
      ranks its actions alike whatever the others do, and, with the actions in that order, what an
      agent gains by a better action does not shrink as others take better ones. The second is more
      than monotonicity: one hidden layer of non-negative weights around the *convex* ELU has mixed
      second derivatives :math:`\sum_k w_k w_{ik} w_{jk}\, \mathrm{ELU}'' \ge 0`. "Either of us
      suffices", [[0, 1], [1, 1]], is monotone and out of its reach.
    - ``"qtran"``: everywhere; the joint value is free.

    Args:
        q (Tensor): joint action-values, ``[S, A_1, ..., A_N]``.
        mixer (str): ``"vdn"``, ``"qmix"`` or ``"qtran"``.
        atol (float): slack.

    Examples:
        >>> both, either = torch.tensor([[0.0, 0], [0, 1]]), torch.tensor([[0.0, 1], [1, 1]])
        >>> representable(torch.stack([both, either]), "qmix")
        tensor([ True, False])
        >>> representable(torch.stack([both, either]), "vdn")
        tensor([False, False])
    """
    check_mixer(mixer)
    n_agents = q.ndim - 1
    if mixer == "vdn":
        return additive_decomposition(q).residual <= atol
    fits = torch.ones(len(q), dtype=torch.bool)
    if mixer == "qtran":
        return fits
    for axis in range(1, n_agents + 1):
        # Where the ranking is common to all joint actions of the others, the mean has it.
        order = q.movedim(axis, 1).flatten(2).mean(2).argsort(1)
        order = order.reshape(len(q), *[-1 if i == axis else 1 for i in range(1, n_agents + 1)])
        q = q.take_along_dim(order, axis)
    for axis in range(1, n_agents + 1):
        gain = q.diff(dim=axis)
        fits &= (gain >= -atol).flatten(1).all(1)
        for other in range(axis + 1, n_agents + 1):
            fits &= (gain.diff(dim=other) >= -atol).flatten(1).all(1)
    return fits
