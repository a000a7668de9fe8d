"""Train, choose, evaluate, compare, export, reproduce: ``python -m torchrl_drigm --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from torchrl_drigm._modules import import_own
from torchrl_drigm._signals import STOPPED, TERMINATED, ends_at_once, resumed_by

COMMANDS = ("train", "choose", "evaluate", "compare", "export", "reproduce")


def main(arguments: Sequence[str] | None = None) -> None:
    """Hand the arguments to the command that they name."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["train"]:  # whose options are Hydra's
        import_module("torchrl_drigm.commands.train").main(arguments[1:])
        return
    parser = argparse.ArgumentParser(
        prog="python -m torchrl_drigm",
        description="Robust value factorization: train teams, choose a parameter of training, "
        "evaluate, compare and export.",
    )
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands = {name: import_module(f"torchrl_drigm.commands.{name}") for name in COMMANDS}
    for name, command in commands.items():
        subparser = parsers.add_parser(name, help=command.HELP)
        if name != "train":
            command.add_arguments(subparser)
            subparser.add_argument(
                "--import",
                dest="modules",
                action="append",
                default=[],
                metavar="MODULE",
                help="a module of your own that a run's config names a class of; may be repeated",
            )
    if arguments[:1] == ["choose"]:  # whose options may stand between overrides
        words = parsers.choices["choose"].parse_intermixed_args(arguments[1:])
        chosen = argparse.Namespace(command="choose", **vars(words))
    else:
        chosen = parser.parse_args(arguments)
    try:
        with ends_at_once(), resumed_by(lambda folder: None):  # it is the command that goes on
            for module in chosen.modules:  # what is in a folder alone makes nothing be imported
                import_own("--import", module)
            commands[chosen.command].main(chosen)
    except (FileNotFoundError, ImportError, ValueError) as error:
        trace = getattr(error, "trace", "")  # of code of the user's own
        print(f"{trace}{chosen.command}: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    except STOPPED as error:
        if isinstance(error, KeyboardInterrupt) or error.code == TERMINATED:
            where = ", with --out FOLDER" if chosen.command == "choose" else ""
            print(f"{chosen.command}: stopped. The same goes on{where}.", file=sys.stderr)
        raise


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # of which a traceback says nothing
        raise SystemExit(130) from None
