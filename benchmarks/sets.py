"""What an uncertainty set costs: an update of QMIX over each set against one over total variation.

    python benchmarks/sets.py                  # both presets, every set with a dual
    python benchmarks/sets.py --repeats 400 --preset fast

An update is: sample, loss, backward, clip, optimizers, target. All sets are timed in turn, in CPU
time, which waiting for a busy processor does not stretch. Prints the ratio to total variation of
neighbouring updates, as median and quartiles, and milliseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from functools import partial

import torch
from _timing import Table, interleaved, print_header, ratios, show
from _training import build_trainer, compose_config, update
from torchrl import logger as torchrl_logger

SETS = ("tv", "cvar", "kl", "chi2")


def an_update(preset: str, uncertainty: str, run_dir: str):
    """The call that is one update, on a trainer that has some batches in its replay buffer."""
    frames = ("collector.total_frames=1024", "optim.updates_per_batch=1")
    cfg = compose_config(f"preset={preset}", "mixer=qmix", f"uncertainty={uncertainty}", *frames)
    trainer = build_trainer(cfg, run_dir)
    trainer.train()
    return partial(update, trainer)


def main() -> None:
    """Time every set and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=200, help="updates per set (200)")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads (1)")
    parser.add_argument("--preset", choices=("paper", "fast"), help="one of them (both)")
    args = parser.parse_args()
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(args.threads)
    print_header("One update of QMIX over a set, against total variation")
    table = Table({"preset, set": 20, "set / tv": 24, "ms": 24})
    for preset in (args.preset,) if args.preset else ("paper", "fast"):
        with contextlib.ExitStack() as folders:
            calls = {
                uncertainty: an_update(
                    preset, uncertainty, folders.enter_context(tempfile.TemporaryDirectory())
                )
                for uncertainty in SETS
            }
            times = interleaved(calls, args.repeats, clock=time.process_time)
        for uncertainty in SETS:
            ratio = ratios(times[uncertainty], times["tv"])
            table.row(
                f"{preset}, {uncertainty}", show(ratio, digits=3), show(times[uncertainty], 2, 1e3)
            )


if __name__ == "__main__":
    main()
