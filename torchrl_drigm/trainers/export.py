"""A trained team as one file that PyTorch alone runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor, nn
from torchrl.envs.utils import ExplorationType, set_exploration_type

from torchrl_drigm._files import atomic_path
from torchrl_drigm.modules import DRQN
from torchrl_drigm.trainers.sizes import ACTION
from torchrl_drigm.trainers.team import Team, load_team

__all__ = ["export_team"]


class _Program(nn.Module):
    """Inputs by position to greedy actions, and to the next state of agents that carry one."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        (self.drqn,) = (module for module in team.modules() if isinstance(module, DRQN))
        self.names = [_name(key) for key in team.in_keys]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.names, inputs, strict=True))
        if "recurrent_state" not in given:
            value = self.drqn(given["history_observation"], given["history_action"])
            value = value[0] if isinstance(value, tuple) else value
            return (self._greedy(value, given),)
        step = (given[name].unsqueeze(1) for name in ("observation", "previous_action"))
        is_init = given["is_init"].unsqueeze(1)
        value, states = self.drqn.unroll(*step, given["recurrent_state"], is_init)
        return self._greedy(value.squeeze(1), given), states.squeeze(1)

    @staticmethod
    def _greedy(value: Tensor, given: dict[str, Tensor]) -> Tensor:
        if "action_mask" in given:
            value = value.masked_fill(~given["action_mask"], torch.finfo(value.dtype).min)
        return value.argmax(-1)


def export_team(run_dir: str | Path, path: str | os.PathLike | None = None) -> Path:
    """Write the trained team of a run as a program of :mod:`torch.export`, and what it takes.

    The program runs without this package: ``torch.export.load(path).module()(*inputs)``. A JSON
    file beside it, of the same name, says what each input and output is, with its shape and type.
    Before either file is written, the program's actions are compared with the team's.

    Args:
        run_dir (str or Path): folder of the run.
        path (str or Path, optional): where to write; ends in ``.pt2``. Default: ``team.pt2`` in the
            run's folder.

    Returns:
        Path: of the program.

    Raises:
        FileNotFoundError: if the run has no config or no checkpoint.
        ValueError: if the path has another ending, or the run is damaged.
        RuntimeError: if the program does not act as the team does.
    """
    path = Path(run_dir) / "team.pt2" if path is None else Path(path)
    if path.suffix != ".pt2":
        raise ValueError(f"path={str(path)!r} must end in .pt2, as programs of torch.export do.")
    team = load_team(run_dir)
    program = _Program(team.to("cpu"))
    batch = torch.export.Dim("batch", min=1)
    inputs = _examples(team, 2)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        exported = torch.export.export(
            program, tuple(inputs.values()), dynamic_shapes=(tuple({0: batch} for _ in inputs),)
        )
        for n in (1, 7):
            fresh = _examples(team, n)
            found, *_ = exported.module()(*fresh.values())
            given = TensorDict({}, [n])
            for key, value in zip(team.in_keys, fresh.values(), strict=True):
                given.set(key, value)
            if not torch.equal(found, team(given).get(ACTION)):
                raise RuntimeError(
                    f"the exported program does not act as the team of {run_dir} does: nothing was "
                    "written. Please report it, with the run's config.yaml."
                )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        torch.export.save(exported, temporary)
    with atomic_path(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(_describe(team, inputs), indent=2) + "\n", encoding="utf-8")
    return path


def _examples(team: Team, n: int) -> dict[str, Tensor]:
    """Random inputs for ``n`` copies, by name."""
    found = {}
    for key in team.in_keys:
        name, (shape, kind) = _name(key), _what(team)[_name(key)]
        if kind == "float32":
            found[name] = torch.randn(n, *shape)
        elif kind == "int64":
            found[name] = torch.randint(team.sizes.n_actions, (n, *shape))
        else:  # masks that allow all, flags that start nothing
            found[name] = torch.full((n, *shape), name == "action_mask")
    return found


def _what(team: Team) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape without batch dimension, and type, of every input there may be."""
    sizes, agent = team.sizes, team.cfg.agent
    n, window = sizes.n_agents, agent.get("window", 1)
    states = agent.hidden_size * {"lstm": 2, "gru": 1}.get(agent.core, 0)
    return {
        "history_observation": ((n, window, sizes.observation_size), "float32"),
        "history_action": ((n, window), "int64"),
        "observation": ((n, sizes.observation_size), "float32"),
        "previous_action": ((n,), "int64"),
        "recurrent_state": ((n, states), "float32"),
        "is_init": ((1,), "bool"),
        "action_mask": ((n, sizes.n_actions), "bool"),
    }


def _name(key: Any) -> str:
    parts = (key,) if isinstance(key, str) else key
    return "_".join(part for part in parts if part != "agents")


def _describe(team: Team, inputs: dict[str, Tensor]) -> dict[str, Any]:
    what = _what(team)
    outputs = [{"name": "action", "shape": ["batch", team.sizes.n_agents], "dtype": "int64"}]
    if "recurrent_state" in inputs:
        shape, dtype = what["recurrent_state"]
        outputs.append({"name": "next_state", "shape": ["batch", *shape], "dtype": dtype})
    return {
        "task": team.task.name,
        "n_agents": team.sizes.n_agents,
        "n_actions": team.sizes.n_actions,
        "inputs": [
            {"name": name, "shape": ["batch", *what[name][0]], "dtype": what[name][1]}
            for name in inputs
        ],
        "outputs": outputs,
        "notes": {
            "history": "the last observations of each agent and, at each, the action taken just "
            "before it; newest last, zeros before the first",
            "previous_action": "n_actions where there was none, at the first step of an episode",
            "recurrent_state": "zeros at the first step, then the next_state of the last call",
            "scaling": "observations are in the environment's own units",
        },
        "torch": torch.__version__,
    }
