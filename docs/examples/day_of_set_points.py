"""One day of a trained team as CSV: python day_of_set_points.py RUN DAY FILE."""

import sys

import pandas as pd
import torch
from torchrl.envs.utils import ExplorationType, set_exploration_type

from torchrl_drigm import load_team

run, day, file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
team = load_team(run)
env = team.make_env()
start = env.reset(day=torch.tensor([day]), climate=torch.tensor([0]))
with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
    steps = env.rollout(100_000, team, auto_reset=False, tensordict=start)[0]

building = env.base_env
parameters = building.building_parameters
zones = [building.zones[zone] for zone in building.heated.tolist()]
temperature = steps["next", "agents", "observation"][..., 0]  # °C, at the end of each step
share = 2 * steps["agents", "action"] / building.n_action_levels - 1  # of the largest power
time = pd.Timestamp("2001-01-01") + pd.Timedelta(days=day)
table = pd.DataFrame(
    {
        "time": pd.date_range(time, periods=len(steps), freq=f"{parameters.time_res}s"),
        **{f"{zone} set point °C": temperature[:, i] for i, zone in enumerate(zones)},
        **{f"{zone} power share": share[:, i] for i, zone in enumerate(zones)},
    }
)
table.to_csv(file, index=False, float_format="%.3f")
print(f"{len(table)} steps of {', '.join(zones)} in {file}")
