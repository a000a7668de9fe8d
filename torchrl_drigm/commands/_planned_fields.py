"""What ``--set`` may say of the runs of a reproduction, and which of them it is said of."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from omegaconf import DictConfig

from torchrl_drigm.commands._refusals import composed, refuse_config
from torchrl_drigm.config import compose_config

__all__ = ["check_fields", "fields_of"]

# what --set may not change
PLANNED = ("preset", "mixer", "uncertainty", "uncertainty.name", "mixer.name", "seed")
PLANNED = (*PLANNED, "optim.gamma", "evaluation.episodes", "evaluation.suite", "evaluation.seed")
CHOICES = ("mixer", "uncertainty")  # which have fields of their own
OTHERS = ("stack", "hydra")  # of no run: what differs within a stack, and where runs are


def fields_of(fields: Sequence[str], config: str, mixer: str, kind: str) -> list[str]:
    """The overrides without those of fields that another mixer or set has.

    Args:
        fields (sequence of str): overrides.
        config (str): name of the config.
        mixer (str): the mixer that is chosen.
        kind (str): the set.

    Examples:
        >>> fields = ["optim.lr=1e-3", "uncertainty.rho=0.1", "uncertainty.worst_value=-1"]
        >>> fields_of(fields, "building", "vdn", "cvar")
        ['optim.lr=1e-3', 'uncertainty.rho=0.1']
    """
    cfg = _chosen(config, mixer, kind)
    return [
        field
        for field, (group, _, name) in zip(fields, map(_path, fields), strict=True)
        if group not in CHOICES or name.partition(".")[0] in cfg[group]
    ]


def check_fields(
    fields: Sequence[str],
    config: str,
    mixers: Sequence[str],
    sets: Sequence[str],
    fixed: Sequence[str] = (),
) -> None:
    """Refuse overrides of what the plan itself sets, or that none of its runs has or can have.

    Args:
        fields (sequence of str): what ``--set`` says.
        config (str): name of the runs' config.
        mixers (sequence of str): of the runs.
        sets (sequence of str): of the runs.
        fixed (sequence of str): overrides of all of them.

    Raises:
        ValueError: naming the override.
        hydra.errors.HydraException: for what is no override.
    """
    if taken := [field for field in fields if _is_planned("".join(_path(field)))]:
        raise ValueError(
            f"--set {taken[0]}: the plan itself sets {', '.join(PLANNED)}; see --preset, --mixers, "
            "--sets, --seeds and --episodes."
        )
    if others := [field for field in fields if _path(field)[0] in OTHERS]:
        raise ValueError(f"--set {others[0]}: it is a field of no run, and of all runs one value.")
    chosen = [*((mixers[0], kind) for kind in sets), *((other, sets[0]) for other in mixers[1:])]
    own = {choice: fields_of(fields, config, *choice) for choice in chosen}
    for field in fields:
        if not any(field in kept for kept in own.values()):
            group, _, _ = _path(field)
            there = dict.fromkeys(n for choice in chosen for n in _chosen(config, *choice)[group])
            raise ValueError(f"--set {field}: none of the runs has it; those there are {[*there]}.")
    for (mixer, kind), kept in own.items():
        refuse_config(composed([*fixed, f"mixer={mixer}", f"uncertainty={kind}", *kept], config))


def _path(field: str) -> tuple[str, str, str]:
    """Group and name of an override's field."""
    return field.partition("=")[0].lstrip("+~").partition(".")


def _is_planned(path: str) -> bool:
    """Whether a field is one of the plan's, or holds one."""
    return path in PLANNED or any(field.startswith(f"{path}.") for field in PLANNED)


@functools.cache
def _chosen(config: str, mixer: str, kind: str) -> DictConfig:
    return compose_config(f"mixer={mixer}", f"uncertainty={kind}", config=config)
