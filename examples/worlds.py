r"""Does robustness pay in a simulator? Sets against tuned discounts, over severities.

Teams are trained in a random nominal model, such as a building whose heaters fail, and judged at
other severities. Each method is tuned alike: every value of its grid is trained with the tuning
seeds, the one with the best mean return at the severity of validation is taken and trained anew
with the testing seeds, and judged at the severities of the test suite, in days that tuning never
saw. The controls are nominal training with the usual discount, with a tuned one, and with γ(1-ρ) of
each set.

    python examples/worlds.py                                   heaters that fail, VDN and QMIX
    python examples/worlds.py --mixers vdn --testing 10 11 12   less of it
    python examples/worlds.py --world weather                   weather drawn at random
    python examples/worlds.py --report                          table and picture of what is there

Each run adds its row to a CSV, and what was stopped goes on from there.

What to know of a result: the failing building is the last of eight settings that were tried with
training, seeds 0 and 100, and looked at in the severities of the test too. Neither set was above
nominal training in any of them. So it is no world that was chosen blindly, and testing seeds are
others.
"""

import argparse
import itertools
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torchrl import logger as torchrl_logger

from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation import atomic_path, evaluate, mean_interval
from torchrl_drigm.tasks import read_suite
from torchrl_drigm.trainers import build

GAMMA = 0.97
# A run takes about a minute: 64 copies and an update per step of all of them, and one network for
# all zones, which sees six times the data. Rewards are not shifted, so that values near the set
# point are small numbers, which a dual number meets more exactly.
BUILDING = (
    *("preset=fast", "env.num_envs=64", "optim.updates_per_batch=1", "optim.lr=3e-3"),
    *("replay.batch_size=512", "target.tau=0.02", "exploration.annealing_frames=10_000"),
    *("agent.share_params=true", "agent.agent_id=true"),
    *("env.reward_scale=0.02", "env.reward_loc=0", f"optim.gamma={GAMMA}"),
)
# config and overrides
WORLDS = {
    "failures": ("building", ("env=building_failures", *BUILDING)),
    "weather": ("building", ("env=building_random_weather", *BUILDING)),
}
DUAL = ("uncertainty.dual_lr=1e-2", "uncertainty.dual_hidden_size=128")
# a team that earns -30 a step, 2 °C off in each zone, counts as failed, as in preset=fast
WORST = f"uncertainty.worst_value={-30 * 0.02 / (1 - GAMMA):g}"
# overrides, the field and the values to choose from; of nominal training γ, and γ(1-ρ) of TV
METHODS = {
    "nominal": (("uncertainty=none",), "optim.gamma", (GAMMA, 0.9215, 0.873, 0.776, 0.582)),
    "TV": (("uncertainty=tv", WORST, *DUAL), "uncertainty.rho", (0.05, 0.1, 0.2, 0.4)),
    "CVaR": (("uncertainty=cvar", *DUAL), "uncertainty.rho", (0.3, 0.5, 0.67, 0.8)),
}
COLOURS = {"nominal": "black", "tuned": "grey", "TV": "#0072B2", "CVaR": "#D55E00"}
KEY = ["world", "mixer", "method", "value", "seed", "suite"]
TUNING_DAYS, TESTING_DAYS = 12, 11  # seeds of the days that are played


def run(job):
    """Trains one team and judges it: the key of its row, and its mean return at each severity."""
    key, frames, episodes = job
    torch.set_num_threads(1)
    torchrl_logger.setLevel("WARNING")
    start = time.process_time()
    config, overrides = WORLDS[key["world"]]
    own, field, _ = METHODS[key["method"]]
    overrides = [
        *(*overrides, *own, f"mixer={key['mixer']}", f"seed={key['seed']}"),
        *(f"{field}={key['value']}", f"collector.total_frames={frames}", "progress_bar=false"),
        *(f"checkpoint_interval={frames}", f"log_interval={frames}"),
    ]
    cfg = compose_config(*overrides, config=config)
    torch.manual_seed(key["seed"])
    with tempfile.TemporaryDirectory() as folder:
        trained = build(cfg, folder)
        trained.train()
    _, shifts = read_suite(trained.task, key["suite"])
    days = TUNING_DAYS if key["suite"] == "validation" else TESTING_DAYS
    table = evaluate(trained.team, trained.task, shifts, episodes=episodes, seed=days)
    measure = "normalized_return" if "normalized_return" in table else "return"
    means = table.groupby("shift", sort=False)[measure].mean()
    severities = {f"s{shift['severity']:g}": float(means[shift["name"]]) for shift in shifts}
    return {**key, **severities, "cpu_seconds": time.process_time() - start}


def train_missing(path, keys, args):
    """Trains what the CSV lacks, and adds one row after the other; returns all rows."""
    rows = pd.read_csv(path).to_dict("records") if path.exists() else []
    done = {tuple(str(row[name]) for name in KEY) for row in rows}
    missing = [key for key in keys if tuple(str(key[name]) for name in KEY) not in done]
    jobs = [(key, args.frames, args.episodes) for key in missing]
    # fresh processes: no run inherits another's state
    with multiprocessing.get_context("spawn").Pool(args.jobs, maxtasksperchild=1) as pool:
        for i, row in enumerate(pool.imap_unordered(run, jobs), start=1):
            rows.append(row)
            with atomic_path(path) as temporary:
                pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g")
            what = " ".join(str(row[name]) for name in KEY)
            print(f"[{i}/{len(jobs)}] {what}: {row['cpu_seconds']:.0f} s of CPU time", flush=True)
    return pd.DataFrame(rows)


def chosen_value(rows, mixer, method):
    """The value with the best mean return in validation, of equal ones the first."""
    rows = rows[(rows["suite"] == "validation") & (rows["mixer"] == mixer)]
    means = rows[rows["method"] == method].groupby("value")["s3"].mean()
    return float(means.idxmax())


def lines(rows, mixer):
    """What is tested, by its label: the method and the value of its parameter."""
    chosen = {method: chosen_value(rows, mixer, method) for method in METHODS}
    tuned = {"tuned": ("nominal", chosen["nominal"])} if chosen["nominal"] != GAMMA else {}
    sets = {method: (method, chosen[method]) for method in ("TV", "CVaR")}
    controls = {"nominal": ("nominal", GAMMA), **tuned}
    for method, (_, rho) in sets.items():
        shorter = ("nominal", float(f"{GAMMA * (1 - rho):.6g}"))
        if shorter not in controls.values():
            controls[f"γ(1-ρ) of {method}"] = shorter
    return {**controls, **sets}


def tested(rows, mixer, method, value):
    """Returns of the testing seeds by severity."""
    own = rows[(rows["suite"] == "severity") & (rows["mixer"] == mixer)]
    own = own[(own["method"] == method) & (own["value"] == value)].set_index("seed")
    columns = [c for c in own if c[0] == "s" and c[1:].isdigit() and own[c].notna().any()]
    return own[columns]


def report(rows, mixers, folder, world):
    """Prints choice and test, and how far each set is above the better control; draws it."""
    figure = Figure(figsize=(1 + 4.2 * len(mixers), 3.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(mixers)))
    for mixer, ax in zip(mixers, axes, strict=True):
        validation = rows[(rows["suite"] == "validation") & (rows["mixer"] == mixer)]
        print(f"\n{world}, {mixer.upper()}: mean return at severity 3, tuning seeds")
        for method in METHODS:
            means = validation[validation["method"] == method].groupby("value")["s3"].mean()
            print(f"  {method:9}" + "".join(f"  {v:g}: {mean:.3f}" for v, mean in means.items()))
        found = {name: tested(rows, mixer, *line) for name, line in lines(rows, mixer).items()}
        print(f"{world}, {mixer.upper()}: mean return, 95 % intervals over the testing seeds")
        for name, (_, value) in lines(rows, mixer).items():
            pairs = [mean_interval(found[name][column]) for column in found[name]]
            cells = [
                f"{c} {m:6.3f} ± {h:.3f}" for c, (m, h) in zip(found[name], pairs, strict=True)
            ]
            print(f"  {name:8} {value:<7g}" + "  ".join(cells))
            x = [float(column[1:]) for column in found[name]]
            look = {
                "color": COLOURS.get(name, "silver"),
                "label": f"{name} {value:g}",
                "capsize": 2,
            }
            ax.errorbar(x, [m for m, _ in pairs], [h for _, h in pairs], **look)
        for name, column in itertools.product(("TV", "CVaR"), found["nominal"]):
            controls = [control for control in found if control not in ("TV", "CVaR")]
            best = max(controls, key=lambda control, c=column: found[control][c].mean())
            # seed by seed: the same days, and the same heaters fail where they work as hard
            mean, half = mean_interval((found[name][column] - found[best][column]).dropna())
            verdict = "above" if mean > half else "below" if mean < -half else "not told apart"
            print(f"  {name} minus {best:8} {column}: {mean:+.3f} ± {half:.3f}  {verdict}")
        ax.set(title=mixer.upper(), xlabel="severity (trained at 1, tuned at 3)")
    axes[0].set_ylabel("mean normalised return")
    axes[0].legend(fontsize=7)
    with atomic_path(folder / f"{world}.png") as temporary:
        figure.savefig(temporary, dpi=110)
    print(f"Drawn: {folder / f'{world}.png'}")


def main() -> None:
    """Tune, test, print, draw."""
    text = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("--world", choices=WORLDS, default="failures")
    parser.add_argument("--mixers", nargs="+", choices=("vdn", "qmix"), default=["vdn", "qmix"])
    parser.add_argument("--frames", type=int, default=80_000, help="steps of training")
    parser.add_argument("--episodes", type=int, default=100, help="days at each severity")
    parser.add_argument("--tuning", nargs="+", type=int, default=[100, 101], help="seeds")
    parser.add_argument(
        "--testing", nargs="+", type=int, default=[10, 11, 12, 13, 14], help="seeds"
    )
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--output", default="worlds", help="folder of the CSV and the picture")
    parser.add_argument("--report", action="store_true", help="train nothing")
    args = parser.parse_args()
    if both := set(args.tuning) & set(args.testing):
        parser.error(f"--tuning and --testing must share no seed, got {sorted(both)} in both")
    folder = Path(args.output)
    path = folder / f"{args.world}.csv"

    def key(mixer, method, value, seed, suite):
        return dict(zip(KEY, (args.world, mixer, method, value, seed, suite), strict=True))

    if args.report:
        return report(pd.read_csv(path), args.mixers, folder, args.world)
    rows = None
    for mixer in args.mixers:
        tried = [(method, value) for method, grid in METHODS.items() for value in grid[2]]
        tuning = [
            key(mixer, method, value, seed, "validation")
            for (method, value), seed in itertools.product(tried, args.tuning)
        ]
        rows = train_missing(path, tuning, args)
        testing = [
            key(mixer, method, value, seed, "severity")
            for seed in args.testing
            for method, value in lines(rows, mixer).values()
        ]
        rows = train_missing(path, testing, args)
    report(rows, args.mixers, folder, args.world)


if __name__ == "__main__":
    main()
