#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `TDLambdaEstimator` in torchrl/objectives/value/advantages.py, whose default is
#   `vectorized=True`; `_geom_series_like` in torchrl/objectives/value/utils.py.
# Expected: λ = 0 is one-step TD, the natural end of a sweep over λ, and a discount of 0 leaves
#   the reward. Both are in the range that the estimator takes, and both work with
#   `vectorized=False`.
# Happens: IndexError: tuple index out of range. For a series of factor 0 `_geom_series_like`
#   returns a tensor without the dimension that its caller reads.
# Here: λ-returns take TorchRL's recursion in place of its vectorised form where the factor is 0.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     gamma 0.9, lmbda 0.5: vectorised [1.7436, 1.6525, 1.45, 1.0], recursion the same
#     gamma 0.9, lmbda 0.0: vectorised IndexError, recursion [1.0, 1.0, 1.0, 1.0]
#     gamma 0.0, lmbda 0.5: vectorised IndexError, recursion [1.0, 1.0, 1.0, 1.0]

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "torch==2.13.0" "torchrl==0.14.1" "tensordict==0.14.3" "numpy==2.4.6"
export RL_LOGGING_LEVEL=WARNING  # torchrl's own notes

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
from tensordict import TensorDict
from torchrl.objectives.value import TDLambdaEstimator

flags = torch.zeros(1, 4, 1, dtype=torch.bool)
data = TensorDict(
    {"next": {"reward": torch.ones(1, 4, 1), "done": flags, "terminated": flags}}, [1, 4]
)


def returns(gamma, lmbda, vectorized):
    estimator = TDLambdaEstimator(
        gamma=gamma, lmbda=lmbda, value_network=None, vectorized=vectorized
    )
    try:
        found = estimator.value_estimate(data, next_value=torch.zeros(1, 4, 1))
    except IndexError:
        return "IndexError"
    return [round(value, 4) for value in found.flatten().tolist()]


seen = {}
for gamma, lmbda in ((0.9, 0.5), (0.9, 0.0), (0.0, 0.5)):
    fast, slow = (returns(gamma, lmbda, vectorized) for vectorized in (True, False))
    seen[gamma, lmbda] = fast, slow
    print(f"gamma {gamma}, lmbda {lmbda}: vectorised {fast}, recursion "
          f"{'the same' if fast == slow else slow}")
raised = ("IndexError", [1.0] * 4)
if seen[0.9, 0.5][0] != seen[0.9, 0.5][1] or seen[0.9, 0.0] != raised or seen[0.0, 0.5] != raised:
    sys.exit("No longer as stated: λ = 0 and γ = 0 raise in the vectorised return alone.")
PYTHON
