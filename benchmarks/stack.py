"""What a run costs in a stack, part by part, against a run alone in the same minutes.

    python benchmarks/stack.py                                 preset=fast, two minutes
    python benchmarks/stack.py --runs 1 4 16 --overrides preset=paper
    python benchmarks/stack.py --whole --runs 16               whole runs: seconds, return, memory
    python benchmarks/stack.py --whole --runs 45 --device cuda --overrides compile=true
                                                               where there is a GPU

Times are per run and update: collecting the steps that go with it, sampling, losses, and what
follows from them. "In all" is a whole step of training. Memory is what the stack's own check
expects with full replay buffers, by estimate.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import torch
from _timing import Table, interleaved, print_header, ratios, show
from _training import compose_config
from torchrl import logger as torchrl_logger

from torchrl_drigm.evaluation import evaluate
from torchrl_drigm.trainers import build
from torchrl_drigm.trainers.stack import Stack, check_memory
from torchrl_drigm.trainers.stack import stack as stack_module


def members(folder, n_runs, overrides):
    """Runs of as many seeds, and their random states."""
    runs, states = [], []
    for seed in range(n_runs):
        cfg = compose_config(f"seed={seed}", *overrides)
        torch.manual_seed(seed)
        runs.append(build(cfg, Path(folder) / f"{n_runs}_{seed}"))
        states.append(torch.get_rng_state())
    return runs, states


def alone(run):
    """The parts of a step of a run alone; each call does the next thing for real."""
    trainer = run.trainer
    batches = iter(trainer.collector)
    held = {}

    def collect():
        held["batch"] = trainer._process_batch_hook(next(batches))
        trainer.collected_frames += held["batch"].numel()

    def sample():
        held["sample"] = trainer._process_optim_batch_hook(None)

    def learn():
        trainer.optimization_stepper.step(trainer, held["sample"])
        trainer._post_optim_hook()

    return {"collect": collect, "sample": sample, "learn": learn}


def together(stack):
    """The same of a stack."""
    held = {}

    def collect():
        stored = stack.collection.next().flatten(1, 2)
        stack.replay.extend(stored if stack.keep is None else stack.keep(stored))

    def sample():
        held["sample"] = stack.replay.sample()

    def learn():
        losses, gradients = stack.learner.losses_and_gradients(held["sample"])
        stack._check_finite(losses, held["sample"])
        stack.learner.step(gradients)
        if stack.keep is not None:
            stack.keep.renew()

    return {"collect": collect, "sample": sample, "learn": learn}


def main() -> None:
    """Time and print."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("--runs", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--whole", action="store_true", help="train to the end instead")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--hand-back", action="store_true", help="let the allocator hand freed memory back"
    )
    parser.add_argument("--overrides", nargs="*", default=[], help="fields of the config")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torchrl_logger.setLevel("WARNING")
    overrides = ["preset=fast", f"device={args.device}", *args.overrides]
    if args.hand_back:
        stack_module.keep_freed_memory = bool
    if args.whole:
        print_header("Whole runs in one stack")
        columns = {"runs": 6, "s in all": 10, "s a run": 10, "return in training's world": 28}
        table = Table({**columns, "peak memory": 12})
        for n_runs in args.runs:
            table.row(str(n_runs), *train(n_runs, overrides))
        return
    print_header("A run in a stack, ms per update: alone / in the stack, by part")
    columns = {"runs": 6, "": 10, "alone / in a stack": 22, "ms alone": 22, "ms in a stack": 22}
    table = Table(columns)
    for n_runs in args.runs:
        with tempfile.TemporaryDirectory() as folder:
            (single,), _ = members(folder, 1, overrides)
            stack = Stack(*members(folder, n_runs, overrides))
            times = measure(single, stack, args.repeats)
            for part, (one, many) in times.items():
                many = [seconds / n_runs for seconds in many]
                cells = show(ratios(one, many)), show(one, 2, 1e3), show(many, 2, 1e3)
                table.row(str(n_runs), part, *cells)
            gigabytes = check_memory(single, n_runs, free=2**60) / 2**30
            table.row(str(n_runs), "memory", f"{gigabytes:.2f} GB, estimate", "", "")
            single.close()
            stack.close()


def train(n_runs, overrides):
    """Cells of a row: training from the start to the end, and what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        stack = Stack(*members(folder, n_runs, (*overrides, "progress_bar=false")))
        stack.train()
        seconds = time.perf_counter() - start
        shift = [{"name": "training"}]
        found = [evaluate(run.team, run.task, shift, episodes=20) for run in stack.runs]
    returns = torch.tensor([table["normalized_return"].mean() for table in found])
    error = (returns.std() / len(returns) ** 0.5).item()
    # Linux counts in KiB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    cells = f"{seconds:.0f}", f"{seconds / n_runs:.1f}", f"{returns.mean():.3f} ± {error:.3f}"
    return *cells, f"{peak:.2f} GB"


def ended(call):
    """A call that returns when a GPU has done it, too."""

    def until():
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return until


def measure(single, stack, repeats):
    """Seconds of each part, alone and in the stack, in turn."""
    parts = {"alone": alone(single), "stack": together(stack)}
    updates = single.cfg.optim.updates_per_batch

    def step(own):
        def call():
            own["collect"]()
            for _ in range(updates):
                own["sample"]()
                own["learn"]()

        return call

    warm = single.cfg.collector.init_random_frames // single.cfg.collector.frames_per_batch + 5
    for _ in range(warm):  # enough to sample from, and no more random steps
        for own in parts.values():
            own["collect"]()
    found = {}
    for part in ("collect", "sample", "learn"):
        times = interleaved({name: ended(own[part]) for name, own in parts.items()}, repeats)
        found[part] = times["alone"], times["stack"]
    times = interleaved({name: ended(step(own)) for name, own in parts.items()}, repeats)
    found["in all"] = tuple([s / updates for s in times[name]] for name in ("alone", "stack"))
    return found


if __name__ == "__main__":
    main()
