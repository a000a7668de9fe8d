"""Parts of a learner that take turns: the dual network first, each update on its own batch."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from tensordict import TensorDict
from torch import nn

from tests.trainers.test_stack import RELEASED, member
from torchrl_drigm.evaluation import read_metrics
from torchrl_drigm.trainers import PerPartStepper
from torchrl_drigm.trainers.compiled import CompiledStepper


def snapshot(run):
    """Parameters of the dual network, and those of all that learns beside it."""
    loss = run.loss
    parts = {"dual": ["dual"], "values": ["local_value", "mixer", "joint_value", "state_value"]}
    return {
        part: torch.cat(
            [
                leaf.detach().flatten().clone()
                for name in names
                if (params := getattr(loss, f"{name}_network_params", None)) is not None
                for leaf in params.values(True, True)
                if isinstance(leaf, nn.Parameter)
            ]
        )
        for part, names in parts.items()
    }


@pytest.mark.parametrize("mixer", ["vdn", "qmix", "qtran"])
def test_the_dual_network_moves_first_and_alone_each_on_its_own_batch(tmp_path, mixer):
    run = member(
        *(tmp_path, f"mixer={mixer}", "uncertainty=tv", "uncertainty.worst_value=-1"),
        *(*RELEASED, "optim.updates_per_batch=6", "collector.total_frames=48"),
    )
    states, batches = [snapshot(run)], []
    stepper = run.trainer.optimization_stepper
    step = stepper.step

    def watched(trainer, batch):
        batches.append(batch.clone())
        metrics = step(trainer, batch)
        states.append(snapshot(run))
        return metrics

    stepper.step = watched
    run.train()
    assert len(batches) == 6 * (48 - 8) // 8  # the first batch is the first 16 steps
    for update, (before, after) in enumerate(pairwise(states)):
        moved = [part for part in before if not torch.equal(before[part], after[part])]
        assert moved == (["dual"] if update % 6 < 3 else ["values"])
    actions = [batch["agents", "history", "observation"] for batch in batches[-6:]]
    assert not any(torch.equal(a, b) for a, b in pairwise(actions))


def parameters():
    torch.manual_seed(0)
    return nn.Parameter(torch.randn(3)), nn.Parameter(torch.randn(4))


@pytest.mark.parametrize("cls", [PerPartStepper, CompiledStepper])
def test_a_part_steps_in_its_turns_alone(cls, monkeypatch):
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **kw: compile(f, backend="eager", **kw))
    a, b = parameters()
    stepper = cls(
        {"values": torch.optim.SGD([a], lr=0.1), "dual": torch.optim.SGD([b], lr=0.1)},
        turns=[["dual"], ["values"], ["values"]],
    )

    def loss(batch):
        scale = batch["scale"].mean()
        return TensorDict({"loss": (a**2).sum() * scale, "loss_dual": b.cos().sum() * scale})

    trainer = SimpleNamespace(clip_norm=None, compute_loss=loss, loss_module=loss)
    batch = TensorDict({"scale": torch.ones(2)}, [2])
    norms = {"values": [], "dual": []}
    for update in range(6):
        before = a.detach().clone(), b.detach().clone()
        expected = a.detach().clone() * 2, -b.detach().clone().sin()
        metrics = stepper.step(trainer, batch)
        own = update % 3 == 0
        torch.testing.assert_close(a.detach(), before[0] - (0 if own else 0.1 * expected[0]))
        torch.testing.assert_close(b.detach(), before[1] - (0.1 * expected[1] if own else 0))
        for part, gradient in zip(norms, expected, strict=True):
            found = metrics[f"grad_norm_{part}"].item()
            if own == (part == "dual"):
                norms[part].append((found, gradient.norm().item()))
            else:
                assert found == 0.0
    # the mean over a round, with its zeros, is that over the part's own steps
    for part, weight in (("values", 3 / 2), ("dual", 3)):
        for found, norm in norms[part]:
            assert found == pytest.approx(weight * norm)


def test_without_a_dual_network_the_first_half_does_nothing(tmp_path):
    """As in the control of a run that has one: as many updates of the values."""
    run = member(
        *(tmp_path, "uncertainty=none", "mixer=vdn", *RELEASED),
        *("optim.updates_per_batch=4", "collector.total_frames=16"),
    )
    before, seen = snapshot_of_values(run), []
    run.trainer.register_op("post_optim", lambda: seen.append(snapshot_of_values(run)))
    run.train()
    moved = [not torch.equal(a, b) for a, b in pairwise([before, *seen])]
    assert moved == [False, False, True, True]


def snapshot_of_values(run):
    leaves = run.loss.local_value_network_params.values(True, True)
    return torch.cat([leaf.detach().flatten().clone() for leaf in leaves])


def test_what_is_logged_of_a_round_is_of_its_own_updates(tmp_path):
    run = member(
        *(tmp_path, "mixer=vdn", "uncertainty=tv", "uncertainty.worst_value=-1", *RELEASED),
        "collector.total_frames=48",
    )
    run.train()
    metrics = read_metrics(run.run_dir)
    for part in ("values", "dual"):
        assert (metrics[f"grad_norm_{part}"].dropna() > 0).all()
