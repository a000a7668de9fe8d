"""Example 1 of the paper, number by number: why robust agents need one shared adversary.

Two agents, two possible kernels. Where each agent fears the kernel that is worst for itself, the
team takes (2, 1), which is not the robust optimum; with Theorem 1's values it takes (1, 1) or
(2, 2), which are.

    python examples/drigm_counterexample.py --output figure.png    prints tables, draws them
"""

import argparse

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from torchrl_drigm.evaluation import atomic_path
from torchrl_drigm.tabular import (
    check_drigm,
    example_1,
    optimal_values,
    robust_individual_values,
    robust_values,
)

GOOD, BAD = "#009E73", "#D55E00"
S0 = 0


def choice(individual):
    """Greedy joint action at s0, counted from 1 as in the paper."""
    return tuple(int(values[S0].argmax()) + 1 for values in individual)


def print_tables(joint, individual, verdicts):
    """Joint values per joint action, then individual values with what they choose."""
    actions = [(1, 1), (1, 2), (2, 1), (2, 2)]
    print("Joint values at s0" + "".join(f"{a!s:>9}" for a in actions) + "   best")
    for name, q in joint.items():
        best = [a for a, v in zip(actions, q.flatten(), strict=True) if v > q.max() - 1e-9]
        row = "".join(f"{v:9.2f}" for v in q.flatten())
        print(f"  {name:16}{row}   {', '.join(map(str, best))}")
    print("\nIndividual values at s0" + " " * 22 + "Q1(1)  Q1(2)  Q2(1)  Q2(2)   choice   DrIGM")
    for name, (first, second) in individual.items():
        numbers = "".join(f"{v:7.2f}" for v in (*first[S0], *second[S0]))
        verdict = "holds" if verdicts[name] else "FAILS"
        print(f"  {name:42}{numbers}   {choice((first, second))}   {verdict}")


def draw_table(ax, title, q, labels=("", ""), marks=()):
    """A 2 x 2 table of joint values; ``labels`` are individual values, ``marks`` outlined cells."""
    ax.imshow(q.numpy(), cmap="Greys", vmin=0.2, vmax=3.0)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        ax.text(column, row, f"{q[row, column]:.1f}", ha="center", va="center", fontsize=16)
    for (row, column), colour, note in marks:
        x, y = column - 1, row - 1  # the paper counts from 1
        ax.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fill=False, ec=colour, lw=3))
        ax.text(x, y + 0.3, note, ha="center", va="center", color=colour, fontsize=9)
    ax.set_xticks([0, 1], [f"$a_2={a}$" + (labels[1] and f"\n{labels[1][a - 1]}") for a in (1, 2)])
    ax.set_yticks([0, 1], [f"$a_1={a}$" + (labels[0] and f"\n{labels[0][a - 1]}") for a in (1, 2)])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=11)


def draw(path, joint, shown, verdicts):
    """Above, joint values; below, the robust ones with individual values at the margins."""
    figure = Figure(figsize=(10, 6.8), layout="constrained")
    axes = figure.subplots(2, 3)
    for ax, (name, q) in zip(axes[0], joint.items(), strict=True):
        best = [(i + 1, j + 1) for i, j in (q > q.max() - 1e-9).nonzero().tolist()]
        draw_table(ax, f"joint values, {name}", q, marks=[(a, "#0072B2", "best") for a in best])
    for ax, (name, values) in zip(axes[1], shown.items(), strict=True):
        labels = [[f"$Q_{i}={v:.2f}$" for v in q[S0]] for i, q in enumerate(values, 1)]
        colour, note = (GOOD, "chosen: best") if verdicts[name] else (BAD, "chosen: not best")
        marks = [(choice(values), colour, note)]
        draw_table(ax, name, joint["robust"], labels, marks)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    print(f"\nDrawn: {path}")


def main() -> None:
    """Compute what the paper prints, print it, draw it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--output", default="runs/drigm_counterexample.png", help="where to draw")
    args = parser.parse_args()

    example = example_1()
    model, kernels = example.model, example.uncertainty
    joint = {f"P{k}": optimal_values(model, p)[0][S0] for k, p in enumerate(kernels.kernels, 1)}
    joint["robust"] = robust_values(model, kernels)[S0]

    under_p1, under_p2 = example.individual
    naive = tuple(torch.minimum(*pair) for pair in zip(under_p1, under_p2, strict=True))
    # Theorem 1 asks for a rectangular set. The hull of the two kernels has the same robust values.
    robust = {}
    for action in (0, 1):
        anchor = torch.full((model.n_states, model.n_agents), action)
        robust[action] = robust_individual_values(model, example.hull, joint_action=anchor)
    # Either kernel attains the robust value at (1, 1) and (2, 2). Yet the values of one of them for
    # both agents fail: {P1, P2} is not rectangular, and Eq. 6 needs the worst kernel of the hull.
    individual = {
        "both agents under P1": under_p1,
        "both agents under P2": under_p2,
        "naive: own worst case each": naive,
        "Theorem 1, at (1, 1)": robust[0],
        "Theorem 1, at (2, 2)": robust[1],
        "Theorem 1, as printed, first": example.theorem_values[0],
        "Theorem 1, as printed, second": example.theorem_values[1],
    }
    verdicts = {n: check_drigm(model, kernels, values) for n, values in individual.items()}
    print_tables(joint, individual, verdicts)
    shown = {name: individual[name] for name in list(individual)[2:5]}
    draw(args.output, joint, shown, verdicts)


if __name__ == "__main__":
    main()
