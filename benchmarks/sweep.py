"""Many runs at once: two one-thread runs side by side against one two-thread run after another.

    python benchmarks/sweep.py                             # one measurement of each, a minute
    python benchmarks/sweep.py --full                      # five of each, 20,000 frames per run
    python benchmarks/sweep.py --overrides preset=paper

A run is a process of examples/sustaingym_rqmix.py from start to end: imports, training with
``preset=fast``, and an evaluation of one day. Prints runs per hour, and first their ratio. Needs a
quiet machine: threads that wait for each other suffer most from other work on their cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

from _timing import Table, interleaved, print_header, ratios, show

EXAMPLE = Path(__file__).parents[1] / "examples" / "sustaingym_rqmix.py"
SEED = count()


def start(folder: str, threads: int, overrides: list[str]) -> subprocess.Popen:
    """A run in a process of its own, with its own seed and folder."""
    seed = next(SEED)
    fields = [
        f"threads={threads}",
        f"seed={seed}",
        f"hydra.run.dir={folder}/{seed}",
        "evaluation.episodes=1",
        "progress_bar=false",
        *overrides,
    ]
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE), *fields],
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "MPLBACKEND": "Agg"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait(runs: list[subprocess.Popen]) -> None:
    """Until all have ended; raises with the errors of one that failed."""
    for run in runs:
        errors = run.communicate()[1]
        if run.returncode:
            raise RuntimeError(f"a run failed:\n{errors}")


def group(folder: str, runs: int, threads: int, overrides: list[str]) -> Callable[[], None]:
    """As many runs at the same time."""
    return lambda: wait([start(folder, threads, overrides) for _ in range(runs)])


def main() -> None:
    """Time both ways and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2, help="runs side by side, and threads (2)")
    parser.add_argument("--frames", type=int, help="environment steps per run (8,000)")
    parser.add_argument("--repeats", type=int, help="measurements of each (1)")
    parser.add_argument("--full", action="store_true", help="5 measurements, 20,000 steps per run")
    parser.add_argument("--overrides", nargs="*", default=[], help="more fields of the config")
    args = parser.parse_args()
    frames = args.frames or (20_000 if args.full else 8_000)
    repeats = args.repeats or (5 if args.full else 1)
    overrides = ["preset=fast", f"collector.total_frames={frames}", *args.overrides]
    print_header(
        f"Runs per hour, {frames:,} frames each: side by side / one after another",
        threads="PyTorch threads as in the table",
    )

    side, alone = f"{args.runs} x 1 thread", f"1 x {args.runs} threads"
    with tempfile.TemporaryDirectory() as folder:
        times = interleaved(
            {
                side: group(folder, args.runs, 1, overrides),
                alone: group(folder, 1, args.runs, overrides),
            },
            repeats,
            warmup=0,
        )
    table = Table({"at once": 16, "ratio": 20, "runs per hour": 24, "s per group": 24})
    for name, runs in ((side, args.runs), (alone, 1)):
        table.row(
            name,
            show([runs * ratio for ratio in ratios(times[alone], times[name])]),
            show([3600 * runs / second for second in times[name]], 0),
            show(times[name], 1),
        )


if __name__ == "__main__":
    main()
