r"""Robust VDN, QMIX and QTRAN against the exact answer, on random small Dec-POMDPs.

Each algorithm is trained by the library's own loss on models that its factorization can represent
(additive ones for VDN, convex monotone ones for QMIX, any for QTRAN) and its team values are
compared with those of exact robust value iteration at every state and joint action.

    python examples/tabular_exact.py                        all sets, a few minutes
    python examples/tabular_exact.py --sets tv --models 1   one set, one model per algorithm
"""

import argparse
import itertools
from pathlib import Path

import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from torchrl_drigm.evaluation import atomic_path
from torchrl_drigm.evaluation.legends import legend_below, named_handles
from torchrl_drigm.evaluation.looks import NEUTRAL, looks
from torchrl_drigm.tabular import (
    random_dec_pomdp,
    representable,
    robust_values,
    train_against_exact,
)
from torchrl_drigm.uncertainty import (
    KL,
    ChiSquared,
    Contamination,
    CVaR,
    Nominal,
    TotalVariation,
)

SETS = {
    "none": ("no uncertainty", Nominal()),
    "contamination": ("ρ-contamination, ρ = 0.2", Contamination(rho=0.2)),
    "tv": ("total variation, ρ = 0.2", TotalVariation(rho=0.2)),
    "cvar": ("CVaR, ρ = 0.8", CVaR(rho=0.8)),
    "kl": ("KL, ρ = 0.1", KL(rho=0.1)),
    "chi2": ("χ², ρ = 0.2", ChiSquared(rho=0.2)),
}
STRUCTURE = {"vdn": "additive", "qmix": "monotone", "qtran": "general"}
TEAMS = ((2, 2), (3, 2), (2, 2, 2))
REWARDS = ((-1.0, 1.0), (0.5, 1.5), (-1.5, -0.5))
BAND = 0.03


def models(mixer, uncertainty, n, seed):
    """The first ``n`` random models from ``seed`` on that the factorization can represent."""
    found = []
    for draw in itertools.count(seed):
        team, options = TEAMS[len(found) % 3], {"reward_range": REWARDS[len(found) % 3]}
        model = random_dec_pomdp(4, team, draw, gamma=0.8, structure=STRUCTURE[mixer], **options)
        values = robust_values(model, uncertainty)
        # over KL and χ² balls, sums over agents are not quite sums any more
        slack = 0.01 * (values.max() - values.min()).item() if mixer == "vdn" else 1e-8
        if representable(values, mixer, slack).all():
            found.append(model)
            if len(found) == n:
                return found


def draw(path, title, results):
    """Left, learned against exact values; right, the error in shares of the value range."""
    figure = Figure(figsize=(9.5, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
    set_, _, _ = title.partition(",")
    names = {mixer: f"{set_} {mixer.upper()}" for mixer in results}
    looked = looks(names.values())
    for mixer, learned in results.items():
        own = looked[names[mixer]]
        for i, one in enumerate(learned):
            acting = ~one.model.terminal
            exact, q = one.exact[acting].flatten(), one.q[acting].flatten()
            x, y = ((values - exact.min()) / one.value_range for values in (exact, q))
            label = f"{names[mixer]}, {len(learned)} models" if i == 0 else None
            look = {"marker": own.marker, "fc": "none", "ec": own.colour, "s": 24, "lw": 0.9}
            left.scatter(x, y, label=label, **look)
            right.scatter(x, 100 * (y - x), **look)
    ends = torch.tensor([-0.05, 1.05])
    left.plot(ends, ends, color=NEUTRAL, lw=0.8, zorder=0, label="learned = exact")
    left.fill_between(ends, ends - BAND, ends + BAND, color="0.88", zorder=-1)
    right.axhline(0, color=NEUTRAL, lw=0.8, zorder=0)
    right.axhspan(
        -100 * BAND, 100 * BAND, color="0.88", zorder=-1, label=f"± {BAND:.0%} of the range"
    )
    x_axis = {"xlabel": "exact robust team value", "xlim": ends}
    left.set(ylabel="learned team value", ylim=ends, aspect="equal", **x_axis)
    limit = max(4.0, 1.1 * max(abs(y) for y in right.dataLim.intervaly))
    right.set(ylabel="error, % of the value range", ylim=(-limit, limit), **x_axis)
    figure.suptitle(title)
    note = "Markers: every state and joint action, values scaled to the range of their model"
    legend_below(figure, named_handles(figure), note)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def main() -> None:
    """Train, print the errors, draw."""
    text = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), help="which sets")
    parser.add_argument("--models", type=int, default=3, help="models per algorithm and set")
    parser.add_argument("--steps", type=int, default=1000, help="training steps per model")
    parser.add_argument("--seed", type=int, default=0, help="of models, networks and data")
    parser.add_argument("--output", default="runs/learned_vs_exact", help="folder of the pictures")
    args = parser.parse_args()
    for name, number in (("models", args.models), ("steps", args.steps)):
        if number < 1:
            parser.error(f"--{name} must be at least 1, got {number}")
    torch.set_num_threads(1)  # tables this small are slower on several threads

    lines, pictures = [], []
    runs = len(args.sets) * len(STRUCTURE) * args.models
    with tqdm(total=runs, desc="training", unit="run", disable=None) as progress:
        for name in args.sets:
            title, uncertainty = SETS[name]
            results = {}
            for mixer in STRUCTURE:
                results[mixer] = []
                for model in models(mixer, uncertainty, args.models, args.seed):
                    options = {"seed": args.seed, "steps": args.steps}
                    results[mixer].append(train_against_exact(model, uncertainty, mixer, **options))
                    progress.update()
                worst = [max(getattr(x, k) for x in results[mixer]) for k in ("error", "regret")]
                lines.append(f"{name:15}{mixer:8}{worst[0]:14.2%}{worst[1]:18.2%}")
            pictures.append(Path(args.output) / f"learned_vs_exact_{name}.png")
            draw(pictures[-1], title, results)
    print(f"{'set':15}{'mixer':8}{'largest error':>14}{'largest regret':>18}   (of value range)")
    print("\n".join(lines))
    print("Drawn: " + ", ".join(map(str, pictures)))


if __name__ == "__main__":
    main()
