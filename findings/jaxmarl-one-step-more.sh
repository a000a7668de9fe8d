#!/usr/bin/env bash
#
# Library: jaxmarl 0.2.0 (with jax 0.10.2, gymnax 0.0.9).
# Source: `is_terminal` in jaxmarl/environments/smax/smax_env.py, `step_env` in
#   jaxmarl/environments/mpe/simple.py, and their argument `max_steps`.
# Expected: an episode with max_steps=N lasts N steps at the most, as a time limit of gymnasium
#   and the step limit of StarCraft's smac do; and something tells an episode that was cut.
# Happens: it lasts N + 1: the step count is compared before the step is counted, in SMAX and in
#   MPE alike. The default of MPE gives 26 steps, not 25. `info` is empty and a battle that the
#   limit cut has the done flags of a won one: who does not count steps learns that it was
#   terminal.
# Here: SMAXWrapper keeps the number of steps, says so, and reports the limit as truncation.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     Importing submoduled environments...
#     Submoduled environments not found. Skipping import.
#     SMAX, max_steps=3: 4 steps, done {'__all__': True, 'ally_0': False, 'ally_1': False, 'ally_2': False}, info {}
#     SMAX, max_steps=5: 6 steps, done {'__all__': True, 'ally_0': False, 'ally_1': False, 'ally_2': False}, info {}
#     SMAX, max_steps=10: 11 steps, done {'__all__': True, 'ally_0': False, 'ally_1': False, 'ally_2': False}, info {}
#     MPE simple spread, max_steps=5: 6 steps
#     MPE simple spread, max_steps=25: 26 steps

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "jaxmarl==0.2.0" "jax==0.10.2" "gymnax==0.0.9" "numpy==2.4.6"
export JAX_PLATFORMS=cpu

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import jax
import jax.numpy as jnp
from jaxmarl import make
from jaxmarl.environments.smax import map_name_to_scenario


def play(env):
    """Steps until the end, where all stand still, with the last done flags and info."""
    action = jnp.array(4 if "ally_0" in env.agents else 0)  # SMAX: stop, MPE: no action
    key = jax.random.PRNGKey(0)
    _, state = env.reset(key)
    n_steps, over = 0, False
    while not over:
        key, step_key = jax.random.split(key)
        actions = dict.fromkeys(env.agents, action)
        _, state, _, dones, info = env.step(step_key, state, actions)
        n_steps, over = n_steps + 1, bool(dones["__all__"])
    return n_steps, {name: bool(done) for name, done in dones.items()}, info


scenario = map_name_to_scenario("3s_vs_5z")
found = []
for limit in (3, 5, 10):
    battle = make("HeuristicEnemySMAX", scenario=scenario, max_steps=limit)
    n_steps, dones, info = play(battle)
    found.append(n_steps - limit)
    print(f"SMAX, max_steps={limit}: {n_steps} steps, done {dones}, info {info}")
for options in ({"max_steps": 5}, {}):
    env = make("MPE_simple_spread_v3", **options)
    n_steps, _, _ = play(env)
    found.append(n_steps - env.max_steps)
    print(f"MPE simple spread, max_steps={env.max_steps}: {n_steps} steps")
if set(found) != {1}:
    sys.exit("No longer as stated: an episode does not last one step more than max_steps.")
PYTHON
