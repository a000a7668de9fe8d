"""How cost grows: update time with agents, batch and window, env steps per second with copies.

    python benchmarks/scaling.py                                        # three points per axis
    python benchmarks/scaling.py --full --plot docs/images/cost_growth.png

One axis moves, the others stay at the paper's 6 agents, batch 64 and window 8. An update is loss
(robust QMIX, total variation), backward, clip and RMSprop, on random data. The points of an axis
are measured interleaved; the first ratio is to the axis's first point.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from _timing import Table, interleaved, print_header, ratios, show
from building_steps import STEPS, building_day
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import QValueModule, SafeSequential
from torchrl.modules.models.multiagent import QMixer

from torchrl_drigm.modules import DRQN, DualNetwork
from torchrl_drigm.objectives import RobustQMixerLoss

AXES = {
    "agents": [2, 4, 8, 16, 32, 64],
    "batch": [32, 64, 128, 256, 512, 1024, 2048],
    "window": [4, 8, 16, 32, 64],
    "copies": [1, 4, 16, 64, 256, 1024, 4096],
}
N_FEATURES, N_ACTIONS = 5, 200


def make_update(agents: int = 6, batch: int = 64, window: int = 8) -> Callable[[], None]:
    """One update of robust QMIX at these sizes."""
    state = agents + 4
    qnet = SafeSequential(
        TensorDictModule(
            DRQN(N_FEATURES, N_ACTIONS, agents),
            in_keys=[("agents", "history", "observation"), ("agents", "history", "action")],
            out_keys=[("agents", "action_value")],
        ),
        QValueModule(
            action_space="categorical",
            action_value_key=("agents", "action_value"),
            out_keys=[
                ("agents", "action"),
                ("agents", "action_value"),
                ("agents", "chosen_action_value"),
            ],
        ),
    )
    mixer = TensorDictModule(
        QMixer(state_shape=(state,), mixing_embed_dim=32, n_agents=agents, device="cpu"),
        in_keys=[("agents", "chosen_action_value"), "state"],
        out_keys=["chosen_action_value"],
    )
    dual = DualNetwork(state, agents, N_ACTIONS)
    loss = RobustQMixerLoss(qnet, mixer, dual_network=dual, action_space="categorical")
    loss.make_value_estimator("tv_td0", gamma=0.997, rho=0.2)
    parameters = [parameter for parameter in loss.parameters() if parameter.requires_grad]
    optimizer = torch.optim.RMSprop(parameters, lr=5e-4)

    def step() -> dict:
        history = {
            "observation": torch.randn(batch, agents, window, N_FEATURES),
            "action": torch.randint(N_ACTIONS, (batch, agents, window)),
        }
        return {"agents": {"history": history}, "state": torch.randn(batch, state)}

    end = torch.zeros(batch, 1, dtype=torch.bool)
    next_step = {**step(), "reward": torch.randn(batch, 1), "done": end, "terminated": end.clone()}
    data = TensorDict({**step(), "next": next_step}, [batch])
    data["agents", "action"] = torch.randint(N_ACTIONS, (batch, agents))

    def update() -> None:
        losses = loss(data.clone(recurse=False))
        (losses["loss"] + losses["loss_dual"]).backward()
        nn.utils.clip_grad_norm_(parameters, 10.0)
        optimizer.step()
        optimizer.zero_grad()

    return update


def measure(axis: str, values: list[int], repeats: int) -> list[dict]:
    """Times and prints the points of an axis; one row of the CSV per point."""
    copies = axis == "copies"
    calls = {
        value: building_day(value, bare=False) if copies else make_update(**{axis: value})
        for value in values
    }
    times = interleaved(calls, max(3, repeats // 3) if copies else repeats, warmup=1)
    per_call = STEPS if copies else 1
    rate_name = "env steps/s" if copies else "samples/s"
    table = Table({axis: 10, "size": 8, "time": 26, "ms": 32, rate_name: 14})
    rows = []
    for value, seconds in times.items():
        seconds = [second / per_call for second in seconds]
        low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
        batch = value if axis in ("batch", "copies") else 64
        table.row(
            str(value),
            f"{value / values[0]:.0f}x",
            show([per_call * r for r in ratios(seconds, times[values[0]])]) + "x",
            show(seconds, 3 if copies else 1, 1e3),
            f"{batch / median:,.0f}",
        )
        rows.append({"axis": axis, "value": value, "q1_s": low, "median_s": median, "q3_s": high})
    print()
    return rows


def plot(rows: list[dict], path: Path) -> None:
    """A log-log panel per axis; the dashed line is cost in proportion to size."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    from torchrl_drigm.evaluation.legends import legend_below, named_handles
    from torchrl_drigm.evaluation.looks import NEUTRAL, colour_of
    from torchrl_drigm.evaluation.plots import save_figure

    colour = colour_of("TV QMIX")
    figure = Figure(figsize=(13, 3.4), layout="constrained")
    panels = figure.subplots(1, len(AXES))
    for panel, axis in zip(panels, AXES, strict=True):
        points = [row for row in rows if row["axis"] == axis]
        values = [row["value"] for row in points]
        quartiles = [[row[key] for row in points] for key in ("q1_s", "median_s", "q3_s")]
        if axis == "copies":
            quartiles = [[v / s for v, s in zip(values, q, strict=True)] for q in quartiles]
            label, anchor = "environment steps per second", quartiles[1][0] / values[0]
        else:
            quartiles = [[1e3 * second for second in q] for q in quartiles]
            label, anchor = "update (ms)", quartiles[1][-1] / values[-1]
        low, median, high = quartiles
        line = [anchor * value for value in values]
        panel.plot(values, line, "--", color=NEUTRAL, lw=1, label="in proportion to the size")
        panel.fill_between(values, low, high, color=colour, alpha=0.25, lw=0, label="quartiles")
        panel.plot(values, median, "o-", ms=4, color=colour, label="median of repeated calls")
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(values, [str(value) for value in values], fontsize=8)
        subdivisions = (1,) if axis == "copies" else (1, 2, 5)
        panel.yaxis.set_major_locator(LogLocator(subs=subdivisions))
        panel.yaxis.set_major_formatter(EngFormatter(sep=""))
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.minorticks_off()
        panel.set_xlabel({"copies": "copies of the building"}.get(axis, axis))
        panel.set_ylabel(label)
        panel.grid(True, alpha=0.2)
    legend_below(
        figure,
        named_handles(figure),
        "One axis moves, the others stay at 6 agents, batch 64 and window 8 (robust QMIX, TV)",
    )
    save_figure(figure, path)


def main() -> None:
    """Measure every axis, print the tables, write the CSV and the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="all points, 20 repetitions")
    parser.add_argument("--repeats", type=int, help="updates per point (6; 20 with --full)")
    parser.add_argument("--csv", type=Path, default=Path("runs/benchmarks/scaling.csv"))
    parser.add_argument("--plot", type=Path, metavar="PATH", help="draw the figure there")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads (1)")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", message="No target network updater")
    torch.set_num_threads(args.threads)
    print_header("Cost as the work grows; 6 agents, batch 64 and window 8 where not said otherwise")
    repeats = args.repeats or (20 if args.full else 6)
    rows = []
    for axis, values in AXES.items():
        points = values if args.full else [values[0], values[len(values) // 2], values[-1]]
        rows += measure(axis, points, repeats)
    args.csv.parent.mkdir(parents=True, exist_ok=True)
    with args.csv.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    print(f"Wrote {args.csv}")
    if args.plot:
        plot(rows, args.plot)
        print(f"Wrote {args.plot}")


if __name__ == "__main__":
    main()
