"""Whether a program that was made of a team acts as the team does, on random and real inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from tensordict import TensorDictBase
from torch import Tensor

from torchrl_drigm.tasks.playing import evaluation_mode
from torchrl_drigm.trainers.program import STATE, Entry, StepProgram
from torchrl_drigm.trainers.sizes import ACTION
from torchrl_drigm.trainers.team import Team

__all__ = ["Agreement", "Disagreement", "on_random_inputs", "on_real_inputs"]

Program = Callable[..., Sequence[Tensor]]

BATCHES = (1, 7, 64)  # copies at once: a program is for any number
STEPS, COPIES = 64, 2  # of an episode
# By how much values may differ, in units of the largest: sums are taken in another order. Two
# actions whose values are closer than that may stand for each other.
TOLERANCE = 1e-4
VALUES = ("agents", "action_value")


class Disagreement(RuntimeError):
    """A program does not act as the team does."""


@dataclass(frozen=True)
class Agreement:
    """How many of a program's actions are those of the team.

    Attributes:
        actions: how many were compared.
        ties: in how many both took another one, of the same value up to rounding.
    """

    actions: int
    ties: int

    def __str__(self) -> str:
        ties = f", {self.ties} of them between equal values" if self.ties else ""
        return f"{self.actions:,} actions{ties}"


def on_random_inputs(team: Team, step: StepProgram, program: Program) -> Agreement:
    """Compare a program with the team on inputs drawn at random, for several numbers of copies.

    Args:
        team (Team): who acts.
        step (StepProgram): what the program was made of; says what it takes.
        program (callable): inputs by position to outputs, on the CPU.

    Raises:
        Disagreement: for another action, or if something else is remembered.
    """
    generator = torch.Generator().manual_seed(0)
    found = []
    with evaluation_mode(team):
        for n in BATCHES:
            inputs = [_random(entry, n, team, step, generator) for entry in step.entries]
            action, *remembered = program(*inputs)
            acted = team(step.write(inputs))
            found.append(_compare(action, acted))
            if step.recurrent:
                _same(remembered[:1], [acted["next", *STATE]])
    return _sum(found)


def on_real_inputs(team: Team, step: StepProgram, program: Program) -> Agreement:
    """Compare a program with the team along an episode of the team's task, step after step.

    The program goes on from what it remembered by itself, from the first step on.

    Args:
        team (Team): who acts.
        step (StepProgram): what the program was made of.
        program (callable): inputs by position to outputs, on the CPU.

    Raises:
        Disagreement: for another action, or if something else is remembered.
        ImportError: if the task's simulator is not installed.
    """
    env = team.make_env(COPIES)
    try:
        with evaluation_mode(team):
            played = env.rollout(STEPS, team, auto_cast_to_device=True).cpu()
    finally:
        env.close()
    n_given = len(step.entries) - len(step.remembered)
    remembered, found = step.first(COPIES), []
    for now in played.unbind(-1):
        inputs = [entry.contiguous() for entry in step.read(now)]
        _same(remembered, inputs[n_given:])
        action, *remembered = program(*inputs[:n_given], *remembered)
        found.append(_compare(action, now))
        remembered = step.having_done(remembered, now[ACTION])  # of actions that tie
    return _sum(found)


def _random(
    entry: Entry, n: int, team: Team, step: StepProgram, generator: torch.Generator
) -> Tensor:
    shape, n_actions = (n, *entry.shape), team.sizes.n_actions
    if entry.dtype == "int64":
        return torch.randint(n_actions, shape, generator=generator)
    if entry.dtype == "bool":
        mask = torch.rand(shape, generator=generator) < 0.5
        # of every agent at least one action is available
        some = torch.randint(n_actions, shape[:-1], generator=generator)
        return mask.scatter(-1, some.unsqueeze(-1), True)
    if entry.name == "recurrent_state":
        return torch.randn(shape, generator=generator)
    # as far from each other as the networks' inputs are, in windows, as these are scaled
    n_agents, *window, n_features = entry.shape
    drawn = torch.randn(n, n_agents, *(window or [1]), n_features, generator=generator)
    loc, scale = step.drqn.observation_loc.cpu(), step.drqn.observation_scale.cpu()
    return (loc + scale * drawn).reshape(shape)


def _compare(action: Tensor, acted: TensorDictBase) -> Agreement:
    expected, values = acted[ACTION].cpu(), acted[VALUES].cpu()
    if action.shape != expected.shape or action.dtype != expected.dtype:
        raise Disagreement(
            f"its actions are {action.dtype} of shape {list(action.shape)}, the team's "
            f"{expected.dtype} of shape {list(expected.shape)}."
        )
    pair = torch.stack([expected, action], -1)
    best, other = values.gather(-1, pair.clamp(0, values.shape[-1] - 1)).unbind(-1)
    largest = torch.where(values > torch.finfo(values.dtype).min, values.abs(), 0.0).amax(-1)
    apart = (best - other).abs() > TOLERANCE * largest.clamp(min=1.0)
    wrong = apart | (action < 0) | (action >= values.shape[-1])
    if wrong.any():
        raise Disagreement(f"{int(wrong.sum())} of {wrong.numel()} actions are other ones.")
    return Agreement(action.numel(), int((action != expected).sum()))


def _same(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        theirs = theirs.cpu()
        if ours.shape != theirs.shape or not torch.allclose(
            ours.double(), theirs.double(), rtol=TOLERANCE, atol=TOLERANCE
        ):
            raise Disagreement("what it remembers from step to step is something else.")


def _sum(found: Sequence[Agreement]) -> Agreement:
    return Agreement(sum(a.actions for a in found), sum(a.ties for a in found))
