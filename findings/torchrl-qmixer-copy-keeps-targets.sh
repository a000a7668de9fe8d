#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `QMixerLoss._cached_target_params` in torchrl/objectives/multiagent/qmixer.py, and
#   `_cache_values` in torchrl/objectives/utils.py.
# Expected: `copy.deepcopy(loss)` is a loss of its own, whose target networks are its target_*
#   buffers.
# Happens: a loss that has computed once holds its target parameters in a private cache. A deep
#   copy copies the cache apart from the buffers: writing to the copy's target buffers, by hand or
#   by a target updater, no longer changes what the copy computes. A copy taken before the first
#   call is fine.
# Here: copies and pickles of the package's losses leave the cache behind.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     loss: 5.9744
#     all target parameters set to 0, original: 4.9102
#     all target parameters set to 0, copy of it, unused: 4.9102
#     all target parameters set to 0, copy, used: 5.9744

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "torch==2.13.0" "torchrl==0.14.1" "tensordict==0.14.3" "numpy==2.4.6"
export RL_LOGGING_LEVEL=WARNING  # torchrl's own notes

"$folder/venv/bin/python" - <<'PYTHON'
import copy
import sys
import warnings

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import QValueModule, SafeSequential
from torchrl.modules.models.multiagent import VDNMixer
from torchrl.objectives.multiagent import QMixerLoss

warnings.simplefilter("ignore")  # a loss without a target updater

N_AGENTS, N_ACTIONS = 2, 4
ACTION, VALUES, CHOSEN = (
    ("agents", key) for key in ("action", "action_value", "chosen_action_value")
)


def make_loss():
    network = TensorDictModule(
        nn.Linear(3, N_ACTIONS), in_keys=[("agents", "observation")], out_keys=[VALUES]
    )
    head = QValueModule("categorical", action_value_key=VALUES, out_keys=[ACTION, VALUES, CHOSEN])
    mixer = TensorDictModule(
        VDNMixer(n_agents=N_AGENTS, device="cpu"),
        in_keys=[CHOSEN],
        out_keys=["chosen_action_value"],
    )
    return QMixerLoss(SafeSequential(network, head), mixer, action_space="categorical")


def make_batch(size):
    flags = torch.zeros(size, 1, dtype=torch.bool)
    agents = TensorDict({"observation": torch.randn(size, N_AGENTS, 3)}, [size, N_AGENTS])
    next_agents = TensorDict({"observation": torch.randn(size, N_AGENTS, 3)}, [size, N_AGENTS])
    agents["action"] = torch.randint(N_ACTIONS, (size, N_AGENTS))
    after = {"agents": next_agents, "reward": torch.randn(size, 1)}
    after |= {"done": flags, "terminated": flags.clone()}
    return TensorDict({"agents": agents, "next": after}, [size])


def set_targets_to_zero(loss):
    for name, buffer in loss.named_buffers():
        if name.startswith("target_"):
            buffer.zero_()


torch.manual_seed(0)
loss, batch = make_loss(), make_batch(4)
unused_copy = copy.deepcopy(loss)
before = loss(batch)["loss"].item()
used_copy = copy.deepcopy(loss)
print(f"loss: {before:.4f}")
after = {}
for name, each in {
    "original": loss,
    "copy of it, unused": unused_copy,
    "copy, used": used_copy,
}.items():
    set_targets_to_zero(each)
    after[name] = each(batch)["loss"].item()
    print(f"all target parameters set to 0, {name}: {after[name]:.4f}")
if after["copy, used"] != before or after["original"] == before:
    sys.exit("No longer as stated: the copy's loss follows the copy's target parameters.")
PYTHON
