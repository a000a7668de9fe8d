"""What several runs learn, as one: their networks, losses, optimizers and target networks.

Axes: ``R`` runs, ``B`` batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.modules import SafeSequential
from torchrl.objectives import LossModule

from torchrl_drigm.modules import stack_modules
from torchrl_drigm.trainers.build import Run
from torchrl_drigm.trainers.builders import make_loss
from torchrl_drigm.trainers.compiled import Compiled, CompiledStepper
from torchrl_drigm.trainers.optimizers import make_optimizers
from torchrl_drigm.trainers.targets import make_target_updater
from torchrl_drigm.uncertainty._per_run import SetPerRun

__all__ = ["StackedLearner"]

_NETWORKS = ("local_value", "mixer", "joint_value", "state_value", "dual")


class StackedLearner:
    """Learns for several runs in one pass, in the parameters of each.

    Parameters, target parameters and the state of the optimizers are blocks with the runs first.
    What the runs have of these are views of the blocks from here on: each is at any time as it
    would be if it had learned alone, and can be evaluated.

    Args:
        runs (sequence of Run): of one architecture, all after as many updates.

    Attributes:
        loss (LossModule): gives losses ``[R]`` for a batch ``[R, B]``.
        agents (nn.Module): the agents of all runs, on ``[R, B]``.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        cfg = runs[0].cfg
        qnet, chooser = (
            list(parts) for parts in zip(*(r.agents.module for r in runs), strict=True)
        )
        agents = SafeSequential(_stack(qnet), chooser[0])
        mixer = nn.ModuleDict(
            {name: _stack([r.mixer[name] for r in runs]) for name in runs[0].mixer}
        )
        dual = None if runs[0].dual is None else stack_modules([r.dual for r in runs])
        self.loss = make_loss(cfg, agents, mixer, dual)
        self.loss.of_runs = True
        self.loss.check_finite = False  # of each run by itself
        estimators = [run.loss.value_estimator for run in runs]
        estimator = self.loss.value_estimator
        estimator.uncertainty = SetPerRun([one.uncertainty for one in estimators])
        estimator.gamma = torch.stack([one.gamma for one in estimators]).view(-1, 1, 1)
        self.agents = self.loss.local_value_network
        self.clip_norm = float("inf") if cfg.optim.clip_norm is None else cfg.optim.clip_norm
        self.target_updater = make_target_updater(cfg, self.loss)  # sets the targets, as all do
        self._share_parameters()
        self._make_optimizers()
        is_compiled = isinstance(runs[0].trainer.optimization_stepper, CompiledStepper)
        self._learn = Compiled(self._compute) if is_compiled else self._compute
        first = runs[0].trainer.target_net_updater
        if hasattr(first, "counter"):
            self.target_updater.counter = first.counter

    # ---- an update

    def losses_and_gradients(
        self, batch: TensorDictBase, update: int = 0
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Losses, logged values and norms of gradients, and the gradients, clipped.

        With ``compile=true`` as one graph; where there is no such graph it says so, once.

        Args:
            batch (TensorDictBase): ``[R, B]``.
            update (int): which one of a round it is, for parts that take turns.

        Returns:
            tuple: numbers ``[R]`` by name, and the gradients of all parts.
        """
        values, gradients = self._learn(batch)
        values, stepper = dict(values), self.runs[0].trainer.optimization_stepper
        turn = stepper.turns[update % len(stepper.turns)]
        for part in self._parameters:
            norm = values.pop(f"grad_norm_{part}")
            values[f"grad_norm_{part}"] = norm * (stepper.weight(part) if part in turn else 0)
        return values, gradients

    def _compute(self, batch: TensorDictBase) -> tuple[Mapping[str, Tensor], list[Tensor]]:
        losses = self.loss(batch)
        total = sum(value.sum() for key, value in losses.items() if key.startswith("loss"))
        every = [parameter for part in self._parameters.values() for parameter in part]
        found = iter(torch.autograd.grad(total, every, materialize_grads=True))
        values, gradients = dict(losses.detach().items()), []
        for part, parameters in self._parameters.items():
            own = [next(found) for _ in parameters]
            norm = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in own])
            values[f"grad_norm_{part}"] = norm = torch.linalg.vector_norm(norm, dim=0)
            scale = (self.clip_norm / (norm + 1e-6)).clamp(max=1.0)
            # not in place, as two parameters may have one gradient; and in the parameter's layout,
            # which fused optimizers take for granted
            gradients += [(g * scale.view(-1, *[1] * (g.ndim - 1))).contiguous() for g in own]
        return values, gradients

    def step(self, gradients: Sequence[Tensor], update: int = 0) -> None:
        """Step every run along its own gradient.

        Args:
            gradients (sequence of Tensor): of all parts, clipped.
            update (int): which one of a round it is, for parts that take turns.
        """
        gradients = iter(gradients)
        stepper = self.runs[0].trainer.optimization_stepper
        turn = stepper.turns[update % len(stepper.turns)]
        for part, parameters in self._parameters.items():
            own = [next(gradients) for _ in parameters]
            if part not in turn:
                continue
            for gradient, blocks in zip(own, self._blocks[part], strict=True):
                for block, rows in blocks:
                    block.grad = gradient if len(blocks) == 1 else gradient[rows]
            self.optimizers[part].step()
            for blocks in self._blocks[part]:
                for block, _ in blocks:
                    block.grad = None
        self.target_updater.step()

    def follow_rates(self) -> None:
        """Take over the learning rates of the runs, which may fall."""
        for part, optimizer in self.optimizers.items():
            own = [run.trainer.optimization_stepper.optimizers[part] for run in self.runs]
            for group, start in zip(optimizer.param_groups, self._starts[part], strict=True):
                group["lr"] = own[start].param_groups[0]["lr"]

    # ---- what is the runs' own

    def _share_parameters(self) -> None:
        """Take over values and target values of all runs, and give them views of the blocks."""
        for block, own in _pairs(self.loss, [run.loss for run in self.runs]):
            block.data.copy_(torch.stack([tensor.data for tensor in own]))
            for tensor, view in zip(own, block.data, strict=True):
                tensor.data = view

    def _make_optimizers(self) -> None:
        """One for each part, with a group for neighbours of one learning rate."""
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self._parameters: dict[str, list[nn.Parameter]] = {}
        self._starts: dict[str, list[int]] = {}  # the first run of each group
        # of each parameter: the parts of its block that an optimizer takes by themselves
        self._blocks: dict[str, list[list[tuple[nn.Parameter, slice]]]] = {}
        for part, optimizer in make_optimizers(self.runs[0].cfg, self.loss).items():
            parameters = optimizer.param_groups[0]["params"]
            # the rates at the start: those of a run that has ended may all be zero
            rates = [r.trainer.learning_rates.initial[part][0] for r in self.runs]
            starts = [i for i, lr in enumerate(rates) if i == 0 or lr != rates[i - 1]]
            self._starts[part] = starts
            rows = [slice(a, b) for a, b in zip(starts, [*starts[1:], len(rates)], strict=True)]
            if len(rows) == 1:
                blocks = [[(parameter, rows[0])] for parameter in parameters]
            else:
                blocks = [[(nn.Parameter(p.data[part]), part) for part in rows] for p in parameters]
            groups = [
                {"params": [own[i][0] for own in blocks], "lr": rates[part.start]}
                for i, part in enumerate(rows)
            ]
            self.optimizers[part] = type(optimizer)(groups, **optimizer.defaults)
            self._parameters[part], self._blocks[part] = parameters, blocks
        self.follow_rates()
        self._take_states()

    def _states(self) -> Iterator[tuple[dict, nn.Parameter, list[dict]]]:
        """The state of each block of parameters, and the runs' states of its rows."""
        for part, optimizer in self.optimizers.items():
            owners = [r.trainer.optimization_stepper.optimizers[part] for r in self.runs]
            every = [owner.param_groups[0]["params"] for owner in owners]
            for i, blocks in enumerate(self._blocks[part]):
                for block, rows in blocks:
                    own = [
                        owner.state[parameters[i]]
                        for owner, parameters in zip(owners[rows], every[rows], strict=True)
                    ]
                    yield optimizer.state[block], block, own

    def _take_states(self) -> None:
        for state, _, own in self._states():
            for name, first in own[0].items():
                values = [one[name] for one in own]
                state[name] = torch.stack(values) if first.ndim else first.clone()

    def hand_over(self) -> None:
        """Let the runs' optimizers have their state, as views where it has the runs."""
        for state, block, own in self._states():
            for row, one in enumerate(own):
                for name, value in state.items():
                    one[name] = value[row] if value.shape == block.shape else value.clone()
        for run in self.runs:
            updater = run.trainer.target_net_updater
            if hasattr(updater, "counter"):
                updater.counter = self.target_updater.counter


def _stack(modules: Sequence[TensorDictModule]) -> TensorDictModule:
    first = modules[0]
    return TensorDictModule(
        stack_modules([module.module for module in modules]), first.in_keys, first.out_keys
    )


def _pairs(
    block: LossModule, losses: Sequence[LossModule]
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Each parameter, target and buffer of the networks in a stacked loss, and the runs' own."""
    for name in (
        f"{kind}{network}_network_params" for kind in ("", "target_") for network in _NETWORKS
    ):
        trees = [getattr(loss, name, None) for loss in (block, *losses)]
        if trees[0] is None:
            continue
        for stacked, *own in zip(*(tree.values(True, True) for tree in trees), strict=True):
            yield stacked, own
