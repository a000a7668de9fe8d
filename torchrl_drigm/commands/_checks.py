"""What a command line says, refused before PyTorch is imported and anything is played."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from torchrl_drigm._files import check_place
from torchrl_drigm._named import find_callable
from torchrl_drigm.evaluation.controls import control_discounts, has_controls, own_modules
from torchrl_drigm.evaluation.files import results_of
from torchrl_drigm.trainers.runs import has_ended

__all__ = [
    "check_at_least",
    "check_controls",
    "check_imported",
    "check_out",
    "check_seed",
    "path_of",
]


def path_of(word: str) -> Path:
    """The path that a word on the command line is: not the folder one is in for no name at all.

    Raises:
        argparse.ArgumentTypeError: for an empty word, such as a variable that is not set.

    Examples:
        >>> path_of("")
        Traceback (most recent call last):
        argparse.ArgumentTypeError: an empty name: say . for the folder you are in.
    """
    if not word:
        raise argparse.ArgumentTypeError("an empty name: say . for the folder you are in.")
    return Path(word)


def check_at_least(name: str, value: int, lowest: int) -> None:
    """Refuse a number that is too low.

    Raises:
        ValueError: naming the option, its value and the bound.

    Examples:
        >>> check_at_least("--jobs", 0, 1)
        Traceback (most recent call last):
        ValueError: --jobs=0 must be at least 1.
    """
    if value < lowest:
        raise ValueError(f"{name}={value} must be at least {lowest}.")


def check_seed(name: str, value: int) -> None:
    """Refuse a seed that not every random generator takes.

    Raises:
        ValueError: naming the option, its value and the bound.

    Examples:
        >>> check_seed("--seed", 2**32)
        Traceback (most recent call last):
        ValueError: --seed=4294967296 must be below 2**32.
    """
    check_at_least(name, value, 0)
    if value >= 2**32:
        raise ValueError(f"{name}={value} must be below 2**32.")


def check_imported(cfg: DictConfig) -> None:
    """Refuse a run's config that names an environment of a module that was not imported.

    Raises:
        ValueError: naming the field, its value and the option that imports it.
    """
    for field in ("env.name", "env.make"):
        path = str(OmegaConf.select(cfg, field))
        if any(module not in sys.modules for module in own_modules({field: path})):
            find_callable(field, path, may_import=False)


def check_out(out: Path | None, files: tuple[str, ...] = ()) -> None:
    """Refuse an ``--out`` that nothing can be written into, or that is of another kind.

    Args:
        out (Path, optional): what ``--out`` says: a folder.
        files (tuple of str): endings of files that it may be instead.

    Raises:
        ValueError: for another ending, a file where a folder is needed, a folder where a file is,
            or a folder that cannot be made or written into.

    Examples:
        >>> check_out(Path("rows.png"), (".csv",))
        Traceback (most recent call last):
        ValueError: --out=rows.png must be a folder or a file *.csv. ...
    """
    if out is None:
        return
    is_file = out.suffix in files
    if is_file and out.is_dir():
        raise ValueError(f"--out={out} is a folder: name a folder without the ending {out.suffix}.")
    if not is_file and re.fullmatch(r"\.[A-Za-z]\w*", out.suffix) and not out.is_dir():
        kinds = ["a folder", *(f"a file *{ending}" for ending in files)]
        raise ValueError(
            f"--out={out} must be {' or '.join(kinds)}. A folder with an ending has to be there "
            "already."
        )
    check_place(f"--out={out}", out.parent if is_file else out)


def check_controls(cfg: DictConfig, run_dir: Path) -> None:
    """Refuse ``--controls`` of a run that has none, or has not ended.

    Args:
        cfg (DictConfig): the run's config.
        run_dir (Path): its folder.

    Raises:
        ValueError: saying which; also if the config names a class of a module that was not
            imported.
    """
    if not has_controls(cfg):
        control_discounts(cfg)
    if not has_ended(cfg, run_dir, results_of(cfg)):
        raise ValueError(
            f"{run_dir} has not made its collector.total_frames={cfg.collector.total_frames} steps:"
            " controls of as many would have learned for longer. Let the run go on to its end "
            "first, with resume=FOLDER/checkpoint."
        )
    # training looks classes up by import, which executes what a folder alone names
    missing = [module for module in own_modules(cfg) if module not in sys.modules]
    if missing:
        raise ValueError(
            f"the config in {run_dir} names classes of {', '.join(missing)}, which was not "
            f"imported, and a folder alone makes nothing be imported. Say --import {missing[0]}."
        )
