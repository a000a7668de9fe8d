"""An update compiled with ``torch.compile``: losses and gradients of a batch as one graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torch._dynamo.exc import BackendCompilerFailed
from torch._inductor.exc import InductorError
from torchrl.objectives import LossModule
from torchrl.trainers import Trainer

from torchrl_drigm.trainers.stepper import PerPartStepper

__all__ = ["CompiledStepper", "check_compiler"]

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


class CompiledStepper(PerPartStepper):
    """:class:`PerPartStepper` with the loss and its gradients compiled, as one graph.

    Clipping and the optimizers, which have fused forms of their own, stay outside.

    Compiled at the first update, for batches of one size. Nothing is written into the batch, such
    as priorities. Another value of an attribute of the loss is compiled for anew; another module
    inside of it is not noticed: build a new trainer for that.

    Args:
        optimizers (mapping of str to Optimizer): the optimizer of each part, by a name of it.
    """

    def __init__(self, optimizers: Mapping[str, torch.optim.Optimizer]) -> None:
        super().__init__(optimizers)
        self._compiled: Callable | None = None

    def _losses_and_gradients(
        self, trainer: Trainer, sub_batch: TensorDictBase
    ) -> tuple[TensorDictBase, list[Tensor]]:
        leaves = {key: leaf for key, leaf in sub_batch.items(True, True) if torch.is_tensor(leaf)}
        if self._compiled is None:
            compute = self._compile(trainer.loss_module, sub_batch)
            try:
                with warnings.catch_warnings():
                    # TensorDict reads an option of PyTorch that has become obsolete
                    warnings.filterwarnings("ignore", ".*inline_inbuilt_nn_modules", FutureWarning)
                    losses, gradients = compute(leaves)
            except (BackendCompilerFailed, InductorError) as error:
                raise RuntimeError(f"compile=true failed: {error}\n{REMEDY}") from error
            self._compiled = compute
        else:
            losses, gradients = self._compiled(leaves)
        metrics = TensorDict(losses)
        if getattr(trainer.loss_module, "check_finite", False) and not all(
            torch.isfinite(torch.stack(list(losses.values()))).tolist()
        ):
            # names what is not finite
            trainer.compute_loss(sub_batch)
        return metrics, gradients

    def _compile(self, loss: LossModule, sub_batch: TensorDictBase) -> Callable:
        batch_size = sub_batch.batch_size

        def losses_and_gradients(
            leaves: dict[NestedKey, Tensor],
        ) -> tuple[dict[str, Tensor], list[Tensor]]:
            batch = TensorDict({}, batch_size)
            for key, leaf in leaves.items():
                batch[key] = leaf
            losses = loss(batch)
            gradients = self._gradients(losses)
            return {key: value.detach() for key, value in losses.items()}, gradients

        # with compiled graphs of its own: many runs may share a process
        compiled = torch.compile(
            losses_and_gradients, fullgraph=True, dynamic=False, isolate_recompiles=True
        )
        # gradients belong to the graph, so that forward and backward pass are compiled as one
        return torch._dynamo.config.patch(trace_autograd_ops=True)(compiled)
