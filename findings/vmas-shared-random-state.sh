#!/usr/bin/env bash
#
# Library: vmas 1.5.2 (with torch 2.13.0).
# Source: `Environment.vmas_random_state` in vmas/simulator/environment/environment.py; `make_env`
#   takes a `seed` for the environment, and the library keeps its random numbers apart from
#   torch's own (its pull request 154), so that each environment may be thought to have its own.
# Expected: an environment made with seed 0 gives the episodes of seed 0, whatever other
#   environments do.
# Happens: the state is one for all environments of a process, and making an environment with a
#   seed sets it. Whoever makes a seeded environment to evaluate in rewinds the one that trains:
#   if that is done after every episode, training repeats one and the same episode.
# Here: examples/vmas_rqmix.py trains and evaluates in one environment.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     seed 0, alone:                               (-0.089, 0.265) (0.395, 0.6) (-0.63, -0.253) (0.053, -0.513)
#     seed 0, another one of seed 1 made before:   (0.365, -0.39) (-0.32, 0.048) (0.66, -0.911) (0.981, -0.423)
#     seed 0, one of seed 1 made after each start: (-0.089, 0.265) (0.365, -0.39) (0.365, -0.39) (0.365, -0.39)

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "torch==2.13.0" "vmas==1.5.2" "numpy==2.4.6"

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import vmas


def make(seed):
    return vmas.make_env("navigation", num_envs=1, n_agents=2, seed=seed)


def start(env):
    """Where the first agent starts the next episode."""
    return tuple(round(x, 3) for x in env.reset()[0][0, :2].tolist())


env = make(seed=0)
alone = [start(env) for _ in range(4)]
print("seed 0, alone:                              ", *alone)

env, other = make(seed=0), make(seed=1)
beside = [start(env) for _ in range(4)]
print("seed 0, another one of seed 1 made before:  ", *beside)

env, rewound = make(seed=0), []
for _ in range(4):
    rewound.append(start(env))
    make(seed=1)  # to evaluate in
print("seed 0, one of seed 1 made after each start:", *rewound)
if beside == alone or len(set(rewound[1:])) != 1 or len(set(alone)) != 4:
    sys.exit("No longer as stated: other environments do not change the episodes of a seeded one.")
PYTHON
