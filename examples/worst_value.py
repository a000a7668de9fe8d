r"""What ``worst_value`` does when values are negative, drawn for one random next state.

The next state is worth -100, -60 or -30, with probability 0.3, 0.4 and 0.3.
Both worst cases are drawn over the worst value v that the adversary may bring in. Below the nominal
expectation both sets are pessimistic; above it contamination is optimistic, and above the best next
value total variation is nominal.

    python examples/worst_value.py --output worst_value.png
"""

import argparse

import torch
from matplotlib.figure import Figure

from torchrl_drigm.evaluation import atomic_path
from torchrl_drigm.evaluation.looks import colour_of
from torchrl_drigm.uncertainty import Contamination, TotalVariation

VALUES = torch.tensor([-100.0, -60.0, -30.0], dtype=torch.float64)
PROBS = torch.tensor([0.3, 0.4, 0.3], dtype=torch.float64)
SETS = {Contamination: "ρ-contamination", TotalVariation: "total variation"}


def draw(path, rho):
    """The two worst cases over v, and where they are robust, nominal or optimistic."""
    v = torch.linspace(-160, 40, 401, dtype=torch.float64)
    nominal = (VALUES * PROBS).sum()
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    ax = figure.subplots()
    low, high = nominal.item() - 32, nominal.item() + 26
    ax.axhspan(nominal, high, color="#FBE3D6", lw=0)
    ax.axhspan(low, nominal, color="#E3EEF8", lw=0)
    ax.axhline(nominal, color="black", lw=1, ls="--")
    for set_cls, label in SETS.items():
        worst = [set_cls(rho, worst_value).expectation(PROBS, VALUES) for worst_value in v]
        ax.plot(v, worst, color=colour_of(label), lw=2.2, label=label)
    for text, y, colour in (
        ("optimistic: above the nominal value", high - 3, "#8C3A0B"),
        (f"nominal: E[V'] = {nominal:.0f}", nominal + 1, "black"),
        ("robust: below it", nominal - 4, "#1F4E79"),
    ):
        ax.text(v[0] + 3, y, text, fontsize=10, color=colour)
    for value, p in zip(VALUES.tolist(), PROBS.tolist(), strict=True):
        ax.plot([value, value], [low, low + 12 * p], color="black", lw=4, solid_capstyle="butt")
        ax.text(value + 2, low + 1, f"{p:g}", fontsize=9)
    ax.text(VALUES[0].item() + 2, low + 6, "possible next values V', with probability", fontsize=9)
    ax.axvline(0, color="grey", lw=1, ls=":")
    ax.text(1.5, low + 1, "v = 0, the default", fontsize=9, color="#444444")
    ax.set(
        xlim=(v[0], v[-1]),
        ylim=(low, high),
        xlabel="worst_value v",
        ylabel="worst case σ(V')",
        title=f"Negative values, ρ = {rho:g}: how bad the worst state is decides",
    )
    ax.legend(loc="lower right", bbox_to_anchor=(0.995, 0.16), fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def main() -> None:
    """Draw, and print where the regimes change."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--output", default="runs/worst_value.png", help="where to draw")
    parser.add_argument("--rho", type=float, default=0.2, help="size of the sets, in [0, 1]")
    args = parser.parse_args()
    if not 0.0 <= args.rho <= 1.0:
        parser.error(f"--rho must be in [0, 1], got {args.rho}")
    print("      v   contamination   total variation")
    for v in (-160.0, -100.0, -60.0, -30.0, 0.0):
        worst = [set_cls(args.rho, v).expectation(PROBS, VALUES).item() for set_cls in SETS]
        print(f"{v:7.0f}{worst[0]:16.1f}{worst[1]:18.1f}")
    draw(args.output, args.rho)
    print(f"Drawn: {args.output}")


if __name__ == "__main__":
    main()
