#!/usr/bin/env bash
#
# Library: sustaingym 0.1.7.
# Source: `BuildingEnv.reset` in sustaingym/envs/building/env.py: the seed "determines which
#   episode to start at", and is to be incremented to see episodes in chronological order.
# Expected: seeds from 365 on begin the year again (version 0.1.6 took them modulo 364), or are
#   refused.
# Happens: each gives the same episode, which starts at the last sample of the year. An evaluation
#   over the seeds 400 to 599 is one single day 200 times, and its standard deviation without
#   exploration is 0. Within the year a seed is not quite a day either: the year has 105,108
#   samples instead of 105,120, and the episode of seed 364 starts at 23:00 of the day before.
# Here: SustainGymEnv refuses days from 365 on, or wraps them with `wrap_days=True`.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     seed   0: from day   0,  0.00 h; doing nothing returns -7084.17
#     seed  35: from day  34, 23.83 h; doing nothing returns -5942.47
#     seed 235: from day 234, 23.33 h; doing nothing returns -5299.44
#     seed 364: from day 363, 23.00 h; doing nothing returns -3910.87
#     seed 365: from day 364, 22.92 h; doing nothing returns -7062.62
#     seed 400: from day 364, 22.92 h; doing nothing returns -7062.62
#     seed 599: from day 364, 22.92 h; doing nothing returns -7062.62
#     different episodes of the seeds 365 to 599: 1

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
    env = BuildingEnv(ParameterGenerator("OfficeSmall", "Hot_Dry", "Tucson"))


def start_and_return(seed):
    env.reset(seed=seed)
    start, total, done = env.epoch, 0.0, False
    while not done:
        _, reward, done, _, _ = env.step(np.zeros(env.n))
        total += reward
    return start, round(float(total), 2)


for seed in (0, 35, 235, 364, 365, 400, 599):
    start, total = start_and_return(seed)
    day, hour = start // 288, start % 288 / 12
    print(f"seed {seed:3d}: from day {day:3d}, {hour:5.2f} h; doing nothing returns {total:.2f}")
later = {start_and_return(seed) for seed in range(365, 600)}
print("different episodes of the seeds 365 to 599:", len(later))
if len(later) != 1:
    sys.exit("No longer as stated: seeds from 365 on give different episodes.")
PYTHON
