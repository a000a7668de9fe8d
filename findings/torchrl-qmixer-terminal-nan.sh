#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `QValueModule.forward` in torchrl/modules/tensordict_module/actors.py (argument
#   `action_mask_key`) and `td0_return_estimate` in torchrl/objectives/value/functional.py.
# Expected: what follows a terminal transition does not count, whatever it holds. An environment
#   whose agents have no legal action when the episode is over may say so in their masks.
# Happens: the module gives forbidden actions the lowest float. Where no action is legal that is
#   the greedy value, the mixer's sum over two agents overflows to -inf, and the estimator
#   multiplies it by (1 - terminated) = 0: NaN. One such terminal transition makes the loss of the
#   whole batch NaN, and every gradient. With a single agent, or one legal action, nothing is
#   seen.
# Here: on terminal and masked steps the package's losses do not look at the next mask (tested in
#   tests/objectives/test_what_is_refused.py).
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     terminal step, all next actions legal: loss 5.8189, gradients finite: True
#     terminal step, no next action legal  : loss nan, gradients finite: False
#     squared errors of the batch: [nan, 19.51048469543457, 0.018673937767744064, 0.0885208323597908]

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
from torchrl.modules.models.multiagent import VDNMixer
from torchrl.objectives.multiagent import QMixerLoss

warnings.simplefilter("ignore")  # a loss without a target updater

MASK = ("agents", "action_mask")

N_AGENTS, N_ACTIONS = 2, 4
ACTION, VALUES, CHOSEN = (
    ("agents", key) for key in ("action", "action_value", "chosen_action_value")
)


def make_loss():
    network = TensorDictModule(
        nn.Linear(3, N_ACTIONS), in_keys=[("agents", "observation")], out_keys=[VALUES]
    )
    head = QValueModule(
        "categorical",
        action_value_key=VALUES,
        out_keys=[ACTION, VALUES, CHOSEN],
        action_mask_key=MASK,
    )
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
    for each in (agents, next_agents):
        each["action_mask"] = torch.ones(size, N_AGENTS, N_ACTIONS, dtype=torch.bool)
    after = {"agents": next_agents, "reward": torch.randn(size, 1)}
    after |= {"done": flags, "terminated": flags.clone()}
    return TensorDict({"agents": agents, "next": after}, [size])


torch.manual_seed(0)
loss, batch = make_loss(), make_batch(4)
batch["next", "done"][0] = batch["next", "terminated"][0] = True


def report(text):
    value = loss(batch)["loss"]
    gradients = torch.autograd.grad(value, list(loss.parameters()))
    finite = all(gradient.isfinite().all() for gradient in gradients)
    print(f"{text}: loss {value.item():.4f}, gradients finite: {finite}")
    return value


legal = report("terminal step, all next actions legal")
batch["next", "agents", "action_mask"][0] = False
none_legal = report("terminal step, no next action legal  ")
print("squared errors of the batch:", batch["td_error"].squeeze(-1).tolist())
if not (legal.isfinite() and none_legal.isnan()):
    sys.exit("No longer as stated: the mask of a terminal state's actions does not make NaN.")
PYTHON
