#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `LossModule` in torchrl/objectives/common.py, whose docstring promises that padded
#   positions are left out of the mean through `loss_mask_key`, by default by ("collector",
#   "mask"); `DQNLoss` does it. Pull request 3888 of pytorch/rl, which moved the remaining losses
#   to it, left this one out.
# Expected: QMixerLoss, a LossModule, averages over the steps that the mask marks as valid.
# Happens: it takes the mean over all steps, padding included. Setting `loss_mask_key` by hand is
#   accepted and changes nothing. Who pads episodes for QMIX trains on the padding, in silence.
# Here: RobustQMixerLoss and RobustQTRANLoss obey `loss_mask_key`.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     DQNLoss    no mask 2.1037, mask 1.5187, mask named 1.5187 (valid steps only: 1.5187)
#     QMixerLoss no mask 3.1407, mask 3.1407, mask named 3.1407 (valid steps only: 2.0986)

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
from torchrl.modules import QValueActor, QValueModule, SafeSequential
from torchrl.modules.models.multiagent import VDNMixer
from torchrl.objectives import DQNLoss
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


torch.manual_seed(0)
actor = QValueActor(nn.Linear(3, N_ACTIONS), in_keys=["observation"], action_space="categorical")
dqn = DQNLoss(actor, action_space="categorical")
flags = torch.zeros(4, 1, dtype=torch.bool)
after = {"observation": torch.randn(4, 3), "reward": torch.randn(4, 1), "done": flags}
single = TensorDict(
    {
        "observation": torch.randn(4, 3),
        "action": torch.randint(N_ACTIONS, (4,)),
        "next": {**after, "terminated": flags.clone()},
    },
    [4],
)
mask = torch.tensor([[True], [True], [False], [False]])
changed = {}
for name, loss, batch in [("DQNLoss", dqn, single), ("QMixerLoss", make_loss(), make_batch(4))]:
    plain = loss(batch)["loss"].item()
    first_half = batch["td_error"][:2].mean().item()
    batch["collector", "mask"] = mask
    automatic = loss(batch)["loss"].item()
    loss.loss_mask_key = ("collector", "mask")
    named = loss(batch)["loss"].item()
    changed[name] = automatic != plain or named != plain
    print(f"{name:10s} no mask {plain:.4f}, mask {automatic:.4f}, mask named {named:.4f}", end="")
    print(f" (valid steps only: {first_half:.4f})")
if changed != {"DQNLoss": True, "QMixerLoss": False}:
    sys.exit("No longer as stated: QMixerLoss leaves out masked steps, or DQNLoss does not.")
PYTHON
