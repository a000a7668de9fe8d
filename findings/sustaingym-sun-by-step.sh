#!/usr/bin/env bash
#
# Library: sustaingym 0.1.7.
# Source: `ParameterGenerator` in sustaingym/envs/building/utils.py: `time_res` is "length of 1
#   timestep in seconds"; the heat of the sun is in W, as that of the heaters is.
# Expected: what the sun does to a building in an hour does not depend on the length of a step.
# Happens: its heat is divided by the length of a step in hours, so with steps of an hour it is a
#   twelfth of what it is with steps of five minutes, and the building is cooler.
# Here: SustainGymEnv follows SustainGym's own step, and docs/your_building.md says so.
#
# Seen on 2026-11-29, Python 3.11, Linux, CPU:
#
#     steps of 300 s: full sun 1.651 °C an hour, warmest 38.6 °C
#     steps of 3600 s: full sun 0.138 °C an hour, warmest 37.5 °C

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


def day_of_july(seconds):
    """Heat of the full sun in the first zone (°C per hour), and its warmest on day 190."""
    with contextlib.redirect_stdout(io.StringIO()):  # the zones, a line for each
        parameters = ParameterGenerator(
            "Warehouse", "Hot_Dry", "Tucson", time_res=seconds, episode_len=86_400 // seconds
        )
    env = BuildingEnv(parameters)
    env.reset(seed=190)
    warmest, done = -np.inf, False
    while not done:
        observation, _, done, _, _ = env.step(np.zeros(env.n))
        warmest = max(warmest, observation[0])
    return 3600 * parameters["B"][0, -1], warmest


found = {}
for seconds in (300, 3600):
    sun, warmest = found[seconds] = day_of_july(seconds)
    print(f"steps of {seconds} s: full sun {sun:.3f} °C an hour, warmest {warmest:.1f} °C")
if not np.isclose(found[300][0], 12 * found[3600][0]):
    sys.exit("No longer as stated: the heat of the sun does not depend on the length of a step.")
PYTHON
