"""One step of a team as a function of tensors, for programs that run without this package.

Axes: ``B`` copies, ``A`` agents, ``W`` window steps, ``F`` observation features, ``S`` numbers of
recurrent state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor, nn

from torchrl_drigm.envs.transforms.history import HISTORY
from torchrl_drigm.modules import DRQN
from torchrl_drigm.trainers.sizes import ACTION, ACTION_MASK, OBSERVATION
from torchrl_drigm.trainers.team import Team

__all__ = ["Entry", "StepProgram"]

STATE, PREVIOUS = ("agents", "recurrent_state"), ("agents", "previous_action")


@dataclass(frozen=True)
class Entry:
    """An input of a program.

    Attributes:
        name: what it is called.
        shape: without the dimension of the copies.
        dtype: ``"float32"``, ``"int64"`` or ``"bool"``.
        initial: of what a program remembers, the value of all its numbers at the first step of an
            episode; ``None`` for what is given at every step.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    initial: int | None = None


class StepProgram(nn.Module):
    """What agents see, and what they remember, to what they do, and what they remember next.

    Nothing is kept in the program. Inputs are those of :attr:`entries`, in that order: the
    observations ``[B, A, F]``, the masks ``[B, A, n_actions]`` where actions can be unavailable,
    and then what is remembered. Outputs are the actions ``[B, A]`` and what to give as remembered
    at the next step, in the order of the inputs.

    Args:
        team (Team): of :func:`~torchrl_drigm.trainers.load_team`.
    """

    def __init__(self, team: Team) -> None:
        super().__init__()
        (self.drqn,) = (module for module in team.modules() if isinstance(module, DRQN))
        sizes, self.recurrent = team.sizes, bool(team.cfg.agent.recurrent)
        n = sizes.n_agents
        entries = [Entry("observation", (n, sizes.observation_size), "float32")]
        if sizes.has_mask:
            entries.append(Entry("action_mask", (n, sizes.n_actions), "bool"))
        if self.recurrent:
            entries.append(Entry("recurrent_state", (n, self.drqn.state_size), "float32", 0))
            # no action led to the first observation, which has a number of its own
            entries.append(Entry("previous_action", (n,), "int64", sizes.n_actions))
        else:
            window = team.cfg.agent.window
            if window > 1:
                shape = (n, window - 1, sizes.observation_size)
                entries.append(Entry("past_observation", shape, "float32", 0))
            entries.append(Entry("past_action", (n, window), "int64", 0))
        self.entries = tuple(entries)

    @property
    def remembered(self) -> list[Entry]:
        """The inputs that the last step gave."""
        return [entry for entry in self.entries if entry.initial is not None]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Greedy actions, and what to remember."""
        given = dict(zip((entry.name for entry in self.entries), inputs, strict=True))
        if self.recurrent:
            value, states = self.drqn.unroll(
                given["observation"].unsqueeze(1),
                given["previous_action"].unsqueeze(1),
                given["recurrent_state"],
            )
            action = self._greedy(value.squeeze(1), given)
            return action, states.squeeze(1), action
        seen = given["observation"].unsqueeze(-2)
        if "past_observation" in given:
            seen = torch.cat([given["past_observation"], seen], -2)
        value = self.drqn(seen, given["past_action"])
        action = self._greedy(value[0] if isinstance(value, tuple) else value, given)
        past = torch.cat([given["past_action"][..., 1:], action.unsqueeze(-1)], -1)
        return (action, seen[..., 1:, :], past) if "past_observation" in given else (action, past)

    @staticmethod
    def _greedy(value: Tensor, given: dict[str, Tensor]) -> Tensor:
        if "action_mask" in given:
            value = value.masked_fill(~given["action_mask"], torch.finfo(value.dtype).min)
        return value.argmax(-1)

    def first(self, n: int) -> list[Tensor]:
        """What ``n`` copies remember at the first step of an episode."""
        return [
            torch.full((n, *entry.shape), entry.initial, dtype=getattr(torch, entry.dtype))
            for entry in self.remembered
        ]

    def read(self, step: TensorDictBase) -> list[Tensor]:
        """The inputs that a step of an environment is, on which the team's memory lies."""
        found = {"observation": step[OBSERVATION]}
        if ACTION_MASK in step.keys(True):
            found["action_mask"] = step[ACTION_MASK]
        if self.recurrent:
            found |= {"recurrent_state": step[STATE], "previous_action": step[PREVIOUS]}
        else:
            found |= {
                "past_observation": step[HISTORY[0]][..., :-1, :],
                "past_action": step[HISTORY[1]],
            }
        return [found[entry.name] for entry in self.entries]

    def write(self, inputs: list[Tensor]) -> TensorDict:
        """What the team itself acts on, for the same inputs."""
        given = dict(zip((entry.name for entry in self.entries), inputs, strict=True))
        observation = given["observation"]
        step = TensorDict({}, [len(observation)])
        if "action_mask" in given:
            step[ACTION_MASK] = given["action_mask"]
        if self.recurrent:
            step[OBSERVATION], step[PREVIOUS] = observation, given["previous_action"]
            step[STATE] = given["recurrent_state"]
            step["is_init"] = torch.zeros(len(observation), 1, dtype=torch.bool)
            return step
        past = given.get("past_observation", observation[..., None, :].narrow(-2, 0, 0))
        step[HISTORY[0]] = torch.cat([past, observation.unsqueeze(-2)], -2)
        step[HISTORY[1]] = given["past_action"]
        return step

    def having_done(self, remembered: list[Tensor], action: Tensor) -> list[Tensor]:
        """What to remember where another action was taken than the program's."""
        *others, last = remembered
        if self.recurrent:
            return [*others, action]
        return [*others, torch.cat([last[..., :-1], action.unsqueeze(-1)], -1)]

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """Names, shapes and types of inputs and outputs, as JSON has them."""

        def told(entry: Entry, name: str, **more: Any) -> dict[str, Any]:
            return {"name": name, "shape": ["batch", *entry.shape], "dtype": entry.dtype, **more}

        n = self.entries[0].shape[0]
        return {
            "inputs": [
                told(e, e.name, **({} if e.initial is None else {"initial": e.initial}))
                for e in self.entries
            ],
            "outputs": [
                told(Entry("", (n,), "int64"), ACTION[-1]),
                *(told(e, f"next_{e.name}") for e in self.remembered),
            ],
        }
