"""Which runs can be computed at once, and whether they fit into memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from torchrl_drigm.envs._seeded import SeededEnv
from torchrl_drigm.trainers.build import Run
from torchrl_drigm.trainers.environments import GROUP_DR

__all__ = ["STACKABLE", "check_members", "check_memory"]

#: Fields in which the runs of a stack may differ.
STACKABLE = (
    "seed",
    "optim.gamma",
    "optim.lr",
    "mixer.lr",
    "uncertainty.rho",
    "uncertainty.worst_value",
    "uncertainty.dual_lr",
)

# not of the run itself
_APART = (*STACKABLE, "resume", "hydra")

_SIDE_BY_SIDE = (
    "Train them one after the other, or side by side in processes: -m hydra/launcher=joblib "
    "{field}={values}."
)


def check_members(cfgs: Sequence[DictConfig]) -> None:
    """Refuses runs that cannot be computed at once.

    Args:
        cfgs (sequence of DictConfig): their composed configs.

    Raises:
        ValueError: for runs that differ in another field than those of :data:`STACKABLE`, naming it
            and its values, that are the same, or that are of a kind that cannot be stacked.

    Examples:
        >>> from torchrl_drigm.config import compose_config
        >>> def run(*overrides):
        ...     return compose_config(*overrides)
        >>> check_members([run("seed=0"), run("seed=1"), run("seed=1", "uncertainty.rho=0.1")])
        >>> check_members([run("seed=0"), run("agent.hidden_size=32")])
        Traceback (most recent call last):
        ValueError: runs that differ in agent.hidden_size cannot be computed at once: 64, 32. ...
    """
    flat = [_flat(OmegaConf.to_container(cfg, resolve=True)) for cfg in cfgs]
    # what a thing is before what it has
    for field in sorted(
        {f for one in flat for f in one}, key=lambda f: (not f.endswith("name"), f)
    ):
        values = list(dict.fromkeys(repr(one.get(field)) for one in flat))
        own = any(field == name or field.startswith(f"{name}.") for name in _APART)
        if len(values) > 1 and not own:
            shown = ", ".join(values)
            side = _SIDE_BY_SIDE.format(
                field=field.removesuffix(".name"), values=",".join(values).replace("'", "")
            )
            raise ValueError(
                f"runs that differ in {field} cannot be computed at once: {shown}. {side}"
            )
    own = [tuple(one.get(field) for field in STACKABLE) for one in flat]
    if len(set(own)) < len(own):
        twice = next(i for i, values in enumerate(own) if values in own[:i])
        raise ValueError(
            f"run {twice} of the stack is the same as another: give each its own seed, as runs=R "
            "does, or seed=[0,1,2]."
        )
    cfg = cfgs[0]
    if cfg.agent.recurrent:
        raise ValueError(
            "agent.recurrent=true cannot be stacked: agents of a stack learn from windows, "
            "agent=drqn. " + _SIDE_BY_SIDE.format(field="seed", values="0,1,2")
        )
    if cfg.uncertainty.name == GROUP_DR:
        raise ValueError(
            "uncertainty.name=group_dr cannot be stacked: each run first fits a reward model. "
            + _SIDE_BY_SIDE.format(field="seed", values="0,1,2")
        )
    if "interval" in cfg.evaluation:
        raise ValueError(
            "evaluation.interval: a run that is tested in between cannot be stacked. "
            + _SIDE_BY_SIDE.format(field="seed", values="0,1,2")
        )


def check_environment(run: Run) -> None:
    """Refuses an environment that cannot be several runs' at once.

    Raises:
        ValueError: if its random numbers cannot be told apart.
    """
    env = run.env.base_env
    if not isinstance(env, SeededEnv):
        raise ValueError(
            f"env.name={run.cfg.env.name!r} cannot be stacked: {type(env).__name__} has no random "
            "numbers of each run's own; buildings, harvest, machines and drones have. "
            + _SIDE_BY_SIDE.format(field="seed", values="0,1,2")
        )


def check_memory(run: Run, n_runs: int, free: int | None = None) -> int:
    """Refuses a stack that memory will not hold, before it starts.

    Args:
        run (Run): one of the runs.
        n_runs (int): how many there are.
        free (int, optional): bytes to be had. Default: those of the machine, where it tells.

    Returns:
        int: the bytes that the stack will take, by estimate.

    Raises:
        ValueError: if it takes more than there are.
    """
    step = run.trainer.replay_buffer._transform.inv(run.env.fake_tensordict()[0].unsqueeze(0))
    one = sum(leaf.numel() * leaf.element_size() for leaf in step.values(True, True))
    cfg = run.cfg
    stored = one * min(cfg.replay.size, cfg.collector.total_frames)
    parameters = 4 * sum(parameter.numel() for parameter in run.loss.parameters())
    n_agents = run.env.action_spec.shape[-1]
    rows = cfg.replay.batch_size * n_agents * cfg.agent.window
    # values, targets, two averages of gradients; what a pass keeps for its gradient, of each gate
    needed = n_runs * (stored + 5 * parameters + 4 * rows * cfg.agent.hidden_size * 16)
    free = _free() if free is None else free
    if free is not None and needed > free:
        gigabyte = 2**30
        fit = max(int(n_runs * free / needed), 1)
        raise ValueError(
            f"{n_runs} runs at once would take about {needed / gigabyte:.1f} GB, and "
            f"{free / gigabyte:.1f} GB are free: stack no more than {fit}, or lower replay.size="
            f"{cfg.replay.size}."
        )
    return needed


def _free() -> int | None:
    """Bytes of memory that could be had, or ``None`` where the system does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found = next(line for line in file if line.startswith("MemAvailable:"))
        return int(found.split()[1]) * 1024
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
