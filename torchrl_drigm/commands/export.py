"""Export the team of a run as a program that PyTorch alone runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from torchrl import logger as torchrl_logger

from torchrl_drigm.trainers import export_team

__all__ = ["HELP", "add_arguments", "main"]

HELP = "export the team of a run as a file that PyTorch alone runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.description = (
        "Writes the trained team of a run as a program of torch.export, and beside it a JSON file "
        "that says what it takes and gives. torch.export.load(FILE).module()(...) runs it, without "
        "this package."
    )
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--out", type=Path, help="file to write, *.pt2 (team.pt2 in the folder)")


def main(arguments: argparse.Namespace) -> None:
    """Export, and say where."""
    torchrl_logger.setLevel("WARNING")
    path = export_team(arguments.run, arguments.out)
    print("Written:", f"  {path}", f"  {path.with_suffix('.json')}", sep="\n")
