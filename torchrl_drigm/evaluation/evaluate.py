"""Evaluation of a team over the shifts of a suite, whatever its task."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from tensordict import TensorDictBase
from torch import nn
from torchrl.envs import Compose, EnvBase, RewardSum, Transform, TransformedEnv

from torchrl_drigm.evaluation._deprecated import as_before, policy_as_before
from torchrl_drigm.modules import DRQN
from torchrl_drigm.tasks import BuildingTask, Task, read_suite
from torchrl_drigm.tasks.axes import add_marks, without_marks
from torchrl_drigm.tasks.playing import ACTION, RETURN, play
from torchrl_drigm.tasks.version import environment_version

__all__ = ["evaluate"]


@policy_as_before
def evaluate(
    team: Callable[[TensorDictBase], TensorDictBase],
    task: Task | None = None,
    suite: str | os.PathLike | Iterable[Mapping[str, Any]] | None = None,
    episodes: int = 50,
    seed: int = 11,
    *,
    transform: Transform | None = None,
    env_kwargs: dict[str, Any] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Plays a team on every shift of a suite.

    The team acts without gradients, in evaluation mode and with deterministic exploration; its
    modes are as before afterwards. Episodes follow from ``seed`` alone, so differences between
    shifts, and between teams, are paired where the task pairs them: shifts over the same range of
    days share the days, and noise leaves battles as they are. Torch's global generator is not used.

    Args:
        team: of :func:`~torchrl_drigm.trainers.load_team`, which knows its task and brings what it
            needs on an environment. Or a ``TensorDictModule``, or any callable from tensordict to
            tensordict, that writes the actions ``("agents", "action")`` int64 ``[B, n_agents]``.
            One with a method ``bind(env)`` is given the environment first, without its transforms
            (see :class:`~torchrl_drigm.tasks.ReferencePolicy`).
        task: where to play. Default: the team's own; SustainGym's OfficeSmall for a team without.
        suite: the name of one of the task's, a YAML file, or a list of dictionaries: each with a
            ``name`` and what differs there, see :func:`~torchrl_drigm.tasks.read_suite`. Default:
            the task's first.
        episodes: number of episodes (days, battles) per shift.
        seed: seed of the episodes.
        transform: what the team needs on its environment, such as
            :class:`~torchrl_drigm.envs.transforms.HistoryWindow`. A clone of it is used. Returns
            are those of the environment below it: scaled rewards do not change them. Default: what
            the team brings.
        env_kwargs: deprecated: arguments of :class:`~torchrl_drigm.tasks.BuildingTask`.
        progress: show a progress bar.

    Returns:
        One row per shift and episode, with the columns ``suite``, ``shift``, ``axis`` and ``level``
        where a shift of the suite has them (empty for those that do not), what the task tells of
        each (``climate``, ``location`` and ``day`` of a building, ``won`` and ``steps`` of a
        battle), ``episode``, ``return`` (the team's reward summed over the episode) and, where the
        task has one, ``normalized_return`` (:meth:`~torchrl_drigm.tasks.Task.normalise`).
        ``attrs["trained"]`` has the names of the shifts that the team was trained in, and
        ``attrs["environment"]`` the versions of the task's simulator and of what it runs on.

    Raises:
        ValueError: ``episodes`` is below 1, the suite is unknown or has entries that the task does
            not know, the team was made for other actions or another number of agents, carries a
            state that the environment does not give, writes no action or not one of the
            environment's, or returns are not finite.

    Example:
        >>> from torchrl_drigm.evaluation import ProportionalControl
        >>> suite = [{"name": "desert", "climate": ("Hot_Dry", "Tucson")},
        ...          {"name": "summer", "climate": ("Hot_Dry", "Tucson"), "days": (150, 240)}]
        >>> results = evaluate(ProportionalControl(), suite=suite, episodes=2)
        >>> results[["shift", "location", "episode"]]
            shift location  episode
        0  desert   Tucson        0
        1  desert   Tucson        1
        2  summer   Tucson        0
        3  summer   Tucson        1
        >>> bool((results["normalized_return"] > 0.5).all())
        True
    """
    task, suite, episodes, seed = as_before(task, suite, episodes, seed, env_kwargs)
    if episodes < 1:
        raise ValueError(f"episodes={episodes} must be at least 1.")
    task = task or getattr(team, "task", None) or BuildingTask(**_levels_of(team))
    name, shifts = read_suite(task, suite)
    tables = []
    for trial in task.trials([without_marks(shift) for shift in shifts], episodes, seed):
        _check_team(team, trial.env, task)
        env = trial.env
        env = env if isinstance(env, TransformedEnv) else TransformedEnv(env, Compose())
        for needed in _transforms(team, transform):
            env.append_transform(needed)
        if hasattr(team, "bind"):
            team.bind(getattr(trial.env, "base_env", trial.env))
        played = play(
            team,
            env,
            len(trial.rows),
            metrics=task.metrics,
            reset=trial.reset,
            max_steps=task.max_steps,
            progress=progress,
        )
        tables.append(trial.rows.join(played[list(task.columns)]))
    results = pd.concat(tables, ignore_index=True)
    results.insert(0, "suite", name)
    add_marks(results, shifts)
    bad = results[~np.isfinite(results["return"])]
    if len(bad):
        first = bad.iloc[0]
        raise ValueError(
            f"{len(bad)} of {len(results)} returns are not finite, the first on {first['shift']}, "
            f"episode {first['episode']}: check what the shift and the task change."
        )
    normalised = task.normalise(results["return"])
    if normalised is not None:
        results["normalized_return"] = normalised
    results.attrs["measure"] = task.measure  # for tables and plots
    results.attrs["environment"] = environment_version(task.packages)
    own = getattr(team, "task", None)  # which may be of another severity than the one played
    own = own if type(own) is type(task) else task
    results.attrs["trained"] = [shift["name"] for shift in shifts if own.trained_in(shift)]
    return results


def _transforms(team: object, transform: Transform | None) -> list[Transform]:
    """The return, and then what the team needs, which may change the reward."""
    if transform is not None:
        transform = transform.clone()
        memory = list(transform) if isinstance(transform, Compose) else [transform]
    else:
        memory = team.memory() if hasattr(team, "memory") else []
    return [RewardSum(in_keys=["reward"], out_keys=[RETURN]), *memory]


def _networks(team: object) -> list[DRQN]:
    modules = team.modules() if isinstance(team, nn.Module) else ()
    return [module for module in modules if isinstance(module, DRQN)]


def _levels_of(team: object) -> dict[str, int]:
    """The action levels of a building that the team's networks have values for."""
    networks = _networks(team)
    return {"n_action_levels": networks[0].n_actions} if networks else {}


def _check_team(team: object, env: EnvBase, task: Task) -> None:
    n_agents, n_actions = env.full_action_spec[ACTION].shape[-1], env.full_action_spec[ACTION].n
    for network in _networks(team):
        if network.n_agents != n_agents:
            raise ValueError(
                f"task {task.name!r} has {n_agents} agents, but the team was made for "
                f"{network.n_agents}: give the task that it was trained in."
                + (f" Here {task.about}." if task.about else "")
            )
        if network.n_actions != n_actions:
            raise ValueError(
                f"task {task.name!r} has {n_actions} actions, but the team was made for "
                f"{network.n_actions}, and an index may mean another action there: give the task "
                "that it was trained in."
            )
