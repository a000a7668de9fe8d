#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `LossModule.make_value_estimator` in torchrl/objectives/common.py: the estimator may be an
#   enum member, a class or an instance; and `set_keys`, which names the entries that a loss reads.
# Expected: the loss's keys hold whichever of the three is given.
# Happens: keys that were set before the estimator is chosen reach it with the enum member only. An
#   estimator given as a class or an instance reads "reward", whatever `set_keys(reward=...)` said;
#   the loss then takes another entry's rewards for its own, or fails where there is no such entry.
#   Set after the estimator is chosen, keys reach all three.
# Here: a robust estimator given as a set, a class or an instance is handed the loss's keys.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     keys set before: {'member': 'points', 'class': 'reward', 'instance': 'reward'}
#     keys set after: {'member': 'points', 'class': 'points', 'instance': 'points'}

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "torch==2.13.0" "torchrl==0.14.1" "tensordict==0.14.3" "numpy==2.4.6"
export RL_LOGGING_LEVEL=WARNING  # torchrl's own notes

"$folder/venv/bin/python" - <<'PYTHON'
import sys

from torch import nn
from torchrl.modules import QValueActor
from torchrl.objectives import DQNLoss, ValueEstimators
from torchrl.objectives.value import TD0Estimator


def choose(loss, way):
    if way == "member":
        loss.make_value_estimator(ValueEstimators.TD0, gamma=0.5)
    elif way == "class":
        loss.make_value_estimator(TD0Estimator, gamma=0.5, value_network=None)
    else:
        loss.make_value_estimator(TD0Estimator(gamma=0.5, value_network=None))


def read(way, before):
    actor = QValueActor(nn.Linear(3, 2), in_keys=["observation"], action_space="categorical")
    loss = DQNLoss(actor, action_space="categorical")
    if before:
        loss.set_keys(reward="points")
    choose(loss, way)
    if not before:
        loss.set_keys(reward="points")
    return loss.value_estimator.tensor_keys.reward


found = {}
for name, before in (("before", True), ("after", False)):
    found[name] = {way: read(way, before) for way in ("member", "class", "instance")}
    print(f"keys set {name}: {found[name]}")
expected = {"member": "points", "class": "reward", "instance": "reward"}
if found != {"before": expected, "after": dict.fromkeys(expected, "points")}:
    sys.exit("No longer as stated: keys set before reach estimators that are given as a class or an instance.")
PYTHON
