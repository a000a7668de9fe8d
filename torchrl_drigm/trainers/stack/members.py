"""Which runs can be computed at once, as their configs tell before PyTorch is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from torchrl_drigm.config.schema_uncertainty import GROUP_DR

__all__ = ["STACKABLE", "check_members"]

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

SEEDED = "buildings, charging stations, harvest, machines and drones have"
SIDE_BY_SIDE = (
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
            side = SIDE_BY_SIDE.format(
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
    if (make := cfg.env.get("make")) is not None:  # of one's own, VMAS's and TorchRL's
        raise ValueError(
            f"env.make={make!r} cannot be stacked: environments that it makes have no random "
            f"numbers of each run's own; {SEEDED}. "
            + SIDE_BY_SIDE.format(field="seed", values="0,1,2")
        )
    if cfg.agent.recurrent:
        raise ValueError(
            "agent.recurrent=true cannot be stacked: agents of a stack learn from windows, "
            "agent=drqn. " + SIDE_BY_SIDE.format(field="seed", values="0,1,2")
        )
    if cfg.uncertainty.name == GROUP_DR:
        raise ValueError(
            "uncertainty.name=group_dr cannot be stacked: each run first fits a reward model. "
            + SIDE_BY_SIDE.format(field="seed", values="0,1,2")
        )
    if "interval" in cfg.evaluation:
        raise ValueError(
            "evaluation.interval: a run that is tested in between cannot be stacked. "
            + SIDE_BY_SIDE.format(field="seed", values="0,1,2")
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
