"""What a command line asks for, refused before PyTorch is imported and anything is written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import closing

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig

from torchrl_drigm.commands._members import check_lists, members_of
from torchrl_drigm.commands._places import (
    check_resume,
    check_run_dir,
    check_writable,
    named_folder,
)
from torchrl_drigm.commands._sweeps import check_once
from torchrl_drigm.config import check_config, compose_config
from torchrl_drigm.config.names import check_names
from torchrl_drigm.tasks._outlines import outline_of
from torchrl_drigm.tasks.suites import check_battles, read_suite

__all__ = ["composed", "refuse", "refuse_config", "refuse_with_torch"]

# whose environments have random numbers of each run's own, which need not be looked at
SEEDED = ("building", "evcharging", "harvest", "machines", "drones")
# Names of the environments that a config is for; of the others nothing is assumed.
_ENVIRONMENTS = {"building": ("building",), "battles": ("smax", "smac")}
SWEPT = 32  # configs of a sweep that are looked at beforehand; all are when their turn comes


def refuse(
    script: str, config: str, overrides: Sequence[str], config_dir: str | None, sweep: bool
) -> list[DictConfig]:
    """Refuse what no run can be made of, and return the configs that runs can be made of.

    Args:
        script (str): name of the config that the script or command is written for.
        config (str): name of the config that is asked for.
        overrides (sequence of str): in Hydra's grammar.
        config_dir (str, optional): a folder of configs of one's own.
        sweep (bool): whether overrides have several values (``-m``).

    Raises:
        ValueError: naming the field, its value and what is legal.
        FileNotFoundError: if there is no checkpoint at ``resume``.
        hydra.errors.HydraException: for what does not compose.
    """
    check_once(overrides)
    check_lists(overrides)
    search = [] if config_dir is None else [f"hydra.searchpath=[file://{config_dir}]"]
    found, folders = [], []
    for words in itertools.islice(_swept(overrides), SWEPT) if sweep else [overrides]:
        cfg = composed([*search, *words], config)
        if script != config and ("interval" in cfg.evaluation) != (script == "battles"):
            raise ValueError(
                f"{config!r} is no config for this: its teams are tested "
                f"{'during' if 'interval' in cfg.evaluation else 'after'} training, and here they "
                f"would be {'during' if script == 'battles' else 'after'} it. Take {script!r}, or "
                f"python -m torchrl_drigm train {config}."
            )
        _check_env(config, cfg, words)
        for name, run in {"": cfg}.items() if "stack" not in cfg else members_of(cfg).items():
            refuse_config(run)
            found.append(run)
            folders.append(name)
    one = len(found) == 1 and not sweep
    if not one or found[0].resume is None:  # which writes into its own folder
        check_writable(overrides, sweep)
        folder = named_folder(overrides, "hydra.run.dir")
        if folder is not None and not sweep:
            for name, run in zip(folders, found, strict=True):
                check_run_dir(run, f"{folder}/{name}" if name else folder)
    return found


def composed(words: Sequence[str], config: str) -> DictConfig:
    """The config, unless there is no such field: then the names that there are.

    Args:
        words (sequence of str): overrides in Hydra's grammar.
        config (str): name of the config.

    Raises:
        ValueError: for a field that there is not, with those that there are.
        hydra.errors.HydraException: for what else does not compose.
    """
    try:
        return compose_config(*words, config=config)
    except ConfigCompositionException as error:
        found = re.match(r"Could not override '([\w.]+)'", str(error))
        if found is None:
            raise
        name = found[1]
        # added all the same, it is refused with the names that there are
        added = [f"+{w}" if w.partition("=")[0] == name else w for w in words]
        cfg = compose_config(*added, config=config)
        check_config(cfg)
        if "." in name:
            raise
        known = [str(field) for field in cfg if field != name]
        meant = [f"{g}.{name}" for g in known if isinstance(cfg[g], DictConfig) and name in cfg[g]]
        told = f"meant is {' or '.join(meant)}" if meant else f"those there are {known}"
        raise ValueError(f"{name} is no field: {told}.") from error


def refuse_with_torch(cfg: DictConfig, at_once: bool = False) -> None:
    """Refuse what is only known with PyTorch and the simulators, such as a device.

    Args:
        cfg (DictConfig): the composed config of a run.
        at_once (bool): whether the run is one of a stack, which not every environment can be of.
    """
    from torchrl_drigm.trainers.parts import check_parts

    task = check_parts(cfg)
    if at_once and cfg.env.name not in SEEDED:
        from torchrl_drigm.trainers.stack import check_environment

        with closing(task.make_env(1, "train", cfg.seed, {})) as env:
            check_environment(cfg, env)


def _check_env(config: str, cfg: DictConfig, words: Sequence[str]) -> None:
    """Refuse an environment of another config, by the name that it was chosen by.

    Classes of one's own are let pass, of which nothing is known beforehand.
    """
    known, name = _ENVIRONMENTS.get(config), str(cfg.env.name)
    if known is None or name in known or outline_of(cfg.env) is None:
        return
    chosen = [word for word in words if word.startswith("env=")]
    told = f"{chosen[-1]} (env.name={name!r})" if chosen else f"env.name={name!r}"
    other = next((own for own, names in _ENVIRONMENTS.items() if name in names), "torchrl")
    raise ValueError(
        f"{told} is no environment of the config {config!r}, which is for {' and '.join(known)}: "
        f"presets, suites and evaluation are theirs. Take python -m torchrl_drigm train {other}"
        f"{f' {chosen[-1]}' if chosen else ''}."
    )


def refuse_config(cfg: DictConfig) -> None:
    """Refuse one config, as :func:`refuse` does."""
    outline = outline_of(cfg.env)
    if outline is not None and "interval" in cfg.evaluation:
        check_battles(outline)
    check_config(cfg)
    check_names(cfg)
    if outline is not None and "suite" in cfg.evaluation:
        try:
            read_suite(outline, cfg.evaluation.suite)
        except ValueError as error:
            raise ValueError(f"evaluation.suite, of env.name={outline.name!r}: {error}") from error
    if cfg.resume is not None:
        check_resume(cfg)
    if cfg.get("map_name") is not None:
        cfg.env.map_name = cfg.map_name


def _swept(overrides: Sequence[str]) -> Iterator[list[str]]:
    """Overrides with the first value of each list, and then with each other value once."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    values = []
    for override in parsed:
        if not override.is_sweep_override():
            values.append([override.input_line])
            continue
        try:
            named = override.get_key_element()
            values.append([f"{named}={value}" for value in override.sweep_string_iterator()])
        except HydraException:  # a glob, whose values Hydra knows
            values.append([])
    first = [words[0] for words in values if words]
    yield first
    place = 0
    for words in values:
        for other in words[1:]:
            yield [*first[:place], other, *first[place + 1 :]]
        place += bool(words)
