#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `Trainer._log` in torchrl/trainers/trainers.py, "Store all values in history regardless of
#   logging frequency".
# Expected: a trainer with a large `log_interval` logs seldom, and holds little.
# Happens: every value of every batch is kept to the end in `_log_dict`, as the tensor that it is,
#   and only `EarlyStopping` reads the last of it. A run of many small batches holds several for each;
#   small tensors that stay among large ones that come and go leave memory in pieces: sixteen runs in
#   one process took 2.3 GB at their peak, and 1.3 GB with numbers in place of tensors.
# Here: runs that are trained together hand numbers to their trainers.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     20 batches, logged 0 times: 20 losses are held, all of them tensors

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "torch==2.13.0" "torchrl==0.14.1" "tensordict==0.14.3" "numpy==2.4.6"
export RL_LOGGING_LEVEL=WARNING  # torchrl's own notes

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from tensordict import TensorDict
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import PendulumEnv
from torchrl.objectives import LossModule
from torchrl.record.loggers import Logger
from torchrl.trainers import Trainer


class Loss(LossModule):
    """The distance of a number from the rewards."""

    def __init__(self):
        super().__init__()
        self.number = nn.Parameter(torch.zeros(()))
        self.in_keys = [("next", "reward")]

    def forward(self, tensordict):
        return TensorDict({"loss": (tensordict["next", "reward"] - self.number).square().mean()})


class Count(Logger):
    """Counts what is logged."""

    def __init__(self):
        self.n = 0

    def log_scalar(self, name, value, step=None):
        self.n += name == "loss"

    def _create_experiment(self):
        return None

    log_video = log_hparams = log_histogram = __repr__ = lambda self, *a, **k: ""


def make():
    loss, logger = Loss(), Count()
    trainer = Trainer(
        collector=Collector(PendulumEnv(), None, frames_per_batch=10, total_frames=200),
        total_frames=200,
        frame_skip=1,
        optim_steps_per_batch=1,
        loss_module=loss,
        optimizer=torch.optim.SGD(loss.parameters(), lr=0.1),
        logger=logger,
        log_interval=1_000_000,
        progress_bar=False,
    )
    return trainer, logger


trainer, logger = make()
trainer.train()
held = trainer._log_dict["loss"]
tensors = all(isinstance(value, torch.Tensor) for value in held)
what = "all of them tensors" if tensors else "not all of them tensors"
print(f"20 batches, logged {logger.n} times: {len(held)} losses are held, {what}")
if (logger.n, len(held), tensors) != (0, 20, True):
    sys.exit("No longer as stated: a trainer does not keep all that it might have logged.")
PYTHON
