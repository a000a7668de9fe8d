"""What numbers below float32's normal range cost: an update with them / one that takes them for 0.

    python benchmarks/denormals.py
    python benchmarks/denormals.py --case "preset=paper uncertainty=none" --steps 24000

Two trainers learn the same from the same seed. In one the processor keeps such numbers, which
PyTorch does by itself; in the other it takes them for 0, as all of this library's runs do
(`torch.set_flush_denormal`). After every part of the run both make updates in turn. The last
columns are of the first trainer: the share of the numbers in its optimizers' states that are below
the range, and whether both have the same weights to the last bit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from statistics import median

import torch
from _timing import Table, print_header, ratios, show
from _training import build_trainer, compose_config, update
from torchrl import logger as torchrl_logger
from torchrl.trainers import Trainer

TINY = torch.finfo(torch.float32).tiny
KEPT, FLUSHED = False, True


def optimizers(trainer: Trainer) -> list[torch.optim.Optimizer]:
    """All of a trainer."""
    return list(trainer.optimization_stepper.optimizers.values())


def share_below(trainer: Trainer) -> float:
    """Of the numbers in the states of a trainer's optimizers: those below the normal range."""
    numbers = torch.cat(
        [
            value.flatten()
            for optimizer in optimizers(trainer)
            for state in optimizer.state.values()
            for value in state.values()
            if value.ndim
        ]
    )
    return ((numbers != 0) & (numbers.abs() < TINY)).float().mean().item()


def weights(trainer: Trainer) -> torch.Tensor:
    """What is optimized, as one row."""
    groups = [group for optimizer in optimizers(trainer) for group in optimizer.param_groups]
    return torch.cat([weight.detach().flatten() for group in groups for weight in group["params"]])


def trained(case: str, steps: int, flush: bool, run_dir: str) -> Trainer:
    """A trainer after so many steps of a run that is meant to be longer."""
    torch.set_flush_denormal(flush)
    torch.manual_seed(0)
    cfg = compose_config(*case.split())
    trainer = build_trainer(cfg, run_dir)
    trainer.total_frames = steps
    trainer.train()
    torch.set_flush_denormal(False)  # else what reads the states takes them for 0, too
    return trainer


def measure(trainers: dict[bool, Trainer], repeats: int, updates: int) -> dict[bool, list[float]]:
    """Processor time of an update of each."""
    seconds = {flush: [] for flush in trainers}
    for repeat in range(repeats + 2):
        for flush in list(trainers)[:: 1 if repeat % 2 else -1]:
            torch.set_flush_denormal(flush)
            start = time.process_time()
            for _ in range(updates):
                update(trainers[flush])
            if repeat >= 2:
                seconds[flush].append((time.process_time() - start) / updates)
    torch.set_flush_denormal(False)
    return seconds


def main() -> None:
    """Train to each point, time and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", default="preset=fast mixer=qmix uncertainty=tv")
    parser.add_argument("--steps", type=int, help="steps until the last point (all of the run)")
    parser.add_argument("--points", type=int, default=3, help="points of a run to look at (3)")
    parser.add_argument("--repeats", type=int, default=40, help="measurements of each point (40)")
    parser.add_argument("--updates", type=int, default=4, help="updates per measurement (4)")
    args = parser.parse_args()
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(1)
    steps = args.steps or compose_config(*args.case.split()).collector.total_frames
    print_header(f"Processor time of an update, {args.case}: kept / taken for 0", "1 thread")
    columns = {"steps": 10, "kept / taken for 0": 24, "kept, ms": 10, "0, ms": 8}
    table = Table({**columns, "below": 8, "same weights": 14})
    for point in range(1, args.points + 1):
        with tempfile.TemporaryDirectory() as run_dir:
            trainers = {
                flush: trained(args.case, steps * point // args.points, flush, f"{run_dir}/{flush}")
                for flush in (KEPT, FLUSHED)
            }
            below = f"{share_below(trainers[KEPT]):.1%}"
            same = bool((weights(trainers[KEPT]) == weights(trainers[FLUSHED])).all())
            seconds = measure(trainers, args.repeats, args.updates)
        ms = [f"{1e3 * median(seconds[flush]):.2f}" for flush in (KEPT, FLUSHED)]
        ratio = show(ratios(seconds[KEPT], seconds[FLUSHED]))
        table.row(f"{steps * point // args.points:,}", ratio, *ms, below, "yes" if same else "no")


if __name__ == "__main__":
    main()
