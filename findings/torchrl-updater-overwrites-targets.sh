#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `TargetNetUpdater.__init__` and `init_` in torchrl/objectives/utils.py; the docstrings
#   of `SoftUpdate` and `HardUpdate` say that they update target networks, when told to by
#   `step()`.
# Expected: a loss restored by `load_state_dict`, target networks included, goes on from them;
#   building the updater changes no parameter.
# Happens: building either updater copies the online networks into the target networks, without a
#   word. A script that restores its loss and then builds the updater (its order when training
#   began) resumes with target networks that were never there. With a slow soft update that is a
#   jump of all targets.
# Here: the trainer builds the updater first and restores checkpoints afterwards.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     target and online parameters differ by 7.92 where training stopped,
#     by 7.92 in the restored loss, by 0.00 once its updater is built

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "torch==2.13.0" "torchrl==0.14.1" "tensordict==0.14.3" "numpy==2.4.6"
export RL_LOGGING_LEVEL=WARNING  # torchrl's own notes

"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import torch
from torch import nn
from torchrl.modules import QValueActor
from torchrl.objectives import DQNLoss, SoftUpdate

warnings.simplefilter("ignore")  # a loss without a target updater


def make_loss():
    network = nn.Linear(3, 2)
    actor = QValueActor(network, in_keys=["observation"], action_space="categorical")
    return DQNLoss(actor, action_space="categorical")


def distance(loss):
    """Of target and online parameters."""
    online, target = loss.value_network_params, loss.target_value_network_params
    return sum((online[key] - target[key]).abs().sum().item() for key in online.keys(True, True))


torch.manual_seed(0)
trained = make_loss()
updater = SoftUpdate(trained, tau=0.01)
with torch.no_grad():
    for parameter in trained.parameters():
        parameter.add_(1.0)  # stands for training
updater.step()

resumed = make_loss()
resumed.load_state_dict(trained.state_dict())
found = [distance(trained), distance(resumed)]
SoftUpdate(resumed, tau=0.01)
found.append(distance(resumed))
print(f"target and online parameters differ by {found[0]:.2f} where training stopped,")
print(f"by {found[1]:.2f} in the restored loss, by {found[2]:.2f} once its updater is built")
if not (found[0] == found[1] > 0 and found[2] == 0):
    sys.exit("No longer as stated: building the updater leaves the target networks as they were.")
PYTHON
