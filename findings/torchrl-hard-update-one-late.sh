#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `HardUpdate` in torchrl/objectives/utils.py: "value_network_update_interval: how often
#   the target network should be updated".
# Expected: with an interval of n, every n-th call of `step()` copies; with 1, each call.
# Happens: every (n + 1)-th call copies. With an interval of 1 the target network is copied at
#   every second call, and the schedule of a published configuration drifts.
# Here: the trainer passes its `target.interval` less 1.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     interval 1: copied by calls [2, 4, 6, 8, 10, 12]
#     interval 3: copied by calls [4, 8, 12]
#     interval 5: copied by calls [6, 12]

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
from torch import nn
from torchrl.modules import QValueActor
from torchrl.objectives import DQNLoss, HardUpdate


def copies(interval, calls=12):
    network = nn.Linear(3, 2)
    actor = QValueActor(network, in_keys=["observation"], action_space="categorical")
    loss = DQNLoss(actor, action_space="categorical")
    updater = HardUpdate(loss, value_network_update_interval=interval)
    at = []
    for call in range(1, calls + 1):
        with torch.no_grad():
            network.weight.add_(1.0)
        updater.step()
        if any(torch.equal(buffer, network.weight) for buffer in loss.buffers()):
            at.append(call)
    return at


found = {interval: copies(interval) for interval in (1, 3, 5)}
for interval, at in found.items():
    print(f"interval {interval}: copied by calls {at}")
if found != {1: [2, 4, 6, 8, 10, 12], 3: [4, 8, 12], 5: [6, 12]}:
    sys.exit("No longer as stated: HardUpdate does not copy at every (interval + 1)-th call.")
PYTHON
