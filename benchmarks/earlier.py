"""Against an earlier commit, built beside this one: a run, a sweep, an update, the tests.

    python benchmarks/earlier.py                     short, five minutes
    python benchmarks/earlier.py --full              whole runs and 45 of them, two hours
    python benchmarks/earlier.py --only run --commit ce194ec

The earlier commit is checked out of the git history into a temporary folder, and both are asked in
turn, each in processes of its own, from start to end:

- run: seconds of training of preset=fast, by the benchmarks' own path.
- sweep: seconds a run of nine algorithms and some seeds on all cores, start-up and evaluation
  included: processes side by side before, stacks now.
- paper: milliseconds of an update of preset=paper per run, alone before, in a stack of four now.
- compiled: the same, with compile=true now (a minute or two to compile, a C++ compiler).
- demo: seconds of make demo, after the installation (with --full only, two minutes).
- tests: seconds of processor time of the tests that both have, by file and name, on all cores,
  each with an empty cache of compiled code (with --full only: a quarter of an hour).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _timing import Table, print_header, ratios, show

ROOT = Path(__file__).parents[1]
SETS = ("none", "contamination", "tv")
MIXERS = ("vdn", "qmix", "qtran")

# by the path that both have: benchmarks/_training.py of their own
RUN = """
import json, sys, tempfile, time, torch
from _training import build_trainer, compose_config
from torchrl import logger
logger.setLevel("WARNING")
torch.set_num_threads(1)
cfg = compose_config(*sys.argv[1:])
torch.manual_seed(cfg.seed)
with tempfile.TemporaryDirectory() as folder:
    trainer = build_trainer(cfg, folder)
    start = time.perf_counter(), time.process_time()
    trainer.train()
    seconds = time.perf_counter() - start[0], time.process_time() - start[1]
print(json.dumps(seconds))
"""
UPDATE = """
import json, sys, tempfile, time, torch
from _training import build_trainer, compose_config, update
from torchrl import logger
logger.setLevel("WARNING")
torch.set_num_threads(1)
cfg = compose_config(*sys.argv[1:])
torch.manual_seed(0)
trainer = build_trainer(cfg, tempfile.mkdtemp())
batches = iter(trainer.collector)
for _ in range(10):
    trainer._process_batch_hook(next(batches))
seconds = []
for _ in range(40):
    start = time.perf_counter()
    update(trainer)
    seconds.append(time.perf_counter() - start)
print(json.dumps(sorted(seconds)[len(seconds) // 2]))
"""
STACKED = """
import json, sys, tempfile, time, torch
from stack import members, together
from torchrl import logger
from torchrl_drigm.trainers.stack import Stack
logger.setLevel("WARNING")
torch.set_num_threads(1)
own = together(Stack(*members(tempfile.mkdtemp(), 4, sys.argv[1:])))
for _ in range(10):
    own["collect"]()
seconds = []
for _ in range(40):
    start = time.perf_counter()
    own["sample"]()
    own["learn"]()
    seconds.append((time.perf_counter() - start) / 4)
print(json.dumps(sorted(seconds)[len(seconds) // 2]))
"""


def environment(checkout):
    """Of a process that has one checkout and no other."""
    path = os.pathsep.join(str(folder) for folder in (checkout, checkout / "benchmarks"))
    single = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "HYDRA_FULL_ERROR": "1"}
    return {**os.environ, **single, "PYTHONPATH": path}


def call(checkout, *command):
    """The last line that a process prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *command],
        env=environment(checkout),
        cwd=checkout,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed in {checkout}:\n{done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def seconds_of(checkout, code, *overrides):
    """What a program prints as JSON."""
    return json.loads(call(checkout, "-c", code, *overrides))


def sweep_before(checkout, folder, seeds, frames, jobs):
    """Processes side by side, by Hydra's joblib launcher."""
    start = time.perf_counter()
    call(
        checkout,
        *("examples/sustaingym_rqmix.py", "-m", "hydra/launcher=joblib"),
        f"hydra.launcher.n_jobs={jobs}",
        *(f"mixer={','.join(MIXERS)}", f"uncertainty={','.join(SETS)}"),
        f"seed={','.join(map(str, range(seeds)))}",
        *(f"collector.total_frames={frames}", "preset=fast", "progress_bar=false"),
        f"hydra.sweep.dir={folder}",
    )
    return time.perf_counter() - start


def sweep_now(checkout, folder, seeds, frames, jobs):
    """Stacks side by side: of each mixer one without duals, nominal among them, and one with."""
    start = time.perf_counter()
    rho = 0.02  # of contamination, beside 0
    every = list(range(seeds))
    stacks = {
        "contamination": (f"[{','.join(['0'] * seeds + [str(rho)] * seeds)}]", every * 2),
        "tv": (None, every),
    }
    waiting = [
        [
            *("-m", "torchrl_drigm", "train", "building", f"mixer={mixer}", f"uncertainty={name}"),
            *([] if rhos is None else [f"uncertainty.rho={rhos}"]),
            f"seed={seeds_of}".replace(" ", ""),
            *(f"collector.total_frames={frames}", "preset=fast", "progress_bar=false"),
            f"hydra.run.dir={folder}/{mixer}_{name}",
        ]
        for mixer, (name, (rhos, seeds_of)) in itertools.product(MIXERS, stacks.items())
    ]
    waiting.sort(key=lambda words: ("mixer=qtran" not in words, "uncertainty=tv" in words))
    running = []
    while waiting or running:
        while waiting and len(running) < jobs:
            words = [sys.executable, "-W", "ignore", *waiting.pop(0)]
            process = subprocess.Popen(
                words,
                env=environment(checkout),
                cwd=checkout,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            running.append(process)
        for process in [p for p in running if p.poll() is not None]:
            running.remove(process)
            if process.returncode:
                raise RuntimeError(process.stderr.read()[-2000:])
        time.sleep(0.2)
    return time.perf_counter() - start


def collected(checkout):
    """Ids of its tests."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests"]
    done = subprocess.run(
        command, env=environment(checkout), cwd=checkout, capture_output=True, text=True
    )
    return {line for line in done.stdout.splitlines() if "::" in line}


def tests(checkout, folder, ids, jobs):
    """Processor time, and the last line of the report."""
    folder.mkdir(parents=True)
    (folder / "ids").write_text("\n".join(sorted(ids)))
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled")}
    words = ("-n", str(jobs), "--dist", "worksteal", "-q", "-p", "no:cacheprovider")
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, f"@{folder / 'ids'}"],
        env=environment(checkout) | cache,
        cwd=checkout,
        capture_output=True,
        text=True,
    )
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"  {checkout.name}: {done.stdout.strip().splitlines()[-1]}", flush=True)
    return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime


def main() -> None:
    """Check out, time in turn, print."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("--commit", default="ce194ec", help="the earlier one (ce194ec)")
    parser.add_argument(
        "--only", choices=("run", "paper", "compiled", "sweep", "demo", "tests"), nargs="+"
    )
    parser.add_argument("--full", action="store_true", help="whole runs, and five seeds")
    parser.add_argument(
        "--seeds-before", type=int, help="of the sweep, if fewer: its runs take as long each"
    )
    parser.add_argument("--repeats", type=int, help="of each measurement (1, with --full 3)")
    args = parser.parse_args()
    frames, seeds = (80_000, 5) if args.full else (8_000, 1)
    repeats = args.repeats or (3 if args.full else 1)
    jobs = os.cpu_count() or 1
    sizes = frames, (args.seeds_before or seeds, seeds), jobs
    print_header(f"Against commit {args.commit}: before / now", threads="one thread a process")
    table = Table({"": 10, "before / now": 22, "before": 24, "now": 24})
    with tempfile.TemporaryDirectory() as scratch:
        before = Path(scratch) / "before"
        add = ["git", "-C", str(ROOT), "worktree", "add", "--detach", "--quiet", str(before)]
        subprocess.run([*add, args.commit], check=True)
        try:
            every = ("run", "paper", "compiled", "sweep", *(["demo", "tests"] if args.full else []))
            for what in args.only or every:
                times = {"before": [], "now": []}
                for repeat in range(repeats):
                    measure(what, before, Path(scratch) / str(repeat), times, sizes)
                one, other = times["before"], times["now"]
                scale, unit = (1e3, "ms") if what in ("paper", "compiled") else (1.0, "s")
                cells = (f"{show(values, 1, scale)} {unit}" for values in (one, other))
                table.row(what, show(ratios(one, other)), *cells)
        finally:
            remove = ["git", "-C", str(ROOT), "worktree", "remove", "--force", str(before)]
            subprocess.run(remove, check=True)


def measure(what, before, folder, times, sizes):
    """One measurement of each."""
    frames, seeds, jobs = sizes
    if what == "run":
        words = ("preset=fast", f"collector.total_frames={frames}", "progress_bar=false")
        for name, checkout in (("before", before), ("now", ROOT)):
            times[name].append(seconds_of(checkout, RUN, *words)[0])
    elif what in ("paper", "compiled"):
        own = ("preset=paper", f"compile={what == 'compiled'}")
        times["before"].append(seconds_of(before, UPDATE, "preset=paper"))
        times["now"].append(seconds_of(ROOT, STACKED, *own))
    elif what == "demo":
        for name, checkout in (("before", before), ("now", ROOT)):
            start = time.perf_counter()
            call(checkout, "examples/sustaingym_rqmix.py", f"hydra.run.dir={folder / name}")
            times[name].append(time.perf_counter() - start)
    elif what == "tests":
        ids = collected(before) & collected(ROOT)
        for name, checkout in (("before", before), ("now", ROOT)):
            times[name].append(tests(checkout, folder / name, ids, jobs))
    else:
        ways = (("before", before, sweep_before), ("now", ROOT, sweep_now))
        for (name, checkout, sweep), own in zip(ways, seeds, strict=True):
            n_runs = len(MIXERS) * len(SETS) * own
            times[name].append(sweep(checkout, folder / name, own, frames, jobs) / n_runs)


if __name__ == "__main__":
    main()
