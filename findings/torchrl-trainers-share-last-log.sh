#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `Trainer` in torchrl/trainers/trainers.py: "log_interval: how often the values should be
#   logged". Its `__new__` makes the dictionary of when each metric was last logged, and gives it to
#   the class.
# Expected: each trainer logs every `log_interval` frames of its own.
# Happens: trainers that were built before the first of them trained have one dictionary. What one
#   has logged counts for the other, too: the second one logs nothing until it has more frames than
#   the first one ended with. There is no warning; its file of metrics is empty.
# Here: the trainer is given a dictionary of its own.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     built together:    first logged 20 times, second 0 times
#     built in turn:     first logged 20 times, second 20 times

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
        log_interval=9,
        progress_bar=False,
    )
    return trainer, logger


(first, one), (second, two) = make(), make()
first.train()
second.train()
print(f"built together:    first logged {one.n} times, second {two.n} times")
third, three = make()
third.train()
fourth, four = make()
fourth.train()
print(f"built in turn:     first logged {three.n} times, second {four.n} times")
if (one.n, two.n, three.n, four.n) != (20, 0, 20, 20):
    sys.exit("No longer as stated: trainers of one process do not share what they have logged.")
PYTHON
