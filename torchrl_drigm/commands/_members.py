"""Runs that are to be trained at once: what is asked for on a command line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from torchrl_drigm.config import check_config
from torchrl_drigm.trainers.stack.members import SIDE_BY_SIDE, STACKABLE, check_members

__all__ = ["StackError", "check_lists", "members_of", "stack_overrides"]

_RUNS = "runs"
# what networks, environments and training are made of, which all runs of a stack share
_GROUPS = ("agent", "mixer", "uncertainty", "preset", "env")
_SHARED = ("agent", "collector", "exploration", "mixer", "optim", "replay", "target", "uncertainty")
_ALSO = ("env.building", "env.name", "env.num_envs", "compile", "device", "threads")


class StackError(ValueError):
    """Memory that does not hold a stack, or runs of it that diverged: the message is all of it."""

    trace = ""


def stack_overrides(overrides: Sequence[str]) -> list[str]:
    """Overrides in which lists of what may differ in a stack, and ``runs=R``, stand apart.

    Examples:
        >>> stack_overrides(["mixer=vdn", "seed=[0,1,2]", "runs=3", "env.scale=[1,2]"])
        ['mixer=vdn', '+stack.seed=[0,1,2]', '+stack.runs=3', 'env.scale=[1,2]']
    """
    found = []
    for override in overrides:
        name, _, value = override.partition("=")
        apart = name == _RUNS or (name in STACKABLE and value.startswith("["))
        found.append(f"+stack.{override}" if apart else override)
    return found


def check_lists(overrides: Sequence[str]) -> None:
    """Refuse lists of what runs of a stack share, which look as if each run had a value.

    Raises:
        ValueError: naming the field and the values, and how such runs are trained.

    Examples:
        >>> check_lists(["mixer=[vdn,qmix]"])
        Traceback (most recent call last):
        ValueError: runs that differ in mixer cannot be computed at once: vdn, qmix. Train them ...
    """
    for override in overrides:
        name, _, value = override.partition("=")
        value = value.strip("'\"")
        group, _, rest = name.partition(".")
        shared = name in (*_GROUPS, *_ALSO) or (group in _SHARED and rest and rest != "options")
        if shared and name not in STACKABLE and re.fullmatch(r"\[[^\[\]{}]*\]", value):
            values = [word.strip(" '\"") for word in value[1:-1].split(",")]
            side = SIDE_BY_SIDE.format(field=name, values=",".join(values))
            raise ValueError(
                f"runs that differ in {name} cannot be computed at once: {', '.join(values)}. "
                f"{side}"
            )


def members_of(cfg: DictConfig, at_once: bool = True) -> dict[str, DictConfig]:
    """The configs of a stack's runs, by the names of their folders.

    Args:
        cfg (DictConfig): with ``stack``: a list for each field that differs, and ``runs``.
        at_once (bool): whether they are computed at once, and must be of a kind that can be.

    Raises:
        ValueError: for lists of different lengths, fields that the config does not have, values
            that are none, and runs that cannot be computed at once.
    """
    asked = OmegaConf.to_container(cfg.stack, resolve=True)
    n_runs = asked.pop(_RUNS, None)
    if n_runs is not None and (isinstance(n_runs, bool) or not isinstance(n_runs, int)):
        raise ValueError(f"runs={n_runs!r} must be a number of runs.")
    lists = {field: values for field in STACKABLE if (values := _at(asked, field)) is not None}
    lengths = {field: len(values) for field, values in lists.items()}
    if n_runs is not None:
        lengths[_RUNS] = n_runs
    if not lengths:
        raise ValueError("runs=null: give a number of runs, runs=4.")
    if cfg.resume is not None:
        raise ValueError(
            f"resume={cfg.resume} is of a run alone. A stack goes on by itself when it is started "
            "again with its folder: hydra.run.dir=…"
        )
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{field} has {length}" for field, length in lengths.items())
        raise ValueError(
            f"the runs of a stack have one value each of every list: {told}. Write the values out, "
            "one for each run."
        )
    n_runs = next(iter(lengths.values()))
    if n_runs < 1:
        named = f"runs={n_runs}" if _RUNS in lengths else f"{next(iter(lengths))}=[]"
        raise ValueError(f"{named}: a stack must have at least 1 run, such as runs=4.")
    if _RUNS in lengths and "seed" not in lists:
        lists["seed"] = [cfg.seed + run for run in range(n_runs)]
    members = {}
    for run in range(n_runs):
        own = {field: values[run] for field, values in lists.items()}
        name = ",".join(f"{field.rpartition('.')[2]}_{value}" for field, value in own.items())
        members[name or "run"] = _member(cfg, own)
    if len(members) < n_runs:
        raise ValueError(
            f"two runs of the stack are the same, among {lists}: give each its own seed, as "
            "runs=R does, or seed=[0,1,2]."
        )
    if at_once:
        check_members(list(members.values()))
    return members


def _member(cfg: DictConfig, own: Mapping[str, Any]) -> DictConfig:
    member = cfg.copy()
    with open_dict(member):
        del member["stack"]
    for field, value in own.items():
        try:
            OmegaConf.update(member, field, value, force_add=False)
        except (ConfigAttributeError, ConfigKeyError) as error:
            group, _, name = field.rpartition(".")
            more = " Of uncertainty=contamination, ρ = 0 is nominal." if name == "rho" else ""
            raise ValueError(
                f"{field}={value!r}: {group}={cfg[group].name} has no {name}. Take another one, or "
                f"leave {field} out.{more}"
            ) from error
        except OmegaConfBaseException as error:
            if value is None:
                raise ValueError(f"{field}=null: each run must have a number.") from error
            raise ValueError(f"{field}={value!r}: {error}".splitlines()[0]) from error
    check_config(member)
    return member


def _at(asked: Mapping[str, Any], field: str) -> list | None:
    for part in field.split("."):
        if not isinstance(asked, Mapping) or part not in asked:
            return None
        asked = asked[part]
    return list(asked) if isinstance(asked, list | ListConfig) else [asked]
