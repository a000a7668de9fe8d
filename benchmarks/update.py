"""One full update of the paper's configuration, ours against the released style, interleaved.

    python benchmarks/update.py                # all nine algorithms
    python benchmarks/update.py --repeats 200 --only qmix-tv

An update is: sample, loss, backward, clip, optimizer, target. The optimizer of both is that of the
paper's text, or that of its released configuration (``--optimizer adam``). Ours goes through the
trainer's own path, which computes next values when transitions are stored and, in chunks, after a
target copy; both are timed too, and each of our updates is charged its share of them.
Prints the ratio, which is what holds on a busy machine, then medians with quartiles in
milliseconds, and how much of the released style's is making a batch from its tuples; last the
arithmetic limit: the time of our update's matrix products at the throughput
that the largest of them reaches, measured in the same interleaved run.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from statistics import median

import torch
from _released_style import ReleasedStyle
from _timing import (
    MatrixProduct,
    Table,
    count_flops,
    interleaved,
    limit,
    print_header,
    ratios,
    show,
)
from _training import build_trainer, compose_config, update
from torchrl import logger as torchrl_logger

from torchrl_drigm.envs.transforms import NextHistory
from torchrl_drigm.trainers.next_values import KeepNextValue

# of the paper's text and preset=paper, and of its released configuration
OPTIMIZERS = {"rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam}


def ours(mixer: str, uncertainty: str, optimizer: str, run_dir: str, compiled: bool = False):
    """On a trainer of ``preset=paper`` with a full replay buffer: an update, and what goes with it.

    Returns the call that is an update, and by name the calls that compute next values, of new
    transitions and of a chunk of stored ones, with the number of such calls per update.
    """
    algorithm = ("preset=paper", f"mixer={mixer}", f"uncertainty={uncertainty}")
    algorithm += (f"optim.name={optimizer}", f"compile={compiled}")
    paper = compose_config(*algorithm)
    cfg = compose_config(*algorithm, "collector.total_frames=512", "optim.updates_per_batch=1")
    trainer = build_trainer(cfg, run_dir)
    trainer.train()
    steps = trainer.replay_buffer[:].clone()
    while len(trainer.replay_buffer) < paper.replay.size:
        trainer.replay_buffer.extend(steps)
    n_new, n_chunk = paper.collector.frames_per_batch, KeepNextValue.chunk
    stored = NextHistory()(trainer.replay_buffer[: max(n_new, n_chunk)])
    new, chunk = stored[:n_new], stored[:n_chunk]
    loss = trainer.loss_module

    next_values = {
        "new": lambda: loss.next_team_value(new),
        "renewed": lambda: loss.next_team_value(chunk),
    }
    calls_per_update = {
        "new": 1 / paper.optim.updates_per_batch,
        "renewed": paper.replay.size / n_chunk / paper.target.interval,
    }
    return partial(update, trainer), next_values, calls_per_update


def main() -> None:
    """Time every algorithm and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=40, help="updates per algorithm (40)")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads (1)")
    parser.add_argument("--only", default="", help="part of an algorithm's name")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="rmsprop", help="of both sides")
    parser.add_argument("--compile", action="store_true", help="ours with compile=true, too")
    args = parser.parse_args()
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(args.threads)
    print_header(f"One update with {args.optimizer}, ms: released style / ours")
    compiled_columns = {"released / compiled": 24, "compiled": 24} if args.compile else {}
    table = Table(
        {
            "algorithm": 20,
            "released / ours": 20,
            "released": 24,
            "its sampling": 14,
            "ours": 24,
            "MFLOP": 8,
            "GFLOP/s": 9,
            "limit": 8,
            "ours / limit": 14,
        }
        | compiled_columns
    )
    for mixer in ("vdn", "qmix", "qtran"):
        for uncertainty in ("none", "contamination", "tv"):
            name = f"{mixer}-{uncertainty}"
            if args.only not in name:
                continue
            baseline = ReleasedStyle(mixer, uncertainty, optimizer=OPTIMIZERS[args.optimizer])
            baseline.fill()
            product = MatrixProduct()
            with tempfile.TemporaryDirectory() as run_dir, tempfile.TemporaryDirectory() as other:
                our_update, next_values, calls = ours(mixer, uncertainty, args.optimizer, run_dir)
                contestants = {"released": baseline.update, "ours": our_update}
                contestants |= {**next_values, "sampling": baseline.sample, "product": product}
                if args.compile:
                    contestants["compiled"], *_ = ours(
                        mixer, uncertainty, args.optimizer, other, compiled=True
                    )
                times = interleaved(contestants, args.repeats)
                for name_of_ours in {"ours", "compiled"} & times.keys():
                    for part, n_calls in calls.items():
                        times[name_of_ours] = [
                            own + n_calls * rest
                            for own, rest in zip(times[name_of_ours], times[part], strict=True)
                        ]
                flops = count_flops(our_update)
            extra = ()
            if args.compile:
                extra = (
                    show(ratios(times["released"], times["compiled"])),
                    show(times["compiled"], scale=1e3),
                )
            throughput = product.throughput(times["product"])
            table.row(
                name,
                show(ratios(times["released"], times["ours"])),
                show(times["released"], scale=1e3),
                f"{1e3 * median(times['sampling']):.2f}",
                show(times["ours"], scale=1e3),
                f"{flops / 1e6:.0f}",
                f"{throughput / 1e9:.0f}",
                *limit(flops, throughput, times["ours"]),
                *extra,
            )


if __name__ == "__main__":
    main()
