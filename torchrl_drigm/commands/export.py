"""Export the team of a run: as a program that runs without this package, or without its ballast."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torchrl_drigm.commands._checks import check_imported, check_out, path_of
from torchrl_drigm.trainers.checkpoint_version import check_there
from torchrl_drigm.trainers.program_files import (
    FORMATS,
    check_program,
    missing_for_onnx,
    policy_folder,
)
from torchrl_drigm.trainers.runs import read_config

__all__ = ["HELP", "add_arguments", "main"]

HELP = "export the team of a run as files that PyTorch or ONNX run; or keep its policy alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.description = (
        "Writes the trained team of a run as a program of torch.export, team.pt2, and as one of "
        "ONNX, team.onnx, if the extra 'onnx' is installed; and beside them team.json, which says "
        "what they take and give. A call is a step: observations in, actions out, and what agents "
        "remember, their window or recurrent state, in and out. Every program is compared with the "
        "team in PyTorch before it is written. With --keep policy no program is written: of the "
        "run's checkpoint only that is left which the team acts with. It can be loaded, evaluated "
        "and exported as before, and not be resumed."
    )
    parser.add_argument("run", type=path_of, help="folder of the run")
    parser.add_argument(
        "--keep",
        choices=["policy"],
        help="leave of the checkpoint what is needed to act, in the run's folder or, with --out, "
        "in an empty one; the run itself then stays as it is",
    )
    parser.add_argument(
        "--out",
        type=path_of,
        help="folder to write into, or a file *.pt2 or *.onnx (the run's folder)",
    )


def main(arguments: argparse.Namespace) -> None:
    """Export, and say what was compared and where it is."""
    if arguments.keep == "policy":
        _keep(arguments.run, arguments.out)
        return
    check_out(arguments.out, FORMATS)
    out = arguments.run if arguments.out is None else arguments.out
    missing = missing_for_onnx()
    if out.suffix in FORMATS:
        paths = [out]
    else:
        paths = [out / f"team{ending}" for ending in FORMATS if ending == ".pt2" or not missing]
    for path in paths:
        check_program(f"--out={out}", path)
    cfg = read_config(arguments.run)
    check_there(arguments.run, cfg)
    check_imported(cfg)
    # not before: these import PyTorch
    from torchrl import logger as torchrl_logger

    from torchrl_drigm.trainers.agreement import Disagreement
    from torchrl_drigm.trainers.export import write_programs

    torchrl_logger.setLevel("WARNING")
    try:
        written = write_programs(arguments.run, paths)
    except Disagreement as error:
        print(f"export: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    for name, compared in written.items():
        print(f"{name} acts as the team in PyTorch does:")
        print(*(f"  {where}: {what}" for where, what in compared.items()), sep="\n")
    print("Written:", *(f"  {file}" for file in (*paths, paths[0].with_suffix(".json"))), sep="\n")
    if missing and out.suffix not in FORMATS:
        print('No team.onnx, which needs more: pip install "torchrl_drigm[onnx]"')


def _keep(run: Path, out: Path | None) -> None:
    check_out(out)
    policy_folder(run, out)
    check_there(run, read_config(run))
    # not before: these import PyTorch
    from torchrl import logger as torchrl_logger

    from torchrl_drigm.trainers.policy_only import keep_policy

    torchrl_logger.setLevel("WARNING")
    before = _size(run / "checkpoint")
    folder = keep_policy(run, out)
    after = _size(folder / "checkpoint")
    print(f"The team alone is in {folder}: checkpoint of {after:,.0f} kB, {before:,.0f} kB before.")


def _size(folder: Path) -> float:
    """Bytes of all files, in units of 1,000."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1000
