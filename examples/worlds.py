r"""Does robustness pay in a simulator? Sets against tuned discounts, over severities.

Teams are trained in a random nominal model, such as a building whose heaters fail, and judged at
other severities. Each method is tuned alike: every value of its grid is trained with the tuning
seeds, the one with the best mean return at the severity of validation is taken and trained anew
with the testing seeds, and judged at the severities of the test suite, in other episodes than in
tuning. The controls are nominal training with the usual discount, with a tuned one, and with
γ(1-ρ) of each set; and contamination with TV's ρ, which has the constant too that TV adds to the
reward, of effect where episodes end early. Beside them stands nominal training at severity 3:
where that is no better at 2 and 4, it is not the set that is missing.

    python examples/worlds.py                                   VMAS with actuator noise
    python examples/worlds.py --mixers vdn --testing 10 11 12   less of it
    python examples/worlds.py --world failures                  a building whose heaters fail
    python examples/worlds.py --world weather                   weather drawn at random
    python examples/worlds.py --report                          table and picture of what is there

Each run adds its row to a CSV, and what was stopped goes on from there. Rows are known by world,
length, method and seed: after a change of a world, and for two calls at a time, name another
folder.
docs/which_set.md says how these worlds were come by.
"""

import argparse
import itertools
import multiprocessing
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torchrl import logger as torchrl_logger

from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation import atomic_path, evaluate, mean_interval
from torchrl_drigm.evaluation.legends import legend_below, named_handles
from torchrl_drigm.evaluation.looks import looks, seeds_text
from torchrl_drigm.tasks import make_task, read_suite
from torchrl_drigm.trainers import build

AT_3 = "trained at 3"  # nominal training, in another world
TUNED = ("nominal", "TV", "CVaR")


@dataclass(frozen=True)
class World:
    """A random nominal model, and from what each method is tuned in it."""

    config: str
    overrides: tuple[str, ...]
    gammas: tuple[float, ...]  # the usual discount first
    worst: tuple[str, ...]  # overrides of runs with a worst value, in units of scaled return
    tv: tuple[float, ...]
    cvar: tuple[float, ...]
    of_sets: tuple[str, ...] = ()  # of runs with a set
    of_duals: tuple[str, ...] = ()  # and of runs with a dual network
    severity: str = "env.failures.severity"
    frames: int = 80_000

    @property
    def methods(self) -> dict[str, tuple[tuple[str, ...], str, tuple[float, ...]]]:
        """Overrides of each method, the field that is tuned, and its values."""
        duals = (*self.of_sets, *self.of_duals)
        return {
            "nominal": (("uncertainty=none",), "optim.gamma", self.gammas),
            AT_3: (("uncertainty=none", f"{self.severity}=3.0"), "optim.gamma", self.gammas[:1]),
            "contamination": (
                ("uncertainty=contamination", *self.worst, *self.of_sets),
                "uncertainty.rho",
                self.tv,
            ),
            "TV": (("uncertainty=tv", *self.worst, *duals), "uncertainty.rho", self.tv),
            "CVaR": (("uncertainty=cvar", *duals), "uncertainty.rho", self.cvar),
        }


# A run takes about a minute: 64 copies and an update per step of all of them, and one network for
# all zones, which sees six times the data. Rewards are not raised, so that values near the set
# point are small numbers, which a dual number meets more exactly; but where there is a worst value.
BUILDING = (
    *("preset=fast", "env.num_envs=64", "optim.updates_per_batch=1", "optim.lr=3e-3"),
    *("optim.lr_end_factor=1", "replay.batch_size=512", "target.tau=0.02", "agent.core=gru"),
    "exploration.annealing_frames=10_000",
    *("agent.share_params=true", "agent.agent_id=true"),
    *("env.reward_scale=0.02", "env.reward_loc=0", "optim.gamma=0.97"),
)
BUILDING_GRIDS = {
    "gammas": (0.97, 0.9215, 0.873, 0.776, 0.582),
    # -20, a team that earns -30 a step, 2 °C off in each zone, as in preset=fast; in units in which
    # that is 0, where networks start: with -20 itself they have a constant of -18 to learn first
    "worst": ("uncertainty.worst_value=0", "env.reward_loc=0.6"),  # (1 - γ) 20
    "tv": (0.05, 0.1, 0.2, 0.4),
    "cvar": (0.3, 0.5, 0.67, 0.8),
    # what a failure costs in its own step counts, and the dual number has little to learn
    "of_sets": ("uncertainty.joint_with_reward=true",),
    "of_duals": ("uncertainty.dual_lr=1e-2", "uncertainty.dual_hidden_size=128"),
}
WORLDS = {
    # Four agents cross a small square, and are pushed about as hard as they can push. A collision
    # is paid in the reward of its own step, which a set sees that is joint with it.
    "noise": World(
        config="torchrl",
        overrides=(
            *("env=vmas_noise", "+env.kwargs.n_agents=4"),
            *("+env.kwargs.world_spawning_x=0.7", "+env.kwargs.world_spawning_y=0.7"),
            *("agent=drqn", "preset=toy", "env.num_envs=128", "optim.gamma=0.95"),
            *("agent.share_params=true", "agent.agent_id=false"),
        ),
        gammas=(0.95, 0.98, 0.9025, 0.855, 0.76),
        worst=("uncertainty.worst_value=-10",),  # five collisions of two agents
        tv=(0.02, 0.05, 0.1, 0.2),
        cvar=(0.3, 0.5, 0.67, 0.8),
        of_sets=("uncertainty.joint_with_reward=true",),
        severity="env.kwargs.severity",
        frames=128_000,
    ),
    "failures": World("building", ("env=building_failures", *BUILDING), **BUILDING_GRIDS),
    "weather": World(
        config="building",
        overrides=("env=building_random_weather", *BUILDING),
        severity="env.random_weather.severity",
        **BUILDING_GRIDS,
    ),
}
KEY = ["world", "frames", "episodes", "mixer", "method", "value", "seed", "suite"]
TUNING_EPISODES, TESTING_EPISODES = 12, 11  # seeds of the episodes that are played


def run(key):
    """Trains one team and judges it: the key of its row, and its mean return at each severity."""
    torch.set_num_threads(1)
    torchrl_logger.setLevel("WARNING")
    start = time.process_time()
    world, frames = WORLDS[key["world"]], key["frames"]
    own, field, _ = world.methods[key["method"]]
    overrides = [
        *(*world.overrides, *own, f"mixer={key['mixer']}", f"seed={key['seed']}"),
        *(f"{field}={key['value']}", f"collector.total_frames={frames}", "progress_bar=false"),
        *(f"checkpoint_interval={frames}", f"log_interval={frames}"),
    ]
    cfg = compose_config(*overrides, config=world.config)
    torch.manual_seed(key["seed"])
    with tempfile.TemporaryDirectory() as folder:
        trained = build(cfg, folder)
        trained.train()
    # a shift's severity is a factor: all are judged in the nominal world, times that
    task = make_task(compose_config(*world.overrides, config=world.config))
    _, shifts = read_suite(task, key["suite"])
    which = TUNING_EPISODES if key["suite"] == "validation" else TESTING_EPISODES
    table = evaluate(trained.team, task, shifts, episodes=key["episodes"], seed=which)
    measure = "normalized_return" if "normalized_return" in table else "return"
    means = table.groupby("shift", sort=False)[measure].mean()
    severities = {f"s{shift['severity']:g}": float(means[shift["name"]]) for shift in shifts}
    return {**key, **severities, "cpu_seconds": time.process_time() - start}


def identity(row):
    """What tells a run from others."""
    return tuple(str(row[name]) for name in KEY)


def read_rows(path):
    """Rows of a CSV, none where there is no such file."""
    rows = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=KEY)
    if missing := [name for name in KEY if name not in rows]:
        raise ValueError(f"{path} lacks the columns {missing}: it is not of this script.")
    return rows


def missing_of(keys, rows):
    """The runs that have no row, each once."""
    done = {identity(row) for row in rows.to_dict("records")}
    return list({identity(key): key for key in keys if identity(key) not in done}.values())


def train(path, keys, jobs):
    """Adds one row after the other to the CSV."""
    rows = read_rows(path).to_dict("records")
    # fresh processes: no run inherits another's state
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=1) as pool:
        for i, row in enumerate(pool.imap_unordered(run, keys), start=1):
            rows.append(row)
            with atomic_path(path) as temporary:
                pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g")
            seconds = f"{row['cpu_seconds']:.0f} s of CPU time"
            print(f"[{i}/{len(keys)}] {' '.join(identity(row))}: {seconds}", flush=True)


def rows_of(path, keys, jobs, may_train):
    """The rows of these runs, which are trained where they are missing.

    Raises:
        ValueError: if rows are missing and may not be trained.
    """
    missing = missing_of(keys, read_rows(path))
    if missing and not may_train:
        raise ValueError(
            f"{path} lacks {len(missing)} of {len(keys)} runs, the first "
            f"{' '.join(identity(missing[0]))}: without --report they are trained."
        )
    if missing:
        train(path, missing, jobs)
    rows, asked = read_rows(path), {identity(key) for key in keys}
    mine = [identity(row) in asked for row in rows.to_dict("records")]
    return rows[mine].drop_duplicates(KEY)


def chosen_value(rows, mixer, method):
    """The value with the best mean return in validation, of equal ones the first."""
    rows = rows[(rows["suite"] == "validation") & (rows["mixer"] == mixer)]
    means = rows[rows["method"] == method].groupby("value")["s3"].mean()
    return float(means.idxmax())


def lines(rows, mixer, world):
    """What is tested, by its label: the method and the value of its parameter."""
    gamma = WORLDS[world].gammas[0]
    chosen = {method: chosen_value(rows, mixer, method) for method in TUNED}
    tuned = {"tuned": ("nominal", chosen["nominal"])} if chosen["nominal"] != gamma else {}
    sets = {method: (method, chosen[method]) for method in ("TV", "CVaR")}
    controls = {"nominal": ("nominal", gamma), **tuned}
    for method, (_, rho) in sets.items():
        shorter = ("nominal", float(f"{gamma * (1 - rho):.6g}"))
        if shorter not in controls.values():
            controls[f"γ(1-ρ) of {method}"] = shorter
    controls["contamination"] = ("contamination", chosen["TV"])
    return {**controls, **sets, AT_3: (AT_3, gamma)}


def tested(rows, mixer, method, value):
    """Returns of the testing seeds by severity."""
    own = rows[(rows["suite"] == "severity") & (rows["mixer"] == mixer)]
    own = own[(own["method"] == method) & (own["value"] == value)].set_index("seed")
    columns = [c for c in own if c[0] == "s" and c[1:].isdigit() and own[c].notna().any()]
    return own[columns]


def legend_labels(of_mixers):
    """What the picture calls each line, with its parameter in each mixer's panel."""
    values = {}
    for mixer, own in of_mixers.items():
        for name, (method, value) in own.items():
            values.setdefault(name, (method, {}))[1][mixer.upper()] = f"{value:g}"
    labels = {}
    for name, (method, by_mixer) in values.items():
        said = " or ".join(dict.fromkeys(by_mixer.values()))
        if len(set(by_mixer.values())) > 1:
            said = ", ".join(f"{value} ({mixer})" for mixer, value in by_mixer.items())
        nominal = method in ("nominal", AT_3)
        full = f"nominal, {name}" if nominal and name != "nominal" else name
        labels[name] = f"{full}, {'γ' if nominal else 'ρ'} = {said}"
    return labels


def report(rows, mixers, folder, world):
    """Prints choice and test, and how far each set is above the better control; draws it."""
    figure = Figure(figsize=(1 + 4.2 * len(mixers), 3.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(mixers)))
    of_mixers = {mixer: lines(rows, mixer, world) for mixer in mixers}
    labels = legend_labels(of_mixers)
    look = looks(labels.values())
    for mixer, ax in zip(mixers, axes, strict=True):
        validation = rows[(rows["suite"] == "validation") & (rows["mixer"] == mixer)]
        print(f"\n{world}, {mixer.upper()}: mean return at severity 3, tuning seeds")
        for method in TUNED:
            means = validation[validation["method"] == method].groupby("value")["s3"].mean()
            print(f"  {method:9}" + "".join(f"  {v:g}: {mean:.3f}" for v, mean in means.items()))
        shown = of_mixers[mixer]
        found = {name: tested(rows, mixer, *line) for name, line in shown.items()}
        print(f"{world}, {mixer.upper()}: mean return, 95 % intervals over the testing seeds")
        for name, (_, value) in shown.items():
            pairs = [mean_interval(found[name][column]) for column in found[name]]
            cells = [
                f"{c} {m:6.3f} ± {h:.3f}" for c, (m, h) in zip(found[name], pairs, strict=True)
            ]
            print(f"  {name:15} {value:<7g}" + "  ".join(cells))
            x = [float(column[1:]) for column in found[name]]
            style = look[labels[name]].style(len(found[name]))
            label = f"{labels[name]} ({seeds_text(len(found[name]))})"
            means, halves = zip(*pairs, strict=True)
            ax.errorbar(x, means, halves, label=label, capsize=2, **style)
        for name, column in itertools.product(("TV", "CVaR"), found["nominal"]):
            controls = [control for control in found if control not in ("TV", "CVaR", AT_3)]
            best = max(controls, key=lambda control, c=column: found[control][c].mean())
            # seed by seed; all play the same episodes
            mean, half = mean_interval(found[name][column] - found[best][column])
            verdict = "above" if mean > half else "below" if mean < -half else "not told apart"
            print(f"  {name} minus {best:8} {column}: {mean:+.3f} ± {half:.3f}  {verdict}")
        ax.set(title=mixer.upper(), xlabel="severity (training: 1, tuning: 3)")
    axes[0].set_ylabel("mean return")
    note = "Markers: mean over the seeds; bars: 95 % intervals; thin and hollow: one seed"
    legend_below(figure, named_handles(figure), note)
    with atomic_path(folder / f"{world}.png") as temporary:
        figure.savefig(temporary, dpi=110)
    print(f"Drawn: {folder / f'{world}.png'}")


def main() -> None:
    """Tune, test, print, draw."""
    text = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("--world", choices=WORLDS, default="noise")
    parser.add_argument("--mixers", nargs="+", choices=("vdn", "qmix"), default=["vdn", "qmix"])
    parser.add_argument("--frames", type=int, help="steps of training, instead of the world's")
    parser.add_argument("--episodes", type=int, default=100, help="at each severity")
    parser.add_argument("--tuning", nargs="+", type=int, default=[100, 101], help="seeds")
    parser.add_argument(
        "--testing", nargs="+", type=int, default=[10, 11, 12, 13, 14], help="seeds"
    )
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--output", default="runs/worlds", help="folder of the CSV and the picture")
    parser.add_argument("--report", action="store_true", help="train nothing")
    args = parser.parse_args()
    for name in ("frames", "episodes", "jobs"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(args, name)}")
    if both := set(args.tuning) & set(args.testing):
        parser.error(f"--tuning and --testing must share no seed, got {sorted(both)} in both")
    folder, world = Path(args.output), WORLDS[args.world]
    path = folder / f"{args.world}.csv"
    same = {"world": args.world, "episodes": args.episodes, "frames": args.frames or world.frames}

    def rows_with(mixer, lines, seeds, suite):
        own = [
            {**same, "mixer": mixer, "method": method, "value": value, "seed": seed, "suite": suite}
            for (method, value), seed in itertools.product(lines, dict.fromkeys(seeds))
        ]
        keys = [{name: key[name] for name in KEY} for key in own]
        return rows_of(path, keys, args.jobs, may_train=not args.report)

    parts = []
    try:
        for mixer in args.mixers:
            tried = [(method, value) for method in TUNED for value in world.methods[method][2]]
            parts.append(rows_with(mixer, tried, args.tuning, "validation"))
            shown = lines(parts[-1], mixer, args.world).values()
            parts.append(rows_with(mixer, shown, args.testing, "severity"))
    except ValueError as error:
        parser.error(str(error))
    report(pd.concat(parts), args.mixers, folder, args.world)


if __name__ == "__main__":
    main()
