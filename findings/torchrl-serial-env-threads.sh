#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `BatchedEnvBase.close` in torchrl/envs/batched_envs.py.
# Expected: a `SerialEnv` steps its environments in this process; it takes no threads away, and
#   closing it changes none.
# Happens: `close` raises PyTorch's number of threads by the number of environments, up to what it was
#   when torchrl was imported, as if they had been workers that took one each. A script that has set
#   one thread, such as for small networks, goes on with all cores after the first environment that
#   it closes, be it one of a test. Small networks get several times slower by it.
# Here: copies of an environment keep the number of threads when they are closed.
#
# Seen on 2026-11-29, Python 3.11, Linux, CPU:
#
#     threads at import 4, set 1; after a rollout of SerialEnv(3) 1; after close() 4

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

torch.set_num_threads(4)  # as on a machine of four cores
at_import = torch.get_num_threads()

from tensordict import TensorDict
from torchrl.data import Bounded, Composite, Unbounded
from torchrl.envs import EnvBase, SerialEnv


class Walk(EnvBase):
    """A walk along a line."""

    def __init__(self):
        super().__init__()
        self.observation_spec = Composite(place=Unbounded((1,)))
        self.action_spec = Bounded(-1, 1, (1,))
        self.reward_spec = Unbounded((1,))

    def _reset(self, tensordict=None, **kwargs):
        return TensorDict({"place": torch.zeros(1)})

    def _step(self, tensordict):
        place = tensordict["place"] + tensordict["action"]
        return TensorDict({"place": place, "reward": -place.abs(), "done": torch.zeros(1).bool()})

    def _set_seed(self, seed):
        torch.manual_seed(seed)


torch.set_num_threads(1)
env = SerialEnv(3, Walk)
env.rollout(4)
stepped = torch.get_num_threads()
env.close()
closed = torch.get_num_threads()
print(f"threads at import {at_import}, set 1; after a rollout of SerialEnv(3) {stepped}; "
      f"after close() {closed}")
if (at_import, stepped, closed) != (4, 1, 4):
    sys.exit("No longer as stated: closing a SerialEnv raises the number of threads.")
PYTHON
