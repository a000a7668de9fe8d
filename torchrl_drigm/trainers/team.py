"""A trained team: its agents, and what they need to act."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor, nn
from torchrl.checkpoint import CheckpointError
from torchrl.envs import Transform, TransformedEnv

from torchrl_drigm.tasks import Task, make_task, read_suite
from torchrl_drigm.trainers.builders import make_agents
from torchrl_drigm.trainers.checkpoint_folder import RunCheckpoint
from torchrl_drigm.trainers.checkpoint_version import check_there
from torchrl_drigm.trainers.environments import make_memory
from torchrl_drigm.trainers.runs import (
    RUN,
    SIZES,
    check_version,
    differences,
    read_config,
    run_identity,
)
from torchrl_drigm.trainers.sizes import Sizes

__all__ = ["Team", "load_team"]

AGENTS = "local_value_network_params."  # of a loss's state, what belongs to them


class Team(TensorDictModuleBase):
    """The agents of a run, who act greedily, with their task and what they need on an environment.

    Args:
        cfg (DictConfig): the run's config.
        agents (nn.Module): Q-networks with greedy actions, see
            :func:`~torchrl_drigm.trainers.make_agents`.
        task (Task): what they were trained in.
        sizes (Sizes): sizes of its environment.

    Attributes:
        agents (nn.Module): the networks; parameters are shared with who made them.
        task (Task): what they were trained in.
        cfg (DictConfig): the run's config.
        sizes (Sizes): sizes of the environment.
    """

    def __init__(self, cfg: DictConfig, agents: nn.Module, task: Task, sizes: Sizes) -> None:
        super().__init__()
        self.cfg, self.agents, self.task, self.sizes = cfg, agents, task, sizes
        self.in_keys, self.out_keys = list(agents.in_keys), list(agents.out_keys)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write the greedy actions ``("agents", "action")``, ``[*B, n_agents]`` int64.

        Args:
            tensordict (TensorDictBase): ``[*B]``, with what :meth:`memory` adds.
        """
        return self.agents(tensordict)

    def memory(self) -> list[Transform]:
        """New transforms that the team needs on an environment: windows, or state and action."""
        return make_memory(self.cfg, self.agents)

    def make_env(
        self, num_envs: int = 1, shift: Mapping[str, Any] | None = None, seed: int = 11
    ) -> TransformedEnv:
        """An environment of the team's task to act in, with what the team needs on it.

        Args:
            num_envs (int): number of copies. Default: 1.
            shift (mapping, optional): what differs from training, in words of the task, such as
                ``{"days": (150, 240)}``. Default: nothing.
            seed (int): of all that is random there. Default: 11.

        Raises:
            ValueError: for a shift with an entry or a value that the task does not know.
        """
        _, (shift,) = read_suite(self.task, [{"name": "acting", **(shift or {})}])
        env = self.task.make_env(num_envs, "test", seed, shift)
        for transform in self.memory():
            env.append_transform(transform)
        return env


def load_team(
    run_dir: str | Path, task: Task | None = None, device: torch.device | str = "cpu"
) -> Team:
    """The trained team of a run, in evaluation mode.

    Nothing in the folder is executed or changed: its config is read as data, and its checkpoint is
    checked before it is loaded. A task or network of one's own, named by an import path in the
    config, must have been imported before.

    Args:
        run_dir (str or Path): folder of the run, with ``config.yaml`` and ``checkpoint``.
        task (Task, optional): what to act in, if it is not the run's own; of as many agents and
            actions.
        device (torch.device or str): where the team acts, wherever it was trained. Default: the
            CPU.

    Raises:
        FileNotFoundError: if the run has no config or no checkpoint.
        ValueError: if either is damaged, they do not belong together, the checkpoint holds what no
            run writes, or the config names a class of one's own that was not imported.

    Examples:
        >>> from torchrl_drigm.trainers import load_team
        >>> load_team("runs/nowhere")
        Traceback (most recent call last):
            ...
        FileNotFoundError: no config.yaml in runs/nowhere: name the folder of a run.
    """
    run_dir = Path(run_dir)
    cfg = read_config(run_dir)
    cfg.device = str(device)
    check_there(run_dir, cfg)
    task = task or make_task(cfg, may_import=False)
    sizes = Sizes(**read_identity(run_dir, cfg)[SIZES])
    agents = make_agents(cfg, sizes)
    _load_agents(agents, run_dir / "checkpoint")
    return Team(cfg, agents.eval(), task, sizes)


def read_identity(run_dir: Path, cfg: DictConfig) -> dict[str, Any]:
    """Whose the checkpoint in a run's folder is, if it is that of the config there.

    Raises:
        ValueError: if it is damaged, of another version, or of another run.
    """
    refusal = f"cannot load a team from {run_dir}"
    identity: dict[str, Any] = {}
    found = RunCheckpoint(**{RUN: identity}).load(run_dir / "checkpoint", strict="ignore")
    if RUN not in found.loaded:
        raise ValueError(
            f"{refusal}: its checkpoint is not one of a torchrl_drigm run. Name the folder of one, "
            "with config.yaml and checkpoint."
        )
    check_version(refusal, identity)
    differing = differences({k: v for k, v in identity.items() if k != SIZES}, run_identity(cfg))
    if differing:
        raise ValueError(
            f"{refusal}: its config.yaml is not that of its checkpoint. Differing: "
            f"{'; '.join(differing)} (there: the checkpoint). Put back the run's config."
        )
    return identity


def _load_agents(agents: nn.Module, path: Path) -> None:
    """Put the parameters of a checkpoint into agents, all of them or none.

    Raises:
        ValueError: if they are others.
    """
    checkpoint = RunCheckpoint(loss_module=_AgentsOf(agents))
    try:
        # named, and not strict="ignore", which passes over a component that refuses its state
        checkpoint.load(path, components=["loss_module"])
    except CheckpointError as error:
        raise ValueError(f"cannot load a team from {path.parent}: {error}") from error


def parameters_of(agents: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of agents, by what a loss's state calls them behind :data:`AGENTS`."""
    state = TensorDict.from_module(agents, as_module=True).state_dict()
    return {key: value for key, value in state.items() if torch.is_tensor(value)}


class _AgentsOf:
    """Takes of a loss's state what belongs to its agents."""

    def __init__(self, agents: nn.Module) -> None:
        self.agents = agents

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        state = {
            key.removeprefix(AGENTS): value
            for key, value in state_dict.items()
            if key.startswith(AGENTS)
        }
        # by hand, as TensorDictParams takes what fits and leaves the rest as it was
        own = parameters_of(self.agents)
        given = {key: value for key, value in state.items() if torch.is_tensor(value)}
        wrong = sorted(
            key
            for key in own.keys() | given.keys()
            if key not in own or key not in given or own[key].shape != given[key].shape
        )
        if wrong:
            raise ValueError(
                f"the checkpoint does not fit the networks of the config: {wrong[0]!r}, one of "
                f"{len(wrong)}, is not on both sides or has another shape. Put back the run's "
                "config.yaml and checkpoint."
            )
        TensorDict.from_module(self.agents, as_module=True).load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        return {}
