#!/usr/bin/env bash
#
# Library: jaxmarl 0.2.0 (with jax 0.10.2, gymnax 0.0.9).
# Source: `get_heuristic_policy_initial_state` in
#   jaxmarl/environments/smax/heuristic_enemy.py (-1); "Weakly-typed values" in JAX's page on type
#   promotion: whether a type is weak belongs to what a program is compiled for.
# Expected: a compiled `step` takes the state of `reset` and its own, which have the same types.
# Happens: `last_attacked_enemy` comes from `reset` as a weak int32, made of an int of Python, and
#   from `step_env` as a strong one. So the first step of the first episode compiles a program of
#   its own, and the second step compiles it all again, seconds each.
# Here: a test counts that the wrapper's programs are compiled once.
#
# Seen on 2026-12-01, Python 3.11, Linux, CPU:
#
#     Importing submoduled environments...
#     Submoduled environments not found. Skipping import.
#     .enemy_policy_state.last_attacked_enemy: int32, weak at reset True, later False
#     programs for three steps: 2; 1 if the types of reset are made strong

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

battle = make("HeuristicEnemySMAX", scenario=map_name_to_scenario("3s_vs_5z"))
stop = dict.fromkeys(battle.agents, jnp.array(4, jnp.int32))
key = jax.random.PRNGKey(0)
_, fresh = battle.reset(key)


@jax.jit
def step(state):
    return battle.step_env(key, state, stop)[1]


def programs_of(state):
    """How many programs three steps from a state are compiled to."""
    jax.clear_caches()
    for _ in range(3):
        state = step(state)
    return step._cache_size(), state


twice, later = programs_of(fresh)
for (path, before), after in zip(
    jax.tree_util.tree_leaves_with_path(fresh), jax.tree.leaves(later), strict=True
):
    if before.weak_type != after.weak_type:
        name = jax.tree_util.keystr(path)
        print(f"{name}: {before.dtype}, weak at reset {before.weak_type}, later {after.weak_type}")
once, _ = programs_of(jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), fresh))
print(f"programs for three steps: {twice}; {once} if the types of reset are made strong")
if (twice, once) != (2, 1):
    sys.exit("No longer as stated: a step compiles once for the state of reset and its own.")
PYTHON
