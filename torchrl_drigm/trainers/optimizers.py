"""The optimizer of each part of a learner."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim.adagrad import adagrad

from torchrl_drigm.trainers._checks import check_choice

__all__ = ["RMSprop", "make_optimizers", "make_turns"]


class RMSprop(torch.optim.Optimizer):
    """:class:`torch.optim.RMSprop`, as an Adagrad that forgets: PyTorch has that in fused form.

    Adagrad divides a gradient by the root of the sum of its squares. If the sum is multiplied by
    ``alpha`` at every step, it is RMSprop's mean of squares over ``1 - alpha``, which learning rate
    and ``eps`` make up for.

    Args:
        parameters (iterable of Tensor): what to optimize.
        lr (float): learning rate.
        alpha (float): smoothing constant. Defaults to 0.99.
        eps (float): added to the denominator. Defaults to 1e-8.
        fused (bool, optional): as Adagrad takes it. Default: not fused.

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
        fused: bool | None = None,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "alpha": alpha, "eps": eps, "fused": fused})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Forget a part of the past, and do what Adagrad does."""
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            states = [self._state_of(parameter, group["fused"]) for parameter in moved]
            for state in states:
                state["sum"].mul_(group["alpha"])
            scale = math.sqrt(1.0 - group["alpha"])
            adagrad(
                moved,
                [parameter.grad for parameter in moved],
                [state["sum"] for state in states],
                [state["step"] for state in states],
                fused=group["fused"],
                lr=group["lr"] / scale,
                eps=group["eps"] / scale,
                lr_decay=0.0,
                weight_decay=0.0,
                maximize=False,
            )

    def _state_of(self, parameter: Tensor, fused: bool | None) -> dict[str, Tensor]:
        state = self.state[parameter]
        if not state:
            state["sum"] = torch.zeros_like(parameter)
            state["step"] = torch.zeros((), device=parameter.device if fused else "cpu")
        return state


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


def make_turns(cfg: DictConfig, parts: Iterable[str]) -> list[Sequence[str]] | None:
    """Which parts of a learner step at each update of a round; ``None`` for all of them, always.

    With ``optim.dual_first`` the dual network in the first half of ``optim.updates_per_batch``, and
    all others in the second; the first half does nothing where there is no dual network, as in the
    control of a run that has one.
    """
    if not cfg.optim.get("dual_first", False):
        return None
    half = cfg.optim.updates_per_batch // 2
    dual = [part for part in parts if part == "dual"]
    return [dual] * half + [[part for part in parts if part not in dual]] * half
