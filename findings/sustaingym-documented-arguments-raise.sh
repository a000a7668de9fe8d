#!/usr/bin/env bash
#
# Library: sustaingym 0.1.7.
# Source: `ParameterGenerator` in sustaingym/envs/building/utils.py: `U_Wall` is "list of 7
#   U-values … Only used if ``building`` cannot be found in `BUILDINGS`"; `ac_map` is "binary
#   indicator of presence (1) or absence (0) of AC"; `is_continuous_action=False` makes the actions
#   discrete.
# Expected: a building file with a list of seven U-values makes a building, and so does a zone
#   without AC with discrete actions.
# Happens: the list raises AttributeError, as the default, a tuple of zeros, does (the library's own
#   namedtuple, Ufactor, works), and `BuildingEnv` raises AssertionError, since gymnasium's
#   MultiDiscrete has no part of size 0.
# Here: SustainGymEnv hands over a Ufactor, and reads the continuous building, of which it makes
#   its own levels.
#
# Seen on 2026-11-29, Python 3.11, Linux, CPU:
#
#     a list of U-values: AttributeError: 'list' object has no attribute 'outwall'
#     a zone without AC: AssertionError: nvec (counts) have to be positive

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
from importlib.resources import files

import numpy as np
from sustaingym.envs.building import BuildingEnv, ParameterGenerator
from sustaingym.envs.building.utils import BUILDINGS

warnings.simplefilter("ignore")  # pvlib announces that parse_epw will go
file, walls = BUILDINGS["Warehouse"]
path = str(files("sustaingym").joinpath(f"data/building/{file}"))
cases = {
    "a list of U-values": (path, {"U_Wall": list(walls)}),
    "a zone without AC": (
        "Warehouse",
        {"ac_map": np.array([1, 0, 1]), "is_continuous_action": False},
    ),
}
for name, (building, parameters) in cases.items():
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the zones, a line for each
            BuildingEnv(ParameterGenerator(building, "Hot_Dry", "Tucson", **parameters))
    except (AttributeError, AssertionError) as error:
        print(f"{name}: {type(error).__name__}: {error}")
    else:
        sys.exit(f"No longer as stated: {name} makes a building.")
PYTHON
