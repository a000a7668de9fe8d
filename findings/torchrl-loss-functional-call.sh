#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `LossModule.named_parameters` in torchrl/objectives/common.py; the documentation of
#   torch.func.functional_call, which takes any nn.Module.
# Expected: a loss, being an nn.Module, can be called with other parameters by
#   `torch.func.functional_call(loss, parameters, (batch,))`, for per-sample gradients or an
#   ensemble.
# Happens: TypeError, for every loss of the library. LossModule overrides `named_parameters`
#   without the argument `remove_duplicate` of nn.Module's, which functional_call passes. With
#   tensordict's own way, `with parameters.to_module(loss)`, it works.
# Here: the package's losses are tested with `parameters.to_module(loss)`.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     loss 1.4913, with doubled parameters by to_module 3.6523
#     functional_call: TypeError: LossModule.named_parameters() got an unexpected keyword argument 'remove_duplicate'

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
from torch import nn
from torchrl.modules import QValueActor
from torchrl.objectives import DQNLoss

warnings.simplefilter("ignore")  # a loss without a target updater

torch.manual_seed(0)
actor = QValueActor(nn.Linear(3, 2), in_keys=["observation"], action_space="categorical")
loss = DQNLoss(actor, action_space="categorical")
flags = torch.zeros(4, 1, dtype=torch.bool)
after = {"observation": torch.randn(4, 3), "reward": torch.randn(4, 1)}
batch = TensorDict(
    {
        "observation": torch.randn(4, 3),
        "action": torch.zeros(4, dtype=torch.int64),
        "next": {**after, "done": flags, "terminated": flags.clone()},
    },
    [4],
)
parameters = TensorDict.from_module(loss)
with (2 * parameters.data).to_module(loss):
    doubled = loss(batch)["loss"].item()
print(f"loss {loss(batch)['loss'].item():.4f}, with doubled parameters by to_module {doubled:.4f}")
try:
    others = {name: 2 * value for name, value in loss.named_parameters()}
    torch.func.functional_call(loss, others, (batch,))
except TypeError as error:
    print(f"functional_call: {type(error).__name__}: {error}")
else:
    sys.exit("No longer as stated: torch.func.functional_call takes a LossModule.")
PYTHON
