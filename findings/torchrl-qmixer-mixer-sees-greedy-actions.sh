#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `QMixerLoss.forward` in torchrl/objectives/multiagent/qmixer.py; the docstring calls
#   ("agents", "action") "the input tensordict key where the action is expected".
# Expected: a mixer that also reads ("agents", "action"), as those of QPLEX and other joint-action
#   methods do, gets the actions of the data, whose values it is to mix.
# Happens: the local network runs first and overwrites the actions by its greedy ones in the copy
#   that the mixer reads. It mixes the values of the actions taken, beside actions that nobody
#   took.
# Here: RobustQMixerLoss puts the actions of the data back before the mixer runs.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     actions in the data:           [[0, 0], [1, 1], [2, 0]]
#     actions that the mixer sees:   [[1, 0], [2, 3], [2, 1]]
#     greedy actions of the network: [[1, 0], [2, 3], [2, 1]]

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
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import QValueModule, SafeSequential
from torchrl.objectives.multiagent import QMixerLoss

warnings.simplefilter("ignore")  # a loss without a target updater

N_AGENTS, N_ACTIONS = 2, 4
ACTION, VALUES, CHOSEN = (
    ("agents", key) for key in ("action", "action_value", "chosen_action_value")
)
seen = []


class Mixer(nn.Module):
    def forward(self, value, action):
        seen.append(action.flatten(1).tolist())
        return value.sum(-2)


torch.manual_seed(0)
network = TensorDictModule(
    nn.Linear(3, N_ACTIONS), in_keys=[("agents", "observation")], out_keys=[VALUES]
)
head = QValueModule("categorical", action_value_key=VALUES, out_keys=[ACTION, VALUES, CHOSEN])
mixer = TensorDictModule(Mixer(), in_keys=[CHOSEN, ACTION], out_keys=["chosen_action_value"])
loss = QMixerLoss(SafeSequential(network, head), mixer, action_space="categorical")

observation, next_observation = torch.randn(2, 3, N_AGENTS, 3)
action = torch.randint(N_ACTIONS, (3, N_AGENTS))
flags = torch.zeros(3, 1, dtype=torch.bool)
agents = TensorDict({"observation": observation, "action": action}, [3, N_AGENTS])
after = {"agents": TensorDict({"observation": next_observation}, [3, N_AGENTS])}
after |= {"reward": torch.zeros(3, 1), "done": flags, "terminated": flags.clone()}
loss(TensorDict({"agents": agents, "next": after}, [3]))

taken, greedy = action.tolist(), network.module(observation).argmax(-1).tolist()
print("actions in the data:          ", taken)
print("actions that the mixer sees:  ", seen[0])
print("greedy actions of the network:", greedy)
if seen[0] != greedy or seen[0] == taken:
    sys.exit("No longer as stated: the mixer sees the actions of the data.")
PYTHON
