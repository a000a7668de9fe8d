"""Whole training through the example's own path: days, parts, time to a good team, memory.

    python benchmarks/training.py                  # two or three minutes
    python benchmarks/training.py --full           # more days, five seeds
    python benchmarks/training.py --only days

- days: seconds per day (288 steps) of ``preset=paper``, nominal and total-variation QMIX in turn,
  once the replay buffer can be sampled; logging is on, checkpoints (every 50,000 steps) are not.
  Below: where that time goes, by wrappers around the trainer's parts.
- returns: seconds of ``preset=fast`` until the greedy team first reaches a normalised return in
  Tucson, on 10 days. Evaluations are not counted; the second number adds what comes before
  training: interpreter, imports, config, environment and networks.
- memory: peak of a whole run of the example, ``preset=paper`` with its 10,000 transitions filled
  (at random and by 16 copies, which fills it sooner and no differently) and a day's updates, and
  the bytes of one stored transition.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import torch
from _timing import Table, interleaved, print_header, ratios, show
from _training import build_trainer, compose_config
from torchrl import logger as torchrl_logger
from torchrl.trainers import Trainer

from torchrl_drigm.envs.transforms import HistoryWindow
from torchrl_drigm.evaluation import evaluate
from torchrl_drigm.tasks import make_task

EXAMPLE = Path(__file__).parents[1] / "examples" / "sustaingym_rqmix.py"
STEPS = 288
WARMUP = 96  # steps: the first updates come after 64
THRESHOLDS = (0.80, 0.85, 0.90)


class PartTimer:
    """Seconds spent in each part; a part inside another one counts for itself only."""

    def __init__(self) -> None:
        self.seconds = defaultdict(float)
        self._inner = [0.0]

    def wrap(self, owner: object, name: str, part: str) -> None:
        """Times ``owner.name`` from now on."""
        call = getattr(owner, name)

        def timed(*args, **kwargs):
            self._inner.append(0.0)
            start = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                elapsed = time.perf_counter() - start
                self.seconds[part] += elapsed - self._inner.pop()
                self._inner[-1] += elapsed

        setattr(owner, name, timed)

    def wrap_trainer(self, trainer: Trainer) -> None:
        """Every part of a trainer; what is left is its loop and the collector's."""
        self.wrap(trainer.collector, "_wrapped_policy", "acting")
        self.wrap(trainer.collector.env, "step_and_maybe_reset", "environment")
        self.wrap(trainer, "_process_batch_hook", "storing, next values")
        self.wrap(trainer, "_process_optim_batch_hook", "sampling")
        self.wrap(trainer.loss_module, "forward", "loss")
        self.wrap(trainer.optimization_stepper, "step", "clip and optimizer")
        self.wrap(trainer, "_post_optim_hook", "target update")
        for hook in ("_pre_steps_log_hook", "_post_optim_log", "_post_optim_complete_log_hook"):
            self.wrap(trainer, hook, "logging")


class Day:
    """A trainer that goes on for one day per call."""

    def __init__(self, folder: str, uncertainty: str, timer: PartTimer) -> None:
        cfg = compose_config("preset=paper", f"uncertainty={uncertainty}")
        self.trainer = build_trainer(cfg, folder)
        self.trainer.total_frames = 0
        # train() ends with a checkpoint and a collector that is shut down, at every call of ours.
        self.trainer.save_trainer_file = None
        self.trainer.collector.shutdown = lambda *args, **kwargs: None
        timer.wrap_trainer(self.trainer)
        self.timer, self.parts = timer, []

    def __call__(self, steps: int = STEPS) -> None:
        self.trainer.total_frames += steps
        self.trainer.train()
        self.parts.append(dict(self.timer.seconds))
        self.timer.seconds.clear()


def report_days(n_days: int) -> None:
    """Seconds per day, then the share of each part."""
    timer = PartTimer()
    gradients = torch.autograd.grad
    timer.wrap(torch.autograd, "grad", "backward")
    with tempfile.TemporaryDirectory() as folder:
        names = {"nominal": "none", "total variation": "tv"}
        days = {name: Day(f"{folder}/{sets}", sets, timer) for name, sets in names.items()}
        for day in days.values():
            day(WARMUP)
        times = interleaved(days, n_days, warmup=0)
    torch.autograd.grad = gradients
    table = Table({"QMIX, preset=paper": 24, "ratio": 22, "s per day": 26, "ms per step": 12})
    for name, seconds in times.items():
        table.row(
            name,
            show(ratios(seconds, times["nominal"])),
            show(seconds),
            f"{1e3 * statistics.median(seconds) / STEPS:.1f}",
        )
    print()
    shares = []
    for name, day in days.items():
        total, parts = sum(times[name]), defaultdict(float)
        for measured in day.parts[1:]:
            for part, seconds in measured.items():
                parts[part] += seconds / total
        parts["the rest"] = 1 - sum(parts.values())
        shares.append(parts)
    table = Table({"share of a day": 24, **dict.fromkeys(days, 18)})
    for part in shares[0]:
        table.row(part, *(f"{share[part]:.1%}" for share in shares))
    print()


class FirstReached:
    """Evaluates every ``interval`` frames; seconds of training at each threshold's first pass."""

    def __init__(self, trainer: Trainer, agents: torch.nn.Module, cfg, interval: int) -> None:
        self.trainer, self.agents, self.interval = trainer, agents, interval
        self.task = make_task(cfg)
        self.suite = self.task.suites["climate"][:1]
        self.transform = HistoryWindow(cfg.agent.window)
        self.best, self.next, self.paused, self.reached = -float("inf"), interval, 0.0, {}
        self.start = time.perf_counter()

    def __call__(self) -> None:
        if self.trainer.collected_frames < self.next:
            return
        self.next += self.interval
        now = time.perf_counter()
        rows = evaluate(self.agents, self.task, self.suite, 10, transform=self.transform)
        result = rows["normalized_return"].mean()
        self.best = max(self.best, result)
        for threshold in THRESHOLDS:
            if result >= threshold and threshold not in self.reached:
                frames = self.trainer.collected_frames
                self.reached[threshold] = (now - self.start - self.paused, frames)
        if len(self.reached) == len(THRESHOLDS):
            self.trainer.total_frames = self.trainer.collected_frames
        self.paused += time.perf_counter() - now


def seconds_until_main() -> float:
    """Interpreter, imports and config of the example, which ``--help`` stops at."""
    start = time.perf_counter()
    subprocess.run([sys.executable, str(EXAMPLE), "--help"], check=True, capture_output=True)
    return time.perf_counter() - start


def report_returns(seeds: int, frames: int, interval: int) -> None:
    """Seconds of training until each threshold, median over the seeds that got there."""
    before = seconds_until_main()
    reached, best = defaultdict(list), []
    for seed in range(seeds):
        start = time.perf_counter()
        cfg = compose_config("preset=fast", f"seed={seed}", f"collector.total_frames={frames}")
        torch.manual_seed(seed)
        with tempfile.TemporaryDirectory() as folder:
            trainer = build_trainer(cfg, folder)
            trainer.save_trainer_file = None
            building = before + time.perf_counter() - start
            first = FirstReached(trainer, trainer.loss_module.local_value_network, cfg, interval)
            trainer.register_op("post_steps", first)
            first.start = time.perf_counter()
            trainer.train()
        best.append(first.best)
        for threshold, (seconds, at) in first.reached.items():
            reached[threshold].append((seconds, building + seconds, at))
    columns = {"normalised return": 24, "seeds": 8, "s of training": 26, "s in all": 26}
    table = Table({**columns, "frames": 30})
    for threshold in THRESHOLDS:
        columns = zip(*reached[threshold], strict=True)
        cells = [show(values, digits) for values, digits in zip(columns, (1, 1, 0), strict=False)]
        count = f"{len(reached[threshold])}/{seeds}"
        table.row(f"{threshold:.2f}", count, *(cells or ["-"] * 3))
    print(f"at most {frames:,} frames, evaluated every {interval:,}; best return {show(best, 3)};")
    print(f"interpreter, imports and config: {before:.1f} s of what comes before training\n")


def report_memory() -> None:
    """Peak memory of the example's process, bytes of a stored transition by key."""
    with tempfile.TemporaryDirectory() as folder:
        fields = ["preset=paper", "progress_bar=false", f"hydra.run.dir={folder}/run"]
        size = compose_config(*fields[:1]).replay.size
        filled = [
            "env.num_envs=16",
            f"collector.init_random_frames={size}",
            f"collector.total_frames={size + STEPS}",
            "evaluation.episodes=1",
        ]
        subprocess.run(
            [sys.executable, str(EXAMPLE), *fields, *filled],
            check=True,
            capture_output=True,
            env={**os.environ, "MPLBACKEND": "Agg"},
        )
        # Linux counts in KiB. The largest child: the run of --help above it is smaller.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        print(f"peak memory, {size:,} transitions stored: {peak / 1e9:.2f} GB\n")
        trainer = build_trainer(
            compose_config("preset=paper", "collector.total_frames=64"), Path(folder)
        )
        trainer.train()
        batch = trainer._process_optim_batch_hook(None)
    sizes = {
        "/".join((key,) if isinstance(key, str) else key): value[0].nbytes
        for key, value in batch.items(include_nested=True, leaves_only=True)
    }
    total = sum(sizes.values())
    table = Table({"stored transition": 32, "share": 10, "bytes": 10})
    table.row("all", "100.0%", f"{total:,}")
    for key, size in sorted(sizes.items(), key=lambda item: -item[1]):
        table.row(key, f"{size / total:.1%}", f"{size:,}")


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("days", "returns", "memory")
    parser.add_argument("--only", choices=parts, nargs="+", default=parts, help="parts to run")
    parser.add_argument("--days", type=int, help="days per algorithm (2; 10 with --full)")
    parser.add_argument("--seeds", type=int, help="runs of preset=fast (1; 5 with --full)")
    parser.add_argument(
        "--frames", type=int, help="their length (32,000; the preset's own with --full)"
    )
    parser.add_argument("--interval", type=int, default=1600, help="frames between evaluations")
    parser.add_argument("--full", action="store_true", help="the long version")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads (1)")
    args = parser.parse_args()
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(args.threads)
    print_header("Whole training on the six-zone office")
    if "days" in args.only:
        report_days(args.days or (10 if args.full else 2))
    if "returns" in args.only:
        own = compose_config("preset=fast").collector.total_frames
        frames = args.frames or (own if args.full else 32_000)
        report_returns(args.seeds or (5 if args.full else 1), frames, args.interval)
    if "memory" in args.only:
        report_memory()


if __name__ == "__main__":
    main()
