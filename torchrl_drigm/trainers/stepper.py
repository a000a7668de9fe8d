"""How a trainer updates: one backward pass, and one optimizer for each part of the learner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor, nn
from torchrl.trainers import OptimizationStepper, Trainer

__all__ = ["PerPartStepper"]


class PerPartStepper(OptimizationStepper):
    """One optimizer per part of the learner, one backward pass for all of them.

    The parts (Q-networks and mixer, QTRAN's joint networks, the dual network) have disjoint
    parameters, so the gradient of the summed losses is each part's own. It stands in for one
    ``OptimizerHook`` per part, which TorchRL deprecates and which runs one backward pass each.

    Args:
        optimizers (mapping of str to Optimizer): the optimizer of each part, by a name of it.
        turns (sequence of sequence of str, optional): the parts that step at each update of a
            round, after which the next one begins; the others stay as they are. Default: all of
            them, at each.

    Examples:
        >>> from types import SimpleNamespace
        >>> from tensordict import TensorDict
        >>> a, b = nn.Parameter(torch.ones(())), nn.Parameter(torch.ones(()))
        >>> stepper = PerPartStepper(
        ...     {"values": torch.optim.SGD([a], lr=0.5), "dual": torch.optim.SGD([b], lr=0.1)}
        ... )
        >>> trainer = SimpleNamespace(
        ...     compute_loss=lambda batch: TensorDict({"loss": a * 2, "loss_dual": b * 3}),
        ...     clip_norm=None,
        ... )
        >>> metrics = stepper.step(trainer, None)
        >>> a.item(), round(b.item(), 6), metrics["grad_norm_dual"].item()
        (0.0, 0.7, 3.0)
    """

    def __init__(
        self,
        optimizers: Mapping[str, torch.optim.Optimizer],
        turns: Sequence[Sequence[str]] | None = None,
    ) -> None:
        self.optimizers = dict(optimizers)
        self.turns = list(turns or [list(optimizers)])
        self._updates = 0  # of this round or earlier ones; checkpoints are made between rounds

    def step(self, trainer: Trainer, sub_batch: TensorDictBase) -> TensorDictBase:
        """Update every part whose turn it is; returns losses and the gradient norm of each part."""
        turn = self.turns[self._updates % len(self.turns)]
        self._updates += 1
        metrics, gradients = self._losses_and_gradients(trainer, sub_batch, turn)
        clip_norm = float("inf") if trainer.clip_norm is None else trainer.clip_norm
        gradients = dict(zip(turn, gradients, strict=True))
        for part, optimizer in self.optimizers.items():
            if part not in turn:
                metrics[f"grad_norm_{part}"] = next(iter(metrics.values())).new_zeros(())
                continue
            gradient = gradients[part]
            metrics[f"grad_norm_{part}"] = self.weight(part) * _clip(gradient, clip_norm)
            parameters = _parameters(optimizer)
            pieces = gradient.split([parameter.numel() for parameter in parameters])
            for parameter, piece in zip(parameters, pieces, strict=True):
                parameter.grad = piece.view_as(parameter)
            optimizer.step()
            for parameter in parameters:  # zero_grad() takes as long as a part of the step
                parameter.grad = None
        return metrics

    def weight(self, part: str) -> float:
        """Of a part's norms, with 0 where it does not step: their mean is that over its steps."""
        return len(self.turns) / max(sum(part in turn for turn in self.turns), 1)

    def _losses_and_gradients(
        self, trainer: Trainer, sub_batch: TensorDictBase, turn: Sequence[str]
    ) -> tuple[TensorDictBase, list[Tensor]]:
        """The losses without gradient, and the gradient of every part whose turn it is."""
        losses = trainer.compute_loss(sub_batch)
        return losses.detach(), self._gradients(losses, turn)

    def _gradients(self, losses: TensorDictBase, turn: Sequence[str]) -> list[Tensor]:
        """Gradient of each of these parts as one vector, which is clipped in one go."""
        if not turn:
            return []
        total = sum(value for key, value in losses.items() if key.startswith("loss"))
        parts = [_parameters(self.optimizers[part]) for part in turn]
        every = [parameter for part in parts for parameter in part]
        gradients = iter(torch.autograd.grad(total, every, materialize_grads=True))
        return [torch.cat([next(gradients).flatten() for _ in part]) for part in parts]

    def state_dict(self) -> dict[str, Any]:
        """State of every optimizer, by part."""
        return {part: optimizer.state_dict() for part, optimizer in self.optimizers.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore every optimizer, but not the form in which it was computed: fused, for-each."""
        for part, optimizer in self.optimizers.items():
            forms = [
                {name: group[name] for name in ("fused", "foreach") if name in group}
                for group in optimizer.param_groups
            ]
            optimizer.load_state_dict(state_dict[part])
            for group, form in zip(optimizer.param_groups, forms, strict=True):
                group.update(form)


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _clip(gradient: Tensor, clip_norm: float) -> Tensor:
    """Scale a gradient to a norm of at most ``clip_norm``, in place; returns what it was."""
    norm = torch.linalg.vector_norm(gradient)
    gradient.mul_((clip_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm
