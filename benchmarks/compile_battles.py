"""What compile=true gives to recurrent agents on SMAX, and what compiling takes.

    python benchmarks/compile_battles.py             # sequences of 8 steps
    python benchmarks/compile_battles.py --steps 32  # of 32 steps, as preset=battles has them

The compiler unrolls the sequences, so it takes longer the longer they are. Robust QMIX with the
settings of ``preset=battles``, two trainers on the same kind of data: one updates in eager mode,
the other compiled, in turn. Prints the time of the first compiled update, which compiles with
nothing in the compiler's cache, then medians with quartiles of the ratio and of the milliseconds of
an update.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from functools import partial

import torch
from _timing import Table, interleaved, print_header, ratios, show
from _training import build_trainer, compose_config, update
from torchrl import logger as torchrl_logger


def updates(n_steps: int, compiled: bool, run_dir: str):
    """An update of a trainer whose replay buffer holds sequences."""
    n_envs = compose_config(example="smac_rqmix").env.num_envs
    cfg = compose_config(
        "env=smax",
        f"compile={compiled}",
        f"collector.frames_per_batch={n_envs * n_steps}",
        f"collector.total_frames={n_envs * n_steps}",
        "optim.updates_per_batch=0",
        "replay.size=256",
        example="smac_rqmix",
    )
    trainer = build_trainer(cfg, run_dir)
    trainer.train()
    return partial(update, trainer)


def main() -> None:
    """Compile, time both and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=8, help="steps of a sequence (8)")
    parser.add_argument("--repeats", type=int, default=30, help="updates (30)")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads (1)")
    args = parser.parse_args()
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(args.threads)
    print_header(f"One update on 32 sequences of {args.steps} steps, ms: eager / compiled")
    with tempfile.TemporaryDirectory() as run_dir, tempfile.TemporaryDirectory() as other:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{other}/compiler"
        eager = updates(args.steps, False, run_dir)
        compiled = updates(args.steps, True, other)
        start = time.perf_counter()
        compiled()
        print(f"compiling: {time.perf_counter() - start:.0f} s\n", flush=True)
        times = interleaved({"eager": eager, "compiled": compiled}, args.repeats)
    table = Table({"eager / compiled": 20, "eager": 24, "compiled": 24})
    table.row(
        show(ratios(times["eager"], times["compiled"])),
        show(times["eager"], scale=1e3),
        show(times["compiled"], scale=1e3),
    )


if __name__ == "__main__":
    main()
