"""The optimizer of each part of a learner."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from torchrl_drigm.trainers._checks import check_choice

__all__ = ["make_optimizers", "rmsprop"]

_MANY_STEPS = 1e6  # after these, Adam's bias correction is 1 in every floating-point type


def rmsprop(
    parameters: Iterable[Tensor], lr: float, alpha: float = 0.99, eps: float = 1e-8, **form
) -> torch.optim.Adam:
    """:class:`torch.optim.RMSprop`, computed by :class:`torch.optim.Adam`.

    Adam without momentum and without bias correction is RMSprop, and of the two PyTorch has a fused
    form of Adam only, which takes half the time. Adam's state is made as after many steps, when
    nothing is left to correct.

    Args:
        parameters (iterable of Tensor): what to optimize.
        lr (float): learning rate.
        alpha (float): smoothing constant. Defaults to 0.99.
        eps (float): added to the denominator. Defaults to 1e-8.
        **form: ``fused`` or ``foreach``, as Adam takes them.

    Examples:
        >>> a, b = (nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
        >>> optimizers = rmsprop([a], lr=0.1, fused=True), torch.optim.RMSprop([b], lr=0.1)
        >>> for _ in range(3):
        ...     for parameter, optimizer in zip((a, b), optimizers):
        ...         parameter.grad = parameter.detach() ** 2
        ...         optimizer.step()
        >>> torch.allclose(a, b)
        True
    """
    optimizer = torch.optim.Adam(parameters, lr=lr, betas=(0.0, alpha), eps=eps, **form)
    optimizer.register_step_pre_hook(_start_late)
    return optimizer


def _start_late(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None and parameter not in optimizer.state:
                device = parameter.device if group["fused"] else "cpu"
                optimizer.state[parameter] = {
                    "step": torch.tensor(_MANY_STEPS, device=device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }


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
    optimizers = {"adam": adam, "rmsprop": partial(rmsprop, fused=True)}
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
