#!/usr/bin/env bash
#
# Library: sustaingym 0.1.7.
# Source: `ParameterGenerator` in sustaingym/envs/building/utils.py: `location` is "name of a
#   location in GROUND_TEMP", `ground_temp` the monthly temperatures of any other, by default
#   twelve zeros.
# Expected: a location that the library does not know, without `ground_temp`, is refused, as an
#   unknown building or weather is.
# Happens: it is accepted, and the ground is at 0 °C all year. The weather's own names, such as
#   "Hot_Dry", and plausible spellings, such as "New York" for "NewYork", are unknown locations.
# Here: SustainGymEnv refuses unknown names.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     'NewYork' : ground 10.9 °C, return of doing nothing -3108
#     'New York': ground 0.0 °C, return of doing nothing -1995

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


def day_of_july(location):
    """Ground temperature, and what doing nothing returns, on day 190 in New York's weather."""
    with contextlib.redirect_stdout(io.StringIO()):  # the zones, a line for each
        env = BuildingEnv(ParameterGenerator("OfficeSmall", "Mixed_Humid", location))
    env.reset(seed=190)
    total, done = 0.0, False
    while not done:
        observation, reward, done, _, _ = env.step(np.zeros(env.n))
        total += reward
    return observation[env.n + 1], total, np.abs(env.ground_temp).max()


found = {}
for location in ("NewYork", "New York"):
    ground, total, largest = found[location] = day_of_july(location)
    print(f"{location!r:10}: ground {ground:.1f} °C, return of doing nothing {total:.0f}")
if found["New York"][2] != 0 or found["NewYork"][2] < 20:
    sys.exit("No longer as stated: an unknown location has ground temperatures, or is refused.")
PYTHON
