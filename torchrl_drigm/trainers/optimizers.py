"""The optimizer of each part of a learner."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from torchrl_drigm.trainers.builders import check_choice

__all__ = ["RMSprop", "make_optimizers"]


class RMSprop(torch.optim.Adagrad):
    """:class:`torch.optim.RMSprop`, as an Adagrad that forgets: PyTorch has that in fused form.

    Adagrad divides a gradient by the root of the sum of its squares; if the sum is multiplied by
    ``alpha`` at every step, it is RMSprop's mean of squares over ``1 - alpha``, which ``lr`` and
    ``eps`` take into account.

    Args:
        parameters (iterable of Tensor): what to optimize.
        lr (float): learning rate, as RMSprop has it. The groups hold Adagrad's own.
        alpha (float): smoothing constant. Defaults to 0.99.
        eps (float): added to the denominator. Defaults to 1e-8.
        **form: ``fused`` or ``foreach``, as Adagrad takes them.

    Examples:
        >>> a, b = (nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
        >>> optimizers = RMSprop([a], lr=0.01, fused=True), torch.optim.RMSprop([b], lr=0.01)
        >>> for _ in range(3):
        ...     for parameter, optimizer in zip((a, b), optimizers):
        ...         parameter.grad = parameter.detach() ** 2
        ...         optimizer.step()
        >>> torch.allclose(a, b)
        True
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        alpha: float = 0.99,
        eps: float = 1e-8,
        **form: bool,
    ) -> None:
        scale = math.sqrt(1.0 - alpha)
        super().__init__(parameters, lr=lr / scale, eps=eps / scale, **form)
        self.alpha = alpha

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Forget a part of the past, and do what Adagrad does."""
        for parameter, state in self.state.items():
            if parameter.grad is not None:
                state["sum"].mul_(self.alpha)
        return super().step(closure)


def make_optimizers(cfg: DictConfig, loss: nn.Module) -> dict[str, torch.optim.Optimizer]:
    """One optimizer for the agents and a mixer, one for QTRAN's networks, one for the dual.

    Args:
        cfg (DictConfig): the composed config; ``optim.name``, ``optim.lr``, ``mixer`` and
            ``uncertainty.dual_lr``.
        loss (nn.Module): loss of :func:`~torchrl_drigm.trainers.make_loss`.

    Returns:
        dict: optimizers by the name of the part: ``"values"``, ``"joint"``, ``"dual"``.
    """

    def of(*networks: str) -> list[nn.Parameter]:
        owned = (getattr(loss, f"{network}_network_params") for network in networks)
        leaves = (leaf for params in owned for leaf in params.values(True, True))
        return [leaf for leaf in leaves if isinstance(leaf, nn.Parameter)]

    adam = partial(torch.optim.Adam, fused=True)
    optimizers = {"adam": adam, "rmsprop": partial(RMSprop, fused=True)}
    values = optimizers[check_choice("optim.name", cfg.optim.name, optimizers)]
    if cfg.mixer.name == "qtran":
        parts = {
            "values": values(of("local_value"), lr=cfg.optim.lr),
            "joint": adam(of("joint_value", "state_value"), lr=cfg.mixer.lr),
        }
    else:
        parts = {"values": values(of("local_value", "mixer"), lr=cfg.optim.lr)}
    if loss.dual_network is not None:
        parts["dual"] = adam(of("dual"), lr=cfg.uncertainty.dual_lr)
    return parts
