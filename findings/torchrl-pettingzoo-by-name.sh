#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 beside pettingzoo 1.27.0.
# Source: `PettingZooEnv._build_env` and `_load_available_envs` in torchrl/envs/libs/pettingzoo.py;
#   pettingzoo/mpe/__init__.py.
# Expected: with the extra of one family installed, `PettingZooEnv` makes an environment of that
#   family by its name. It lists all families for that, and leaves out those that cannot be
#   imported.
# Happens: every name of every family raises ImportError, "MPE has been moved into its own package",
#   which nobody asked for. What is left out is told by ModuleNotFoundError, and the family that
#   moved away raises its parent class. That list is made where `pettingzoo.utils.all_modules` cannot
#   be imported, which needs what all families need, Atari's emulator too (that was not tried).
#   `PettingZooWrapper` around the made environment works.
# Here: environments are made by the user and wrapped (`env.make`), never looked up by name.
#
# Seen on 2026-11-29, Python 3.11, Linux, CPU:
#
#     PettingZooEnv('pistonball_v6'): ImportError: MPE has been moved into its own package: MPE2.
#     PettingZooEnv('butterfly/pistonball_v6'): ImportError: MPE has been moved into its own package: MPE2.
#     PettingZooWrapper(pistonball_v6.parallel_env()): 20 agents

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "torch==2.13.0" "torchrl==0.14.1" "tensordict==0.14.3" "numpy==2.4.6" \
  "pettingzoo[butterfly]==1.27.0" "gymnasium==1.4.0" "pygame-ce==2.5.8" "pymunk==7.3.1"
export RL_LOGGING_LEVEL=WARNING  # torchrl's own notes

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

from pettingzoo.butterfly import pistonball_v6
from torchrl.envs import PettingZooEnv, PettingZooWrapper

errors = []
for name in ("pistonball_v6", "butterfly/pistonball_v6"):
    try:
        PettingZooEnv(name, parallel=True)
        errors.append("none")
    except ImportError as error:
        errors.append(f"{type(error).__name__}: {str(error).partition(' Install')[0]}")
    print(f"PettingZooEnv({name!r}): {errors[-1]}")
env = PettingZooWrapper(pistonball_v6.parallel_env())
n_agents = sum(map(len, env.group_map.values()))
print(f"PettingZooWrapper(pistonball_v6.parallel_env()): {n_agents} agents")
if not all("MPE has been moved" in error for error in errors) or n_agents != 20:
    sys.exit("No longer as stated: families are looked up by name, or the wrapper differs.")
PYTHON
