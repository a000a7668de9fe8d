"""The updates of this checkout against those of another one, interleaved.

    git worktree add ../before ce194ec
    python benchmarks/builds.py ../before
    python benchmarks/builds.py ../before --only battles --repeats 60

Each checkout gets a process of its own, which builds its trainer by its own code and configs and
then, in turn with the other, makes a few updates whenever it is asked to: sample, loss, backward,
clip, optimizer, target, and the next values of new transitions where the build stores them. The
time is that of the processor, so that other work on the machine counts less. Prints the ratio this
checkout / other one, median and quartiles over the pairs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from _timing import Table, print_header, ratios, show

HERE = Path(__file__).parents[1]
CASES = {
    "paper qmix-none": ("sustaingym_rqmix", "preset=paper mixer=qmix uncertainty=none"),
    "paper qmix-tv": ("sustaingym_rqmix", "preset=paper mixer=qmix uncertainty=tv"),
    "paper qtran-contamination": (
        "sustaingym_rqmix",
        "preset=paper mixer=qtran uncertainty=contamination",
    ),
    "fast vdn-none": ("sustaingym_rqmix", "preset=fast mixer=vdn uncertainty=none"),
    "fast qmix-tv": ("sustaingym_rqmix", "preset=fast mixer=qmix uncertainty=tv"),
    "fast qtran-tv": ("sustaingym_rqmix", "preset=fast mixer=qtran uncertainty=tv"),
    "battles qmix-contamination": ("smac_rqmix", "uncertainty=contamination"),
    "battles qtran-tv": ("smac_rqmix", "mixer=qtran uncertainty=tv"),
}

# what a process runs, on the code of its own checkout
WORKER = """
import sys, tempfile, time
import torch
from _training import build_trainer, compose_config, update
from torchrl import logger
logger.setLevel("WARNING")
torch.set_num_threads(1)
torch.manual_seed(0)
example, overrides = sys.argv[1], sys.argv[2].split()
frames = 2048 if example == "smac_rqmix" else 1024
small = [f"collector.total_frames={frames}", "optim.updates_per_batch=1"]
cfg = compose_config(*overrides, *small, example=example)
with tempfile.TemporaryDirectory() as run_dir:
    trainer = build_trainer(cfg, run_dir)
    collected = []
    trainer.register_op("batch_process", lambda batch: collected.append(batch.clone()) or batch)
    trainer.train()
    keeps = "KeepNextValue" in str(trainer.__dict__["_batch_process_ops"])
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.process_time()
        for _ in range(int(line)):
            update(trainer)
        if keeps:
            trainer.loss_module.next_team_value(collected[0].clone(False))
        print(time.process_time() - start, flush=True)
"""


class Build:
    """A process that makes updates with the code of a checkout."""

    def __init__(self, checkout: Path, example: str, overrides: str) -> None:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(checkout), str(checkout / "benchmarks")])
        }
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", WORKER, example, overrides],
            cwd=checkout,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stdout:
            if line == "ready\n":
                return
        raise RuntimeError(f"the trainer of {checkout} did not start: {example} {overrides}.")

    def __call__(self, n_updates: int) -> float:
        """Seconds of processor time."""
        self.process.stdin.write(f"{n_updates}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    """Time every case and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, nargs="?", help="another checkout of this repository")
    parser.add_argument("--repeats", type=int, default=40, help="pairs per case (40)")
    parser.add_argument("--updates", type=int, default=5, help="updates per measurement (5)")
    parser.add_argument("--only", default="", help="part of a case's name")
    args = parser.parse_args()
    if args.other is None:
        print("No other checkout was named: nothing to compare with.")
        return
    print_header(f"Processor time of an update, ms: this checkout / {args.other.name}", "1 thread")
    table = Table({"update": 28, "this / other": 22, "this": 10, "other": 10})
    for name, (example, overrides) in CASES.items():
        if args.only not in name:
            continue
        builds = [Build(path.resolve(), example, overrides) for path in (HERE, args.other)]
        pairs = []
        for repeat in range(args.repeats + 2):
            order = builds if repeat % 2 else builds[::-1]
            seconds = {build: build(args.updates) for build in order}
            pairs.append([seconds[build] for build in builds])
        this, other = zip(*pairs[2:], strict=True)
        for build in builds:
            build.close()
        table.row(
            name,
            show(ratios(this, other)),
            *(f"{1e3 * median(seconds) / args.updates:.2f}" for seconds in (this, other)),
        )


if __name__ == "__main__":
    main()
