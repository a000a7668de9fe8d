r"""Where robustness can be seen: return over severity, exact and learned.

Three small models have a rare bad branch whose probability a severity multiplies. Every team is
trained at severity 1 and judged by its exact discounted return at others. The size ρ of a set is
chosen at severity 3, from a grid. Beside it stand its controls: nominal training with the discounts
of a grid and with γ(1-ρ), the best of them named in hindsight.

    python examples/severity.py                                  exact: a table and a picture
    python examples/severity.py --learned --models harvest       VDN and QMIX on tables, too
    python examples/severity.py --learned --learner env          in the environments, by the trainer

What was learned stays in a CSV, and a run that was stopped goes on from it.
"""

import argparse
import dataclasses
import itertools
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torchrl import logger as torchrl_logger
from tqdm import tqdm

from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation import atomic_path, exact_return, mean_interval
from torchrl_drigm.evaluation.looks import NEUTRAL, colour_of
from torchrl_drigm.tabular import (
    drones,
    greedy_joint_actions,
    harvest,
    machines,
    numeric_worst_value,
    optimal_values,
    policy_evaluation,
    robust_value_iteration,
    train_against_exact,
)
from torchrl_drigm.trainers import build
from torchrl_drigm.uncertainty import CVaR, Nominal, TotalVariation

MODELS = {
    "harvest": harvest,
    "machines": machines,
    "drones": drones,
    # a failure is paid in the reward of its own step, which only sets joint with it see
    "paid": partial(machines, cost_in_reward=True),
}
TITLES = {"paid": "machines, failures paid at once"}
SETS = {"TV": TotalVariation, "CVaR": CVaR}
JOINT = {name: partial(make, joint_with_reward=True) for name, make in SETS.items()}
SEVERITIES, VALIDATION = (1.0, 2.0, 3.0, 4.0, 6.0), "s3"
COLUMNS = [f"s{severity:g}" for severity in SEVERITIES]
RHOS = (0.1, 0.2, 0.3, 0.5, 0.75)
# updates of a run and their learning rate: on tables machines take more and smaller ones
TABLES = dict.fromkeys(MODELS, (3000, 0.03)) | {"harvest": (1000, 0.1)}
ENV = (1000, 3e-3)  # of preset=toy
# in units of the model's discount; 0 is left out: all actions tie there that earn nothing at once
FACTORS = (1.0, 0.95, 0.9, 0.7, 0.5)
MIXERS = {"vdn": ("o", -0.06), "qmix": ("s", 0.06)}
PM = "{:.2f} ± {:.2f}".format
KEY = ["model", "learner", "steps", "lr", "mixer", "method", "rho", "factor", "seed"]


def sets_of(name):
    """The sets to try in a model, by label."""
    return JOINT if name == "paid" else SETS


def where(rows, **key):
    """The rows with these entries."""
    for column, value in key.items():
        rows = rows[rows[column] == value]
    return rows


def chosen_rho(rows):
    """The size with the best mean return at the validation severity, of equal ones the first."""
    means = rows.groupby("rho")[VALIDATION].mean()
    return float(means[means >= means.max() - 1e-6].index[0])


# ---- exact


def solve(model, uncertainty, factor=1.0):
    """The greedy policy of robust value iteration, ``[S, N]``."""
    if factor != 1.0:
        model = dataclasses.replace(model, gamma=factor * model.gamma)
    if isinstance(uncertainty, Nominal):  # by policy iteration, which takes a few steps only
        return greedy_joint_actions(optimal_values(model)[0])
    uncertainty = numeric_worst_value(model, uncertainty)
    return greedy_joint_actions(robust_value_iteration(model, uncertainty).q)


def returns(name, policy, severities=SEVERITIES):
    """Exact returns of a policy of states."""
    return [policy_evaluation(MODELS[name](s), policy)[1][0].item() for s in severities]


def oracle(name, severities=SEVERITIES):
    """Exact returns of training at the severity itself."""
    return [returns(name, solve(MODELS[name](s), Nominal()), [s])[0] for s in severities]


def solve_all(name):
    """Exact returns of every method with every parameter, as rows."""
    model, rows = MODELS[name](), []
    nominal = [("nominal", Nominal(), 0.0, factor) for factor in FACTORS]
    robust = [(m, make(rho), rho, 1.0) for m, make in sets_of(name).items() for rho in RHOS]
    for method, uncertainty, rho, factor in nominal + robust:
        found = returns(name, solve(model, uncertainty, factor))
        rows.append([name, method, rho, factor, *found])
    rows.append([name, "oracle", 0.0, 1.0, *oracle(name)])
    return pd.DataFrame(rows, columns=["model", "method", "rho", "factor", *COLUMNS])


def exact_table(exact, name):
    """Lines of text: nominal training, the best discount, each set with its chosen size."""
    rows = where(exact, model=name)
    nominal = where(rows, method="nominal")
    lines = {"nominal": where(nominal, factor=1.0).iloc[0]}
    lines["best discount, in hindsight"] = nominal[COLUMNS].max()
    for label in sets_of(name):
        own = where(rows, method=label)
        rho = chosen_rho(own)
        lines[f"{label}, ρ = {rho:g}"] = where(own, rho=rho).iloc[0]
    lines["oracle"] = where(rows, method="oracle").iloc[0]
    yield f"{TITLES.get(name, name):33}" + "".join(f"{column:>9}" for column in COLUMNS)
    for label, values in lines.items():
        yield f"  {label:31}" + "".join(f"{values[column]:9.2f}" for column in COLUMNS)


# ---- learned


def learn_on_tables(name, mixer, uncertainty, factor, seed, steps):
    """Returns of tables that the library's losses trained on samples of every state and action."""
    model = MODELS[name]()
    uncertainty = numeric_worst_value(model, uncertainty)
    if factor != 1.0:  # nominal training, where the expected reward is all that counts
        model = dataclasses.replace(model, gamma=factor * model.gamma)
    options = {"seed": seed, "steps": steps, "samples": 8, "lr": TABLES[name][1]}
    return returns(name, train_against_exact(model, uncertainty, mixer, **options).joint_action)


def learn_in_env(name, mixer, uncertainty, factor, seed, steps):
    """Returns of networks that the library's trainer trained in the environment."""
    model, frames = MODELS[name](), 128 * steps
    env = ["env=machines", "env.cost_in_reward=true"] if name == "paid" else [f"env={name}"]
    overrides = [
        *(*env, "agent=drqn", "preset=toy", f"mixer={mixer}", f"seed={seed}"),
        *(f"optim.gamma={factor * model.gamma}", f"collector.total_frames={frames}"),
        *(f"exploration.annealing_frames={max(frames // 2, 1)}", "progress_bar=false"),
        *(f"log_interval={frames}", f"checkpoint_interval={frames}"),
    ]
    if isinstance(uncertainty, Nominal):
        overrides.append("uncertainty=none")
    else:
        overrides += [f"uncertainty={uncertainty.name}", f"uncertainty.rho={uncertainty.rho}"]
        overrides += ["uncertainty.joint_with_reward=true"] * uncertainty.joint_with_reward
    cfg = compose_config(*overrides, config="torchrl")
    worst = numeric_worst_value(model, uncertainty).worst_value
    if worst is not None:
        cfg.uncertainty.worst_value = worst * cfg.env.reward_scale
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        run = build(cfg, folder)
        run.train()
    return [exact_return(run.team, run.task.model(s)) for s in SEVERITIES]


LEARNERS = {"tables": learn_on_tables, "env": learn_in_env}


def kind_of(name, learner, steps):
    """What sets the runs of a model apart from longer ones, and from those of the other learner."""
    usual, lr = TABLES[name] if learner == "tables" else ENV
    return {"model": name, "learner": learner, "steps": steps or usual, "lr": lr}


class Results:
    """Rows of a CSV that grows by one run at a time."""

    def __init__(self, path):
        self.path = Path(path)
        columns = [*KEY, *COLUMNS, "cpu_seconds"]
        self.rows = pd.read_csv(path) if self.path.exists() else pd.DataFrame(columns=columns)
        if missing := [name for name in columns if name not in self.rows]:
            raise ValueError(f"{path} lacks the columns {missing}: name another folder.")

    def add(self, row):
        """Adds a row, and writes the file as a whole or not at all."""
        row = pd.DataFrame([row])
        self.rows = row if self.rows.empty else pd.concat([self.rows, row], ignore_index=True)
        with atomic_path(self.path) as temporary:
            self.rows.to_csv(temporary, index=False, float_format="%.6g")


def learn(results, kind, mixer, tuning, testing):
    """Trains what is missing: every size on tuning seeds; the chosen ones and all controls."""
    name, learner, steps, _ = kind.values()

    def train(method, uncertainty, rho, factor, seed):
        values = [*kind.values(), mixer, method, rho, round(factor, 6), seed]
        key = dict(zip(KEY, values, strict=True))
        if where(results.rows, **key).empty:
            start = time.process_time()
            found = LEARNERS[learner](name, mixer, uncertainty, factor, seed, steps)
            row = {**key, **dict(zip(COLUMNS, found, strict=True))}
            results.add({**row, "cpu_seconds": time.process_time() - start})

    sets, same = sets_of(name), {**kind, "mixer": mixer}
    tried = [(label, rho, seed) for label in sets for rho in RHOS for seed in tuning]
    for label, rho, seed in tqdm(tried, f"{name}, {mixer}: choosing ρ", unit="run"):
        train(label, sets[label](rho), rho, 1.0, seed)
    rows = of_seeds(results.rows, tuning, **same)
    chosen = {label: chosen_rho(where(rows, method=label)) for label in sets}
    factors = sorted({*FACTORS, *(1.0 - rho for rho in chosen.values())})
    for seed in tqdm(testing, f"{name}, {mixer}: sets and controls", unit="seed"):
        for factor in factors:
            train("nominal", Nominal(), 0.0, factor, seed)
        for label, rho in chosen.items():
            train(label, sets[label](rho), rho, 1.0, seed)


def of_seeds(rows, seeds, **key):
    """The rows with these entries and one of these seeds."""
    return where(rows[rows["seed"].isin(seeds)], **key)


def judged(rows, kinds, tuning, testing):
    """Of the test seeds: all controls, and each set with the size that the tuning seeds chose."""
    parts = [rows.iloc[:0]]
    for kind in kinds:
        for _, own in where(rows, **kind).groupby("mixer"):
            parts.append(of_seeds(own, testing, method="nominal"))
            for label in sets_of(kind["model"]):
                tried = of_seeds(own, tuning, method=label)
                if len(tried):
                    chosen = {"method": label, "rho": chosen_rho(tried)}
                    parts.append(of_seeds(own, testing, **chosen))
    return pd.concat(parts)


def compared(rows, name, mixer):
    """Lines of text: each set beside nominal training and the best control of that severity."""
    rows = where(rows, model=name, mixer=mixer)
    for column in ("s1", "s3", "s4", "s6"):
        controls = where(rows, method="nominal").groupby("factor")[column]
        controls = {factor: mean_interval(own) for factor, own in controls}
        best = max(controls, key=lambda factor: (round(controls[factor][0], 6), factor))
        line = f"{name:9}{mixer:5}{column:4}nominal {PM(*controls[1.0])}   best control {best:g}γ "
        line += PM(*controls[best])
        for label in sets_of(name):
            own = where(rows, method=label)
            mean, half = mean_interval(own[column])
            above = "above" if mean - half > sum(controls[best]) else "not above"
            line += f"   {label} ρ={own['rho'].iloc[0]:g} {PM(mean, half)} {above}"
        yield line


# ---- drawn


def draw(path, exact, rows, names):
    """Exact lines, and where ``rows`` has learned teams their means with 95 % intervals."""
    figure = Figure(figsize=(1.0 + 3.6 * len(names), 5.4), layout="constrained")
    fine = np.linspace(1.0, 6.0, 11)
    for name, ax in zip(names, np.atleast_1d(figure.subplots(1, len(names))), strict=True):
        for factor in FACTORS:
            look = {"lw": 2.2} if factor == 1.0 else {"lw": 0.8, "alpha": 0.5, "zorder": 1}
            label = {1.0: "nominal", FACTORS[1]: "nominal, other discounts"}.get(factor)
            line = returns(name, solve(MODELS[name](), Nominal(), factor), fine)
            ax.plot(fine, line, color=colour_of("nominal"), label=label, **look)
        for label, make in reversed(sets_of(name).items()):  # TV above, as they may be the same
            rho = chosen_rho(where(exact, model=name, method=label))
            line = returns(name, solve(MODELS[name](), make(rho)), fine)
            look = {"color": colour_of(label), "ls": (0, (4, 4)) if label == "TV" else "-"}
            ax.plot(fine, line, lw=2.2, label=f"{label}, ρ = {rho:g}", **look)
        ax.plot(fine, oracle(name, fine), color=NEUTRAL, ls=":", label="oracle: trained there")
        for mixer, (marker, shift) in MIXERS.items():
            learned = where(rows, model=name, mixer=mixer).groupby("method")["rho"].first()
            sizes = "".join(f", {s} {learned[s]:g}" for s in sets_of(name) if s in learned)
            for method in ("nominal", *sets_of(name)):
                own = where(rows, model=name, mixer=mixer, method=method, factor=1.0)
                if own.empty:
                    continue
                means, halves = np.transpose([mean_interval(own[column]) for column in COLUMNS])
                label = f"{mixer.upper()}, {len(own)} seeds{sizes}" if method == "nominal" else None
                look = {"color": colour_of(method), "marker": marker, "ls": "", "ms": 5}
                look |= {"capsize": 2, "label": label, "zorder": 5}
                ax.errorbar(np.add(SEVERITIES, shift), means, halves, **look)
        ax.set(title=TITLES.get(name, name), xlabel="severity (trained at 1)")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False)
    figure.axes[0].set_ylabel("discounted return")
    figure.supxlabel(
        "Lines: exact. Markers: means of learned teams, coloured alike; bars: 95 % intervals"
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def main() -> None:
    """Solve, learn what is missing, print, draw."""
    text = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--learned", action="store_true", help="train VDN and QMIX, too")
    parser.add_argument("--learner", choices=LEARNERS, default="tables", help="how they learn")
    parser.add_argument("--mixers", nargs="+", choices=MIXERS, default=list(MIXERS))
    parser.add_argument("--steps", type=int, help="updates of a run, instead of the model's")
    parser.add_argument("--tuning", nargs="+", type=int, default=[100, 101], help="seeds")
    parser.add_argument("--testing", nargs="+", type=int, default=[0, 1, 2, 3, 4], help="seeds")
    parser.add_argument("--output", default="runs/severity", help="folder of CSVs and picture")
    args = parser.parse_args()
    if args.steps is not None and args.steps < 1:
        parser.error(f"--steps must be at least 1, got {args.steps}")
    if both := set(args.tuning) & set(args.testing):
        parser.error(f"--tuning and --testing must share no seed, got {sorted(both)} in both")
    torch.set_num_threads(1)  # tables this small are slower on several threads
    torchrl_logger.setLevel("WARNING")

    exact = pd.concat([solve_all(name) for name in args.models], ignore_index=True)
    with atomic_path(Path(args.output) / "exact.csv") as temporary:
        exact.to_csv(temporary, index=False, float_format="%.4f")
    for name in args.models:
        print("\n".join(exact_table(exact, name)), end="\n\n")
    try:
        results = Results(Path(args.output) / "learned.csv")
    except ValueError as error:
        parser.error(str(error))
    seeds, path = (args.tuning, args.testing), Path(args.output) / "severity.png"
    kinds = [kind_of(name, args.learner, args.steps) for name in args.models]
    if args.learned:
        for kind, mixer in itertools.product(kinds, args.mixers):
            learn(results, kind, mixer, *seeds)
            rows = judged(results.rows, [kind], *seeds)
            print("\n".join(compared(rows, kind["model"], mixer)))
    draw(path, exact, judged(results.rows, kinds, *seeds), args.models)
    print(f"Drawn: {path}")


if __name__ == "__main__":
    main()
