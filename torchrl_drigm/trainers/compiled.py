"""An update compiled with ``torch.compile``: losses and gradients of a batch as one graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from torchrl.trainers import Trainer

from torchrl_drigm.trainers.stepper import PerPartStepper

__all__ = ["Compiled", "CompiledStepper", "goes_on_without", "why_not_compiled"]

LossesAndGradients: TypeAlias = tuple[Mapping[str, Tensor], list[Tensor]]


def why_not_compiled(device: torch.device | str) -> str | None:
    """What ``torch.compile`` lacks on a device, or ``None`` where it has all.

    That is a C++ compiler for a CPU, and Triton for a GPU.

    Args:
        device (device or str): where the updates are.
    """
    if torch.device(device).type == "cpu":
        from torch._inductor.cpp_builder import get_cpp_compiler

        try:
            get_cpp_compiler()
        except Exception:
            return (
                "it needs a C++ compiler (g++ or clang++), and none was found. Install one, or "
                "name it in the environment variable CXX"
            )
        return None
    from torch.utils._triton import has_triton

    return None if has_triton() else "it needs Triton, which is not there. Install it"


def goes_on_without(reason: str) -> None:
    """Warn that updates are not compiled.

    Args:
        reason (str): why, and what mends it.
    """
    warnings.warn(
        f"compile=true: {reason}. Updates go on without: the same, only slower.", stacklevel=3
    )


class Compiled:
    """Losses of a batch and their gradients, compiled as one graph.

    Compiled at the first call, for batches of one size; what cannot be compiled is computed as it
    is, and a warning says so, once. Nothing is written into the batch, such as priorities. Another
    value of an attribute of the loss is compiled for anew; another module inside of it is not
    noticed.

    Args:
        compute (callable): gives losses, by name, and a list of gradients, for a batch.
    """

    def __init__(self, compute: Callable[[TensorDictBase], LossesAndGradients]) -> None:
        self._compute = compute
        self._compiled: Callable | None = None
        self._is_hopeless = False

    def __call__(self, batch: TensorDictBase) -> LossesAndGradients:
        """What ``compute`` gives."""
        leaves = {key: leaf for key, leaf in batch.items(True, True) if torch.is_tensor(leaf)}
        if self._compiled is not None:
            return self._compiled(leaves)
        losses, gradients = self._compute(batch.copy())
        if not self._is_hopeless:
            # only now: TensorDict remembers every type that it meets, and graphs are of as many
            compiled = self._compile(batch.batch_size)
            try:
                with warnings.catch_warnings():
                    # TensorDict reads an option of PyTorch that has become obsolete
                    warnings.filterwarnings("ignore", ".*inline_inbuilt_nn_modules", FutureWarning)
                    found = compiled(leaves)
            except (RuntimeError, TorchDynamoException) as error:
                self._is_hopeless = True
                told = next(iter(str(error).splitlines()), type(error).__name__)
                goes_on_without(f"this update cannot be compiled ({told})")
            else:
                self._compiled = compiled
                return found
        return {key: value.detach() for key, value in losses.items()}, gradients

    def _compile(self, batch_size: torch.Size) -> Callable:
        compute = self._compute

        def of_leaves(leaves: dict[NestedKey, Tensor]) -> LossesAndGradients:
            batch = TensorDict({}, batch_size)
            for key, leaf in leaves.items():
                batch[key] = leaf
            losses, gradients = compute(batch)
            return {key: value.detach() for key, value in losses.items()}, gradients

        # with compiled graphs of its own: many runs may share a process
        compiled = torch.compile(of_leaves, fullgraph=True, dynamic=False, isolate_recompiles=True)
        # gradients belong to the graph, so that forward and backward pass are compiled as one
        return torch._dynamo.config.patch(trace_autograd_ops=True)(compiled)


class CompiledStepper(PerPartStepper):
    """:class:`PerPartStepper` with the loss and its gradients compiled, as one graph.

    Clipping and the optimizers, which have fused forms of their own, stay outside. For another
    module inside of the loss, build a new trainer; see :class:`Compiled`.

    Args:
        optimizers (mapping of str to Optimizer): the optimizer of each part, by a name of it.
        turns (sequence of sequence of str, optional): as :class:`PerPartStepper` takes them. The
            graph has the gradients of all parts at each update.
    """

    def __init__(
        self,
        optimizers: Mapping[str, torch.optim.Optimizer],
        turns: Sequence[Sequence[str]] | None = None,
    ) -> None:
        super().__init__(optimizers, turns)
        self._compiled: Compiled | None = None

    def _losses_and_gradients(
        self, trainer: Trainer, sub_batch: TensorDictBase, turn: Sequence[str]
    ) -> tuple[TensorDictBase, list[Tensor]]:
        parts = list(self.optimizers)
        if self._compiled is None:
            loss = trainer.loss_module

            def compute(batch: TensorDictBase) -> LossesAndGradients:
                losses = loss(batch)
                return losses, self._gradients(losses, parts)

            self._compiled = Compiled(compute)
        losses, gradients = self._compiled(sub_batch)
        metrics = TensorDict(losses)
        if getattr(trainer.loss_module, "check_finite", False) and not all(
            torch.isfinite(torch.stack(list(losses.values()))).tolist()
        ):
            # names what is not finite
            trainer.compute_loss(sub_batch)
        return metrics, [own for part, own in zip(parts, gradients, strict=True) if part in turn]
