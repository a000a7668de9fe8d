"""Optimizers and the step over all of them, against PyTorch's own."""

import copy
from types import SimpleNamespace

import pytest
import torch
from tensordict import TensorDict
from torch import nn

from torchrl_drigm.trainers import PerPartStepper
from torchrl_drigm.trainers.optimizers import RMSprop


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", [{"fused": True}, {"fused": False}], ids=["fused", "plain"])
def test_equals_pytorchs_RMSprop(form, dtype):
    start = torch.randn(50, dtype=dtype)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizer, expected = RMSprop([ours], 1e-2, **form), torch.optim.RMSprop([theirs], 1e-2)
    for step in range(30):
        gradient = torch.randn(50, dtype=dtype) * 10.0 ** (step % 5 - 3)
        gradient[:10] = 0.0  # never moved
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        optimizer.step()
        expected.step()
    torch.testing.assert_close(ours, theirs)
    assert torch.equal(ours[:10], start[:10]) and not torch.equal(ours[10:], start[10:])


def test_goes_on_from_its_state_in_another_form():
    """As where a checkpoint comes from a device that has no fused form."""
    start = torch.randn(50)
    first, second = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    fused = PerPartStepper({"values": RMSprop([first], 1e-2, fused=True)})
    plain = PerPartStepper({"values": RMSprop([second], 1e-2, fused=False)})

    def step(stepper, parameter):
        loss = SimpleNamespace(
            clip_norm=None,
            compute_loss=lambda _: TensorDict({"loss": (parameter**2).sum()}),
        )
        stepper.step(loss, None)

    for _ in range(3):
        step(fused, first)
    second.data.copy_(first)
    plain.load_state_dict(copy.deepcopy(fused.state_dict()))
    assert not plain.optimizers["values"].param_groups[0]["fused"]
    step(fused, first)
    step(plain, second)
    torch.testing.assert_close(second, first)


@pytest.mark.parametrize("clip_norm", [None, 0.5, 1e6])
def test_step_equals_pytorchs_clipping_of_each_part(clip_norm):
    """Two parts, of which one has two groups of parameters."""

    def parameters():
        torch.manual_seed(0)
        return [nn.Parameter(torch.randn(shape)) for shape in ((3, 2), (4,), (5, 1))]

    def optimizers(a, b, c):
        groups = [{"params": [a], "lr": 0.1}, {"params": [b], "lr": 0.2}]
        return {"values": torch.optim.SGD(groups, momentum=0.9), "dual": torch.optim.Adam([c])}

    def loss(a, b, c):
        return TensorDict({"loss": (a.exp().sum() + b[0]) ** 2, "loss_dual": c.cos().sum()})

    ours, theirs = parameters(), parameters()
    stepper, expected = PerPartStepper(optimizers(*ours)), optimizers(*theirs)
    trainer = SimpleNamespace(clip_norm=clip_norm, compute_loss=lambda _: loss(*ours))
    for _ in range(4):
        metrics = stepper.step(trainer, None)
        sum(loss(*theirs).values()).backward()
        max_norm = float("inf") if clip_norm is None else clip_norm
        for part, parts_own in (("values", theirs[:2]), ("dual", theirs[2:])):
            norm = nn.utils.clip_grad_norm_(parts_own, max_norm)
            torch.testing.assert_close(metrics[f"grad_norm_{part}"], norm)
            expected[part].step()
            expected[part].zero_grad()
        for parameter, reference in zip(ours, theirs, strict=True):
            torch.testing.assert_close(parameter, reference)
