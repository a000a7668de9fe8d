"""Teams that unload ships, in stronger and stronger wind: a table and a picture."""

import cranes  # a team's folder imports nothing by itself
import torch

from torchrl_drigm import load_team
from torchrl_drigm.evaluation import evaluate_all, format_table, plot_returns, summarize

RUNS = {
    "nominal": "runs/nominal",
    "shorter": "runs/shorter",
    "robust": "runs/robust",
}


def careful(tensordict):
    """What one might tell the cranes: fast while it is calm, slow in gusts."""
    gusts = tensordict["agents", "observation"][..., 0] > 0
    waits = tensordict["agents", "action_mask"][..., cranes.FAST].logical_not()
    slow = gusts | waits
    action = torch.where(slow, cranes.SLOW, cranes.FAST)
    return tensordict.set(("agents", "action"), action)


def main(episodes=50):
    """Play every team in the same shifts."""
    teams = {name: load_team(folder) for name, folder in RUNS.items()}
    task = teams["robust"].task
    results = evaluate_all(teams | {"careful": careful}, task, "wind.yaml", episodes=episodes)
    print(format_table(summarize(results)))
    print("picture:", plot_returns(results, "runs/cranes.png", title="Two cranes in the wind"))


if __name__ == "__main__":
    main()
