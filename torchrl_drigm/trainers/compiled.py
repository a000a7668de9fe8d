"""An update compiled with ``torch.compile``: losses and gradients of a batch as one graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torch._dynamo.exc import BackendCompilerFailed
from torch._inductor.exc import InductorError
from torchrl.trainers import Trainer

from torchrl_drigm.trainers.stepper import PerPartStepper

__all__ = ["Compiled", "CompiledStepper", "check_compiler"]

LossesAndGradients: TypeAlias = tuple[Mapping[str, Tensor], list[Tensor]]

REMEDY = "Install what is missing, or set compile=false: the updates are the same, only slower."


def check_compiler(device: torch.device | str) -> None:
    """Refuse a machine on which ``torch.compile`` has nothing to compile with.

    Raises:
        RuntimeError: without a C++ compiler, for a CPU, or without Triton, for a GPU.
    """
    if torch.device(device).type == "cpu":
        from torch._inductor.cpp_builder import get_cpp_compiler

        try:
            get_cpp_compiler()
        except Exception as error:
            raise RuntimeError(
                "compile=true needs a C++ compiler (g++ or clang++), and none was found. Install "
                "one, name it in the environment variable CXX, or set compile=false."
            ) from error
        return
    from torch.utils._triton import has_triton

    if not has_triton():
        raise RuntimeError(f"compile=true on {device} needs Triton, which is not there. {REMEDY}")


class Compiled:
    """Losses of a batch and their gradients, compiled as one graph.

    Compiled at the first call, for batches of one size. Nothing is written into the batch, such as
    priorities. Another value of an attribute of the loss is compiled for anew; another module
    inside of it is not noticed.

    Args:
        compute (callable): gives losses, by name, and a list of gradients, for a batch.
    """

    def __init__(self, compute: Callable[[TensorDictBase], LossesAndGradients]) -> None:
        self._compute = compute
        self._compiled: Callable | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there is a graph."""
        return self._compiled is not None

    def __call__(self, batch: TensorDictBase) -> LossesAndGradients:
        """What ``compute`` gives.

        Raises:
            RuntimeError: if it cannot be compiled.
        """
        leaves = {key: leaf for key, leaf in batch.items(True, True) if torch.is_tensor(leaf)}
        if self._compiled is not None:
            return self._compiled(leaves)
        # TensorDict remembers every type that it meets, and graphs are of as many as there were
        self._compute(batch.copy())
        compiled = self._compile(batch.batch_size)
        try:
            with warnings.catch_warnings():
                # TensorDict reads an option of PyTorch that has become obsolete
                warnings.filterwarnings("ignore", ".*inline_inbuilt_nn_modules", FutureWarning)
                found = compiled(leaves)
        except (BackendCompilerFailed, InductorError) as error:
            raise RuntimeError(f"compile=true failed: {error}\n{REMEDY}") from error
        self._compiled = compiled
        return found

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
