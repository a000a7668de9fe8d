"""Which method a run is one seed of, told by its config; and runs that cannot be counted.

Runs are one method if their configs differ in the seed alone. What decides about speed and logging
only is no part of a method.
"""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from torchrl_drigm.config.added import ADDED

__all__ = ["NEUTRAL", "describe_runs", "name_of"]

# Fields that change no result. map_name is short for env.map_name, which is told apart.
NEUTRAL = {
    *("seed", "resume", "device", "threads", "compile", "map_name"),
    *("logger", "log_interval", "progress_bar", "checkpoint_interval"),
}
# Where runs of one table differ in these, every name says so: win rates of two maps are never one
# method's, whatever else differs.
_ALWAYS_NAMED = ("env.name", "env.map_name", "env.building")
# In the folder of a robust run: the runs that it has to be compared with (evaluation.controls).
CONTROLS = "controls"
_GROUP_DR = {"group_dr": "GroupDR"}  # no set: nominal, on other rewards

_REQUIRED = ("mixer.name", "uncertainty.name", "seed")

Config = dict[str, Any]


def describe_runs(run_dirs: Iterable[str | Path]) -> pd.DataFrame:
    """What the runs are, by the configs in their folders.

    Args:
        run_dirs: folders of runs.

    Returns:
        One row per run, with the columns ``run`` (its folder); ``method``, such as "TV QMIX,
        ρ = 0.1", which also names the fields in which methods of that name differ ("… and 3 more"
        where a few of them are enough to tell them apart); ``family``, the same for every ρ;
        ``setting``, the same for every uncertainty set; ``mixer``, ``uncertainty``, ``rho`` (0
        where the set has no size) and ``seed``.

    Raises:
        FileNotFoundError: a folder has no ``config.yaml``.
        ValueError: a config cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, gamma in (("short", 0.7), ("long", 0.99)):
        ...         (Path(folder) / name).mkdir()
        ...         cfg = {"mixer": {"name": "vdn"}, "uncertainty": {"name": "none"}, "seed": 0}
        ...         cfg = OmegaConf.create({**cfg, "optim": {"gamma": gamma}})
        ...         OmegaConf.save(cfg, Path(folder) / name / "config.yaml")
        ...     runs = describe_runs([f"{folder}/short", f"{folder}/long"])
        >>> runs["method"].tolist()
        ['nominal VDN, optim.gamma=0.7', 'nominal VDN, optim.gamma=0.99']
    """
    run_dirs = [Path(run_dir) for run_dir in run_dirs]
    configs = [read_config(run_dir) for run_dir in run_dirs]
    mixers = [mixer_label(c["mixer.name"]) for c in configs]
    families = [
        f"{_set_label(c['uncertainty.name'])} {mixer}"
        for c, mixer in zip(configs, mixers, strict=True)
    ]
    methods = [
        f"{family}, ρ = {c['uncertainty.rho']}" if "uncertainty.rho" in c else family
        for family, c in zip(families, configs, strict=True)
    ]
    identities = [method_of(config) for config in configs]
    return pd.DataFrame(
        {
            "run": [str(run_dir) for run_dir in run_dirs],
            "method": tell_apart(methods, identities),
            "family": tell_apart(families, [_without(i, "uncertainty.rho") for i in identities]),
            "setting": tell_apart(mixers, [_without(i, "uncertainty.") for i in identities]),
            "mixer": [c["mixer.name"] for c in configs],
            "uncertainty": [c["uncertainty.name"] for c in configs],
            "rho": [float(c.get("uncertainty.rho", 0.0)) for c in configs],
            "seed": [int(c["seed"]) for c in configs],
        }
    )


def name_of(cfg: DictConfig) -> str:
    """What tables call the team of a config, such as "TV QMIX"."""
    return f"{_set_label(cfg.uncertainty.name)} {mixer_label(cfg.mixer.name)}"


def _set_label(name: str) -> str:
    """What the set calls itself; of one whose module was not imported, the name of the class."""
    if name in _GROUP_DR:
        return _GROUP_DR[name]
    from torchrl_drigm.uncertainty import find_set  # here, as it imports PyTorch

    try:
        return find_set(name, may_import=False).label
    except ValueError:
        return name.rpartition(".")[-1]


def mixer_label(name: str) -> str:
    """Of an import path the class alone, as it is written."""
    return name.rpartition(".")[-1] if "." in name else name.upper()


def read_config(run_dir: Path) -> Config:
    """The fields of a run's config by their dotted names; of a nominal run, no uncertainty set's.

    Raises:
        FileNotFoundError: there is no ``config.yaml``.
        ValueError: it cannot be read, or lacks a field that every run has.
    """
    file = run_dir / "config.yaml"
    if not file.exists():
        raise FileNotFoundError(f"no config.yaml in {run_dir}: name folders of runs.")
    try:
        config = dict(_fields_of(file.read_text(encoding="utf-8")))
    except (YAMLError, OmegaConfBaseException, OSError, AttributeError, UnicodeError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    missing = [field for field in _REQUIRED if field not in config]
    if missing:
        raise ValueError(
            f"{file} lacks {', '.join(missing)}: it is damaged, or no config of a run."
        )
    # contamination of size 0 has the nominal targets, so that a stack may have both
    size = config.get("uncertainty.rho") if config["uncertainty.name"] == "contamination" else None
    if config["uncertainty.name"] == "none" or size == 0:
        config = {**_without(config, "uncertainty."), "uncertainty.name": "none"}
    return config


@functools.lru_cache(maxsize=1000)
def _fields_of(text: str) -> Config:
    """The fields of such a file. A table of runs asks ten times for each; parsing takes 20 ms."""
    return flat_config(OmegaConf.load(io.StringIO(text)))


def method_of(config: Config) -> Config:
    """What runs of one method share, those of before a field was added too."""
    return ADDED | {field: value for field, value in config.items() if field not in NEUTRAL}


def flat_config(cfg: DictConfig | Config) -> Config:
    """The fields of a config by their dotted names; one that is such a mapping already stays so."""
    return _flat(OmegaConf.to_container(cfg, resolve=True) if OmegaConf.is_config(cfg) else cfg)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Config:
    flat = {}
    for key, value in config.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat


def _without(config: Config, prefix: str) -> Config:
    return {field: value for field, value in config.items() if not field.startswith(prefix)}


def tell_apart(names: Sequence[str], configs: Sequence[Config]) -> list[str]:
    """The names, each longer by the fields that tell configs of the same name apart.

    Args:
        names: one per config.
        configs: equal ones get one name, others different ones.
    """
    fields = dict.fromkeys(field for config in configs for field in config)
    configs = [{field: config.get(field, "unset") for field in fields} for config in configs]
    always = [field for field in _ALWAYS_NAMED if field in fields and _differs(field, configs)]
    longer = []
    for name, config in zip(names, configs, strict=True):
        # one config of each kind under this name
        same: list[Config] = []
        for other_name, other in zip(names, configs, strict=True):
            if other_name == name and other not in same:
                same.append(other)
        differing = [f for f in fields if f not in always and _differs(f, same)]
        chosen = list(always)
        while _n_kinds(chosen, same) < len(same):
            chosen.append(max(differing, key=lambda f: _n_kinds([*chosen, f], same)))
            differing.remove(chosen[-1])
        parts = [name, *(f"{field}={config[field]}" for field in chosen)]
        more = f" and {len(differing)} more" if differing else ""
        longer.append(", ".join(parts) + more)
    return longer


def _differs(field: str, configs: Sequence[Config]) -> bool:
    return any(config[field] != configs[0][field] for config in configs)


def _n_kinds(fields: Sequence[str], configs: Sequence[Config]) -> int:
    """How many configs the fields tell apart."""
    return len({repr([config[field] for field in fields]) for config in configs})


def leave_out_copies(described: pd.DataFrame, left_out: dict[str, str]) -> pd.DataFrame:
    """The rows of :func:`describe_runs` but those that are a method's seed once more.

    Robust runs that differ in the set alone have some controls in common: these copies are no
    surprise, and need no reason.

    Args:
        described: one row per run.
        left_out: receives the reason by run.
    """
    copies = described.duplicated(["method", "seed"])
    for row in described[copies].itertuples():
        if Path(row.run).parent.name == CONTROLS:
            continue
        same = (described["method"] == row.method) & (described["seed"] == row.seed)
        first = described[same]["run"].iloc[0]
        left_out[row.run] = f"has the config and the seed of {first}"
    return described[~copies]


def warn_left_out(left_out: Mapping[str, str]) -> None:
    """One warning that names the runs that do not count, each with its reason."""
    if left_out:
        lines = [f"  {run}: {reason}" for run, reason in left_out.items()]
        warnings.warn("\n".join(["Left out:", *lines]), stacklevel=3)


def warn_versions(versions: Mapping[str, str]) -> None:
    """A warning where the runs of a table were judged in several versions of the environment."""
    runs: dict[str, list[str]] = {}
    for run, version in versions.items():
        runs.setdefault(version, []).append(run)
    if len(runs) > 1:
        lines = [f"  {version}: {', '.join(own)}" for version, own in runs.items()]
        told = "Judged in different versions of the environment, in which returns may differ:"
        again = "`evaluate RUN --suite SUITE` of each and `compare --suite SUITE` are of one."
        warnings.warn("\n".join([told, *lines, again]), stacklevel=3)
