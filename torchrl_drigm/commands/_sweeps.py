"""A sweep over one field of a config: what is asked for on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from torchrl_drigm._files import atomic_path
from torchrl_drigm.config import check_config, compose_config

__all__ = ["Sweep", "check_once", "check_sweep", "claim_sweep", "read_sweep", "typed"]

_ASKED = "sweep.yaml"
_STACK = "stack."  # before the lists of a stack


@dataclass
class Sweep:
    """A field's values, each to be trained with every seed.

    Attributes:
        config: name of the config.
        field: full name of the field, or of a group.
        values: as they are typed.
        seeds: as well.
        fixed: all other overrides.
        config_dir: folder of configs of one's own, or ``None``.
    """

    config: str
    field: str
    values: list[str]
    seeds: list[str]
    fixed: list[str]
    config_dir: str | None = None

    def compose(self, value: str, seed: str | None) -> DictConfig:
        """The config of one run; with the config's own seed for ``None``.

        Raises:
            ValueError: for a field or a value that the config does not know.
        """
        search = [] if self.config_dir is None else [f"hydra.searchpath=[{self.config_dir}]"]
        seeded = [] if seed is None else [f"seed={seed}"]
        words = [*search, *self.fixed, f"{self.field}={value}", *seeded]
        try:
            cfg = compose_config(*words, config=self.config)
        except HydraException as error:
            raise ValueError(f"{' '.join(words)}: {error}") from error
        if cfg.get("map_name") is not None:
            cfg.env.map_name = cfg.map_name
        check_config(cfg)
        return cfg

    def runs(self, folder: Path) -> dict[tuple[str, str], tuple[Path, DictConfig]]:
        """Folder and config of each run, by value and seed."""
        name = self.field.lstrip("+").rpartition(".")[-1]
        return {
            (value, seed): (
                folder / f"{name}_{_in_a_path(value)}" / f"seed_{_in_a_path(seed)}",
                self.compose(value, seed),
            )
            for value in self.values
            for seed in self.seeds
        }


def read_sweep(config: str, overrides: Sequence[str], config_dir: str | None = None) -> Sweep:
    """The sweep that overrides ask for: one field has several values, and the seed may.

    Args:
        config: name of the config.
        overrides: in Hydra's grammar, ``a.b=1,2`` for several values.
        config_dir: folder of configs of one's own.

    Raises:
        ValueError: if no field has several values, or more than one beside the seed has.

    Examples:
        >>> sweep = read_sweep("building", ["uncertainty=tv", "uncertainty.rho=0.1,0.3"])
        >>> sweep.field, sweep.values, sweep.seeds, sweep.fixed
        ('uncertainty.rho', ['0.1', '0.3'], ['0'], ['uncertainty=tv'])
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise ValueError(f"{' '.join(overrides)}: {error}") from error
    check_once(overrides)
    for override in parsed:
        if override.key_or_group == "resume":
            raise ValueError(
                f"{override.input_line}: resume belongs to one run. To go on with the runs of a "
                "folder, name it: --out FOLDER."
            )
    seeds = [o for o in parsed if o.key_or_group == "seed"]
    swept = [o for o in parsed if o.is_sweep_override() and o not in seeds]
    if len(swept) != 1:
        found = f"{len(swept)} have: {', '.join(o.input_line for o in swept)}" if swept else "none"
        raise ValueError(
            f"one field must have several values to choose from, such as "
            f"uncertainty.rho=0.1,0.2,0.3, and {found}. Of several fields choose one after the "
            "other; only seeds may be several beside it."
        )
    values = _values(swept[0])
    if len(values) < 2:
        raise ValueError(f"{swept[0].input_line}: of one value there is nothing to choose.")
    fixed = [o.input_line for o in parsed if o not in seeds and o is not swept[0]]
    sweep = Sweep(config, swept[0].get_key_element(), values, [], fixed, config_dir)
    if seeds:
        last = seeds[-1]
        sweep.seeds = _values(last) if last.is_sweep_override() else [str(last.value())]
    else:
        sweep.seeds = [str(sweep.compose(values[0], None).seed)]
    return sweep


def check_once(overrides: Sequence[str]) -> None:
    """Refuse a field that has several values and is given once more, as one would not count.

    Of single values the last one counts, as Hydra has it.

    Args:
        overrides: in Hydra's grammar; lists of a stack are those of ``+stack.…``.

    Raises:
        ValueError: naming the field and what is said of it.
        hydra.errors.HydraException: for what is no override.

    Examples:
        >>> check_once(["seed=0", "seed=1", "mixer=vdn,qmix"])
        >>> check_once(["mixer=vdn,qmix", "mixer=vdn"])
        Traceback (most recent call last):
        ValueError: mixer is given twice, mixer=vdn,qmix and mixer=vdn, and one of them would ...
    """
    said: dict[str, list[str]] = {}
    several = set()
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.key_or_group
        field = key.removeprefix(_STACK)
        said.setdefault(field, []).append(str(override.input_line).removeprefix(f"+{_STACK}"))
        if key != field or override.is_sweep_override():
            several.add(field)
    for field, words in said.items():
        if field in several and len(words) > 1:
            raise ValueError(
                f"{field} is given twice, {' and '.join(words)}, and one of them would not count: "
                "leave one out."
            )


def _values(override: Override) -> list[str]:
    try:
        values = list(override.sweep_string_iterator())
    except HydraException as error:  # a glob
        raise ValueError(
            f"{override.input_line}: write the values out, {override.key_or_group}=a,b ({error})."
        ) from error
    if min(len({same(v) for v in values}) for same in (_in_a_path, typed)) < len(values):
        raise ValueError(
            f"{override.input_line}: two values are the same, or would be in the name of a folder. "
            "Leave one out."
        )
    return values


def check_sweep(sweep: Sweep, folder: Path) -> None:
    """Refuse a folder of another sweep; more values and seeds may come later.

    Raises:
        ValueError: if the folder holds another sweep.
    """
    file = folder / _ASKED
    if not file.exists():
        return
    there = OmegaConf.to_container(OmegaConf.load(file))
    there = there if isinstance(there, dict) else {}
    differing = [
        f"{key}: {there.get(key)!r} there, {value!r} here"
        for key, value in _asked(sweep).items()
        if there.get(key) != value
    ]
    if differing:
        raise ValueError(
            f"{folder} holds another sweep. Differing: {'; '.join(differing)}. Name another "
            "folder, --out FOLDER, or give the overrides of the first time."
        )


def claim_sweep(sweep: Sweep, folder: Path) -> None:
    """Write down in a folder what is swept there; see :func:`check_sweep`."""
    check_sweep(sweep, folder)
    if not (folder / _ASKED).exists():
        with atomic_path(folder / _ASKED) as temporary:
            OmegaConf.save(OmegaConf.create(_asked(sweep)), temporary)


def _asked(sweep: Sweep) -> dict[str, Any]:
    return {"config": sweep.config, "field": sweep.field, "overrides": list(sweep.fixed)}


def typed(value: str) -> Any:
    """A number, where it is one.

    Examples:
        >>> typed("1"), typed("0.10"), typed("null")
        (1, 0.1, 'null')
    """
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    return value


def _in_a_path(value: str) -> str:
    """A value as a part of a folder's name."""
    return re.sub(r"[^\w.+-]+", "_", value)
