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

    The parameters of a group are moved into one block of memory, so that clipping and optimizer run
    over one tensor instead of some twenty. They stay the same objects, but build what keeps a
    reference to their memory, such as collectors, after this.

    Args:
        optimizers (mapping of str to Optimizer): the optimizer of each part, by a name of it.

    Raises:
        ValueError: if an optimizer has made steps already.

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

    def __init__(self, optimizers: Mapping[str, torch.optim.Optimizer]) -> None:
        self.optimizers = dict(optimizers)
        self._blocks = {part: _as_blocks(part, o) for part, o in self.optimizers.items()}

    def step(self, trainer: Trainer, sub_batch: TensorDictBase) -> TensorDictBase:
        """Update every part once; returns the losses and the gradient norm of each part."""
        for block in self._all_blocks():
            block.hold()
        metrics = self._backward(trainer, sub_batch)
        clip_norm = float("inf") if trainer.clip_norm is None else trainer.clip_norm
        for part, optimizer in self.optimizers.items():
            vectors = [block.vector for block in self._blocks[part]]
            # for one vector, or a few, faster than the for-each form
            norm = nn.utils.clip_grad_norm_(vectors, clip_norm, foreach=False)
            metrics[f"grad_norm_{part}"] = norm.detach()
            optimizer.step()
        for block in self._all_blocks():
            block.vector.grad = None
        return metrics

    def _backward(self, trainer: Trainer, sub_batch: TensorDictBase) -> TensorDictBase:
        """Give every block its gradient; returns the losses."""
        losses = trainer.compute_loss(sub_batch)
        total = sum(value for key, value in losses.items() if key.startswith("loss"))
        for block, gradient in zip(self._all_blocks(), self._gradients(total), strict=True):
            block.vector.grad = gradient
        return losses.detach()

    def _gradients(self, total: Tensor) -> list[Tensor]:
        """Gradient of every block."""
        blocks = self._all_blocks()
        parameters = [parameter for block in blocks for parameter in block.parameters]
        gradients = iter(torch.autograd.grad(total, parameters, materialize_grads=True))
        return [torch.cat([next(gradients).flatten() for _ in b.parameters]) for b in blocks]

    def _all_blocks(self) -> list[_Block]:
        return [block for blocks in self._blocks.values() for block in blocks]

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


class _Block:
    """Parameters that lie one after the other in ``vector``, itself a parameter."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.vector = nn.Parameter(torch.empty(0))
        self._places: list[int] = []
        self.hold()

    def hold(self) -> None:
        """Move the parameters into the vector, unless they are there.

        They leave it where others give them new memory, as ``Module.to`` does.
        """
        if self._places == [parameter.data_ptr() for parameter in self.parameters]:
            return
        self.vector.data = nn.utils.parameters_to_vector(self.parameters).detach()
        nn.utils.vector_to_parameters(self.vector, self.parameters)
        self._places = [parameter.data_ptr() for parameter in self.parameters]


def _as_blocks(part: str, optimizer: torch.optim.Optimizer) -> list[_Block]:
    """Lets an optimizer run over one block for each of its groups."""
    if optimizer.state:
        raise ValueError(
            f"the optimizer of {part!r} has made steps already. Build PerPartStepper before the "
            "first one."
        )
    blocks = []
    for group in optimizer.param_groups:
        blocks.append(_Block(group["params"]))
        group["params"] = [blocks[-1].vector]
    return blocks
