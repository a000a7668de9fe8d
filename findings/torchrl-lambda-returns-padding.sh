#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `split_trajectories` in torchrl/collectors/utils.py, which writes ("collector", "mask"),
#   and the page on data layout of TorchRL's documentation, by which losses and advantage
#   estimators leave out what that mask marks as padding.
# Expected: `TDLambdaEstimator` ends a trajectory where its mask does. One that the end of a batch
#   cut short (no done flag) bootstraps from its last next value, as it does when it is passed on
#   its own.
# Happens: the mask is not read. The padding is taken for the future of the trajectory, and what
#   stands in it enters the returns of valid steps. Only the longest trajectory of a batch is
#   right. By hand, with discount 0.5, λ = 1, rewards 1 and next values 4, the second trajectory
#   has the returns 1 + 0.5 (1 + 0.5 4) = 2.5 and 1 + 0.5 4 = 3.
# Here: the package's losses cut a trajectory before a masked step, for TorchRL's estimators too.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     mask: [[True, True, True], [True, True, False]]
#     second trajectory on its own: [2.5, 3.0]
#     second trajectory, padded:    [1.5, 1.0]
#     the same, with reward 100 in the padding: [26.5, 51.0]

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
from torchrl.collectors.utils import split_trajectories
from torchrl.objectives.value import TDLambdaEstimator

ones, flags = torch.ones(5, 1), torch.zeros(5, 1, dtype=torch.bool)
after = {"reward": ones, "state_value": 4 * ones, "done": flags, "terminated": flags.clone()}
steps = TensorDict(
    {
        "collector": {"traj_ids": torch.tensor([0, 0, 0, 1, 1])},
        "state_value": 4 * ones,
        "next": after,
    },
    [5],
)
estimator = TDLambdaEstimator(gamma=0.5, lmbda=1.0, value_network=None)


def returns(data):
    return estimator.value_estimate(data).squeeze(-1).tolist()


padded = split_trajectories(steps)
alone, together = returns(steps[3:].unsqueeze(0))[0], returns(padded)
print("mask:", padded["collector", "mask"].tolist())
print("second trajectory on its own:", alone)
print("second trajectory, padded:   ", together[1][:2])
padded["next", "reward"][1, 2] = 100.0
other = returns(padded)
print("the same, with reward 100 in the padding:", other[1][:2])
if alone != [2.5, 3.0] or together[1][:2] == alone or other[1][:2] == together[1][:2]:
    sys.exit("No longer as stated: the returns of valid steps do not depend on the padding.")
PYTHON
