"""What a type does not say about a config: which numbers are in range, and which go together.

Names, sizes of uncertainty sets and days of the year are checked where they are looked up, and on a
command line beforehand (`names`).
"""

from collections.abc import Callable, Iterator
from dataclasses import fields
from math import inf, isfinite
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

__all__ = ["check_config", "check_lmbda", "check_target"]

# Relation: whether it holds, and the fields that must stand in it where they are there.
_RELATIONS: dict[str, tuple[Callable[[float], bool], tuple[str, ...]]] = {
    "at least 1": (
        lambda value: 1 <= value < inf,
        (
            *("threads", "checkpoint_interval"),
            *("env.num_envs", "env.test_envs", "env.max_steps"),
            *("agent.hidden_size", "agent.window", "mixer.embed_dim", "mixer.hidden_size"),
            "agent.action_degree",
            *("uncertainty.dual_hidden_size", "uncertainty.hidden_size"),
            *("uncertainty.behaviour_frames", "uncertainty.updates", "uncertainty.batch_size"),
            "uncertainty.episodes",
            *("replay.size", "replay.batch_size"),
            *("target.interval", "exploration.annealing_frames"),
            *("collector.frames_per_batch", "collector.total_frames"),
            *("evaluation.interval", "evaluation.episodes", "evaluation.num_envs"),
        ),
    ),
    "at least 2": (lambda value: 2 <= value < inf, ("env.n_action_levels", "env.action_levels")),
    "at least 0": (
        lambda value: 0 <= value < inf,
        (
            *("seed", "log_interval", "optim.burn_in", "optim.updates_per_batch"),
            *("collector.init_random_frames", "evaluation.seed", "evaluation.noise_std"),
            *("mixer.init_gain", "env.severity"),
        ),
    ),
    # the largest that NumPy's generators of before take, which simulators use
    "below 2**32": (lambda value: value < 2**32, ("seed", "evaluation.seed")),
    "positive and finite": (
        lambda value: 0 < value < inf,
        (
            *("env.scale", "env.return_scale", "env.reward_scale"),
            *("env.enemy_damage", "env.enemy_health"),
            *("optim.lr", "optim.clip_norm"),
            *("mixer.lr", "uncertainty.lr", "uncertainty.dual_lr"),
        ),
    ),
    "finite": (isfinite, ("env.loc", "env.reward_loc", "uncertainty.worst_value")),
    "in [0, 1]": (
        lambda value: 0 <= value <= 1,
        (
            *("optim.gamma", "optim.lr_end_factor", "uncertainty.epsilon"),
            *("exploration.eps_init", "exploration.eps_end"),
            "mixer.deviation_weight",
        ),
    ),
    "in (0, 1]": (lambda value: 0 < value <= 1, ("target.tau",)),
}

_WORST = ("contamination", "tv")  # sets of this package that bring in a worst value
_MAPPINGS = ("env.action_failure", "env.failures", "env.random_weather", "env.key_map")


def check_config(cfg: DictConfig) -> None:
    """Refuses a config that no run can be made of, before anything is made.

    Args:
        cfg (DictConfig): the composed config, typed or not, such as one read from a run's folder.

    Raises:
        ValueError: for a field without a value, a field that its group does not have, a number out
            of range, or fields that do not go together. The message has the field's full name, its
            value and what must hold.

    Examples:
        >>> from torchrl_drigm.config import check_config, compose_config
        >>> check_config(compose_config())
        >>> check_config(compose_config("env.num_envs=-1"))
        Traceback (most recent call last):
        ValueError: env.num_envs=-1 must be at least 1.
    """
    if missing := sorted(OmegaConf.missing_keys(cfg)):
        raise ValueError(f"{missing[0]} has no value: give one, {missing[0]}=….")
    for name, known in _unknown_fields(cfg):
        raise ValueError(f"{name} is no field: those there are {known}. Leave it out.")
    for relation, (holds, names) in _RELATIONS.items():
        for name in names:
            value = OmegaConf.select(cfg, name)
            if value is None:  # not there, or null, which its type allows
                continue
            for number in value if isinstance(value, ListConfig) else (value,):
                if not isinstance(number, int | float) or not holds(number):
                    raise ValueError(f"{name}={value!r} must be {relation}.")
    for name in _MAPPINGS:
        value = OmegaConf.select(cfg, name)
        if value is not None and not OmegaConf.is_dict(value):
            raise ValueError(f"{name}={value!r} must be null, or a mapping of its fields.")
    if cfg.uncertainty.name in _WORST and cfg.uncertainty.worst_value is None:
        raise ValueError(
            f"uncertainty.worst_value=null, but {cfg.uncertainty.name!r} needs one: "
            "a number, in units of scaled return, that no state is worth less than."
        )
    check_lmbda(cfg)
    check_target(cfg)
    _check_released(cfg)
    if cfg.agent.core == "none" and (cfg.agent.recurrent or cfg.agent.window > 1):
        other = "recurrent=true" if cfg.agent.recurrent else f"window={cfg.agent.window}"
        raise ValueError(
            f"agent.core=none remembers nothing, and agent.{other} asks for memory: set "
            "agent.window=1 with agent=drqn, or take agent.core=lstm or gru."
        )
    episodes, at_once = (
        OmegaConf.select(cfg, f"evaluation.{name}") for name in ("episodes", "num_envs")
    )
    if at_once is not None and episodes % at_once:
        raise ValueError(
            f"evaluation.episodes={episodes} must be a multiple of evaluation.num_envs={at_once}: "
            "each environment plays as many episodes as the others."
        )


def check_lmbda(cfg: DictConfig) -> None:
    """Refuses λ-returns of what is no λ, or of data that are not in the order of time.

    Raises:
        ValueError: if ``optim.lmbda`` is no number in [0, 1], or given for agents on windows.
    """
    lmbda = cfg.optim.lmbda
    if lmbda is None:
        return
    if not isinstance(lmbda, int | float) or not 0 <= lmbda <= 1:
        raise ValueError(
            f"optim.lmbda={lmbda!r} must be a number in [0, 1], or null for one-step targets."
        )
    if not cfg.agent.recurrent:
        raise ValueError(
            f"optim.lmbda={lmbda} needs agent.recurrent=true: λ-returns go along a sequence of "
            "steps, and agents on windows learn from single transitions in no order. Set "
            "optim.lmbda=null, or take agent=recurrent."
        )


def check_target(cfg: DictConfig) -> None:
    """Refuses target networks that are copied in both ways, or in none.

    Raises:
        ValueError: unless one of ``target.interval`` and ``target.tau`` is ``null``.
    """
    if (cfg.target.interval is None) == (cfg.target.tau is None):
        raise ValueError(
            "target needs exactly one of target.interval (updates between hard copies) and "
            f"target.tau (soft copy), got interval={cfg.target.interval} and tau={cfg.target.tau}."
        )


def _check_released(cfg: DictConfig) -> None:
    """Refuses what the paper's released configuration does, where it cannot be done."""
    updates = cfg.optim.updates_per_batch
    if cfg.optim.get("dual_first", False) and updates % 2:
        raise ValueError(
            f"optim.updates_per_batch={updates} must be even with optim.dual_first=true: the first "
            "half of them moves the dual network, the other half the rest."
        )
    if cfg.replay.get("drop_last", False) and cfg.agent.recurrent:
        raise ValueError(
            "replay.drop_last=true needs agent.recurrent=false: it leaves out single transitions, "
            "and recurrent agents learn on sequences. Set replay.drop_last=false, or take "
            "agent=drqn."
        )


def _unknown_fields(cfg: DictConfig) -> Iterator[tuple[str, list[str]]]:
    """Fields that Hydra's ``+`` added to a typed group, by full name, and the fields there are.

    At the root a script may have fields of its own.
    """
    for group, node in cfg.items_ex(resolve=False):
        cls: Any = OmegaConf.get_type(node) if isinstance(node, DictConfig) else dict
        if cls is not dict:
            known = [field.name for field in fields(cls)]
            yield from ((f"{group}.{name}", known) for name in node if name not in known)
