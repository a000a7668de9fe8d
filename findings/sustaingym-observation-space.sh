#!/usr/bin/env bash
#
# Library: sustaingym 0.1.7.
# Source: `BuildingEnv` in sustaingym/envs/building/env.py, whose docstring lists the
#   observation's bounds.
# Expected: `observation_space` contains the environment's observations; wrappers that scale by
#   its bounds, or check against them, may rely on it.
# Happens: it contains none, on any of 52 days over the year. The lower bound of the occupants'
#   heat is +0.29 kW, where a day starts at -0.08; the bounds of irradiance and ground temperature
#   stand in each other's place, so that ground below 0 °C is outside too.
# Here: SustainGymEnv and SustainGymWrapper declare unbounded observations.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     0 of 14976 observations are in the observation space
#     outdoor °C  : bounds -40 to 40, outside 0 times
#     ground °C   : bounds 0 to 1000, outside 1152 times
#     irradiance  : bounds -40 to 40, outside 0 times
#     occupants kW: bounds 0.285573 to 1000, outside 14976 times
#     the last observation: [3.3499999046325684, 19.899999618530273, 0.0, 0.061000000685453415]

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "sustaingym[building]==0.1.7" "pvlib==0.13.1" "pandas==3.1.1" "numpy==2.4.6"

"$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io
import sys
import warnings

import numpy as np
from sustaingym.envs.building import BuildingEnv, ParameterGenerator

warnings.simplefilter("ignore")  # pvlib announces that parse_epw will go

with contextlib.redirect_stdout(io.StringIO()):  # the zones, a line for each
    env = BuildingEnv(ParameterGenerator("OfficeSmall", "Mixed_Humid", "NewYork"))
names = ["outdoor °C", "ground °C", "irradiance", "occupants kW"]
inside, outside = [], np.zeros(4, dtype=int)
space = env.observation_space
env.action_space.seed(0)
for day in range(0, 364, 7):
    observation, _ = env.reset(seed=day)
    for _ in range(288):
        inside.append(space.contains(observation))
        shared = slice(env.n, None)
        outside += (observation[shared] < space.low[shared]) | (
            observation[shared] > space.high[shared]
        )
        observation, *_ = env.step(env.action_space.sample())
print(f"{sum(inside)} of {len(inside)} observations are in the observation space")
for i, name in enumerate(names):
    low, high = space.low[env.n + i], space.high[env.n + i]
    print(f"{name:12}: bounds {low:g} to {high:g}, outside {outside[i]} times")
print("the last observation:", observation[env.n :].round(3).tolist())
if any(inside):
    sys.exit("No longer as stated: there are observations in the observation space.")
PYTHON
