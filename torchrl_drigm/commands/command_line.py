"""A script's command line: Hydra's, with a config that is checked before PyTorch is imported."""

from __future__ import annotations

import functools
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from torchrl_drigm._signals import ends_at_once, resumed_by
from torchrl_drigm.commands._places import has_results, named_folder
from torchrl_drigm.commands._refusals import refuse, refuse_with_torch
from torchrl_drigm.config.help import help_text
from torchrl_drigm.trainers.checkpoint_place import checkpoint_of

__all__ = ["CONFIGS", "command_line"]

CONFIGS = "torchrl_drigm.config"
_REFUSALS = (ImportError, RuntimeError, ValueError, FileNotFoundError)


def command_line(config: str) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Makes of a function of a config one of the words on a command line.

    It is ``hydra.main`` with the configs of this package, but a config that no run can be made of
    is refused in a line, before PyTorch is imported and before a folder is made, and ``--help``
    says what each field means. For that, the script must not import PyTorch at its top: the
    packages of this library do so when they are first used.

    Args:
        config (str): name of the config, such as ``"building"``.

    Examples:
        >>> @command_line("building")
        ... def main(cfg):
        ...     print(cfg.mixer.name)
    """

    def decorate(task: Callable[[DictConfig], None]) -> Callable[[], None]:
        @functools.wraps(task)
        def main() -> None:
            args = get_args_parser().parse_args()
            if args.help and _help(config, args):
                return
            if not (args.help or args.hydra_help or _others(args)):
                _resume_in_place(args, _check(config, args))
            composes = hydra.main(
                version_base=None, config_path=f"pkg://{CONFIGS}", config_name=config
            )
            try:
                with ends_at_once(), resumed_by(_resuming):
                    composes(task)()
            except KeyboardInterrupt:  # of which a traceback says nothing
                raise SystemExit(130) from None

        return main

    return decorate


def _others(args) -> bool:
    """Whether something else is asked for than a run."""
    return bool(args.cfg or args.shell_completion or args.info or args.experimental_rerun)


def _resuming(folder: Path) -> str:
    """The command line by which the run of this one goes on."""
    hydra_cfg = HydraConfig.get()
    if hydra_cfg.mode == RunMode.MULTIRUN:
        place = f"hydra.sweep.dir={_typed(hydra_cfg.sweep.dir)}"
    elif _is_stack(sys.argv):
        place = f"hydra.run.dir={_typed(hydra_cfg.runtime.output_dir)}"
    else:
        place = f"resume={_typed(folder / 'checkpoint')}"
    replaced = (
        *("resume=", "hydra.run.dir=", "hydra.sweep.dir=", "hydra.job.name="),
        "hydra.output_subdir=null",
    )
    words = [word.removeprefix("+stack.") for word in sys.argv[1:] if not word.startswith(replaced)]
    # beside the other overrides: an option may not stand in between
    at = next((i for i, w in enumerate(words) if "=" in w and not w.startswith("-")), len(words))
    return f"{_program()} {shlex.join([*words[:at], place, *words[at:]])}"


def _is_stack(words: Sequence[str]) -> bool:
    """Whether several runs are asked for at once."""
    return any(word.startswith("+stack.") for word in words)


def _typed(path: str | Path) -> str:
    """A path as an override has it."""
    path = os.path.relpath(path) if Path.cwd() in Path(path).absolute().parents else str(path)
    return path if re.fullmatch(r"[\w./:+-]+", path) else f"'{path}'"


def _program() -> str:
    """What is typed before overrides."""
    return sys.argv[0] if sys.argv[0].startswith("python ") else f"python {sys.argv[0]}"


def _help(config: str, args) -> bool:
    """Print what each field means; ``False`` where it is Hydra that has to say why it cannot be."""
    if args.config_path is not None:
        return False
    name = config if args.config_name is None else args.config_name
    try:
        print(help_text(_program(), name, args.overrides, _folder(args)))
    except HydraException:
        return False
    return True


def _folder(args) -> str | None:
    """The folder of configs of one's own."""
    return None if args.config_dir is None else os.path.abspath(args.config_dir)


def _resume_in_place(args, found: Sequence[DictConfig]) -> None:
    """Let Hydra make no other folder than that of the run that goes on."""
    if args.multirun or len(found) != 1 or found[0].resume is None:
        return
    folder = checkpoint_of(found[0].resume).parent
    # what it writes of the overrides there is that of the first time
    own = [f"hydra.run.dir={_typed(folder)}", "hydra.output_subdir=null"]
    at = max(i for i, word in enumerate(sys.argv) if word in args.overrides) + 1
    sys.argv[at:at] = own


def _check(config: str, args) -> list[DictConfig]:
    if args.config_path is not None:  # a folder that is no part of this package
        return []
    name = config if args.config_name is None else args.config_name
    folder = _folder(args)
    if folder is not None and not os.path.isdir(folder):
        return []  # Hydra says so
    try:
        found = refuse(config, name, args.overrides, folder, args.multirun)
        if len(found) == 1 or not args.multirun:  # of a sweep each run is made elsewhere, or later
            at_once = _is_stack(args.overrides)
            run_dir = named_folder(args.overrides, "hydra.run.dir")
            if at_once or run_dir is None or not has_results(found[0], run_dir):
                refuse_with_torch(found[0], at_once)
        return found
    except HydraException:
        return []  # it is found once more, and told by Hydra
    except (*_REFUSALS, OmegaConfBaseException) as error:
        print(f"{getattr(error, 'trace', '')}{error}", file=sys.stderr)
        raise SystemExit(1) from error
