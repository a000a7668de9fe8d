"""Draws house.png: the way of a batch through the package, and what becomes of a trained team.

python docs/images/house.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

from torchrl_drigm.evaluation import atomic_path

__all__ = ["BOXES", "main"]

PICTURE = Path(__file__).with_suffix(".png")
OURS, TORCHRL, DATA = "#dbe9f6", "#eeeeee", "#fdf1d3"
TORCHRLS = "TorchRL"

# left, bottom, width, text, room in the package, colour; of one height
HEIGHT = 1.15
BOXES = [
    (0.0, 6.6, 2.3, "task", "tasks", OURS),
    (3.1, 6.6, 2.6, "environment,\ntransforms (memory)", "envs", OURS),
    (6.5, 6.6, 2.2, "collector\nacts ε-greedily", TORCHRLS, TORCHRL),
    (9.5, 6.6, 2.2, "replay buffer", TORCHRLS, TORCHRL),
    (12.6, 6.6, 2.2, "batch\n(TensorDict)", TORCHRLS, DATA),
    (3.1, 4.1, 2.6, "local networks\n$Q_i(h_i, a_i)$", "modules", OURS),
    (6.5, 4.1, 2.2, "mixer\n$Q_{tot}$", TORCHRLS, TORCHRL),
    (9.5, 4.1, 2.2, "loss, loss_dual", "objectives", OURS),
    (3.1, 2.2, 2.6, "target networks\nnext team value $V'$", "modules", OURS),
    (6.5, 2.2, 2.2, "set.backup($V', \\eta$)\nin RobustTD0", "uncertainty", OURS),
    (9.5, 2.2, 2.2, "dual network\n$\\eta(s, a)$", "modules", OURS),
    (12.6, 3.15, 2.2, "optimizers,\ntarget updater", TORCHRLS, TORCHRL),
    (0.0, 3.15, 2.3, "config\n(build wires it all)", "config", OURS),
    (0.0, 0.0, 2.3, "run's folder:\nconfig, checkpoint", "trainers", DATA),
    (3.1, 0.0, 2.6, "load_team(folder)", "trainers", OURS),
    (6.5, 0.0, 2.6, "evaluate(team,\ntask, suite)", "evaluation", OURS),
    (9.9, 0.0, 1.8, "tables, figures", "evaluation", DATA),
    (12.6, 0.0, 2.2, "export_team\n(folder)", "trainers", OURS),
]
LOSS = (2.8, 1.9, 9.2, 3.95, "RobustQMixerLoss: one forward pass", "objectives")
LOWER = HEIGHT / 2  # where the lower row's arrows run

# corners of each arrow, the last one its point, and what stands beside it (where)
ARROWS = [
    ([(2.3, 7.2), (3.1, 7.2)], None),
    ([(5.7, 7.2), (6.5, 7.2)], None),
    ([(8.7, 7.2), (9.5, 7.2)], None),
    ([(11.7, 7.2), (12.6, 7.2)], None),
    ([(13.7, 6.6), (13.7, 5.45), (12.0, 5.45)], (12.8, 5.55, "sampled")),
    ([(5.7, 4.7), (6.5, 4.7)], None),
    ([(8.7, 4.7), (9.5, 4.7)], None),
    ([(5.7, 2.8), (6.5, 2.8)], None),
    ([(9.5, 2.8), (8.7, 2.8)], None),
    (
        [(7.6, 3.35), (7.6, 3.75), (10.2, 3.75), (10.2, 4.1)],
        (8.0, 3.82, r"target $r + \gamma\sigma$"),
    ),
    ([(11.7, 4.7), (12.3, 4.7), (12.3, 4.0), (12.6, 4.0)], None),
    ([(13.7, 3.15), (13.7, 1.6), (10.6, 1.6), (10.6, 1.9)], (11.0, 1.35, "a step; copies")),
    ([(7.6, 5.85), (7.6, 6.6)], (7.7, 6.1, "parameters")),
    ([(1.15, 3.15), (1.15, 1.15)], (1.22, 2.1, "written")),
    ([(1.15, 4.3), (1.15, 6.6)], None),
    ([(2.3, LOWER), (3.1, LOWER)], None),
    ([(5.7, LOWER), (6.5, LOWER)], None),
    ([(9.1, LOWER), (9.9, LOWER)], None),
    ([(4.4, 0.0), (4.4, -0.4), (13.7, -0.4), (13.7, 0.0)], None),
]
SMALL = {"fontsize": 8, "style": "italic", "color": "#555555"}


def _box(left: float, bottom: float, width: float, height: float, colour: str, line: str = "-"):
    style = "round,pad=0,rounding_size=0.12"
    return FancyBboxPatch(
        (left, bottom), width, height, style, fc=colour, ec="#555555", ls=line, lw=1
    )


def main() -> None:
    """Draw into a file, whole or not at all."""
    figure, axes = plt.subplots(figsize=(13, 7))
    left, bottom, width, height, title, room = LOSS
    axes.add_patch(_box(left, bottom, width, height, "white", "--"))
    axes.text(left + 0.15, bottom + height - 0.3, title, fontsize=10, weight="bold")
    axes.text(left + width - 0.15, bottom + height - 0.3, f"{room}/", ha="right", **SMALL)
    for left, bottom, width, text, room, colour in BOXES:
        axes.add_patch(_box(left, bottom, width, HEIGHT, colour))
        middle = left + width / 2
        where = {"ha": "center", "va": "center"}
        axes.text(middle, bottom + HEIGHT * 0.6, text, fontsize=9.5, linespacing=1.3, **where)
        room = room if room == TORCHRLS else f"{room}/"
        axes.text(middle, bottom + 0.15, room, **where, **SMALL)
    for corners, beside in ARROWS:
        axes.plot(*zip(*corners[:-1], strict=True), color="#333333", lw=1)
        style = {"arrowstyle": "-|>", "color": "#333333", "lw": 1, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", corners[-1], corners[-2], arrowprops=style)
        if beside is not None:
            x, y, label = beside
            axes.text(x, y, label, fontsize=8.5, color="#333333")
    axes.set(xlim=(-0.2, 15.0), ylim=(-0.5, 7.85), aspect="equal")
    axes.axis("off")
    with atomic_path(PICTURE) as temporary:
        figure.savefig(temporary, dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
