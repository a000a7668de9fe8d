#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `ActionMask._reset` in torchrl/envs/transforms/_action.py; its docstring says that the
#   transform keeps the mask of the environment's action spec, so that random actions are allowed
#   ones.
# Expected: that holds around a `SerialEnv` whose environments end at different times, and in
#   `rollout` and collectors, which then reset some of them alone.
# Happens: the spec's mask is set from what the reset gives, in which an environment that was not
#   reset has the observation of its last reset. For one step, random actions are drawn by the mask
#   of that environment's first step: forbidden ones among them. The mask in the data is right.
# Here: exploration reads the mask in the data, never the spec's.
#
# Seen on 2026-11-29, Python 3.11, Linux, CPU:
#
#     first steps, allowed action, mask of the spec:
#       step 1: (1, 1), (1, 1)
#       step 2: (0, 1), (0, 0)  <- differs
#       step 3: (1, 0), (0, 0)  <- differs
#       step 4: (0, 1), (0, 0)  <- differs
#       step 5: (1, 1), (1, 1)
#       step 6: (0, 0), (0, 0)

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
from torchrl.data import Binary, Categorical, Composite, Unbounded
from torchrl.envs import ActionMask, EnvBase, SerialEnv, TransformedEnv


class Door(EnvBase):
    """Action 0 at the first step of an episode, action 1 at all others."""

    def __init__(self, length):
        super().__init__()
        self.length = length
        self.action_spec = Categorical(2)
        self.reward_spec = Unbounded((1,))
        self.observation_spec = Composite(action_mask=Binary(2, dtype=torch.bool))

    def _mask(self):
        return {"action_mask": torch.tensor([self.t == 0, self.t > 0])}

    def _reset(self, tensordict=None):
        self.t = 0
        return TensorDict(self._mask())

    def _step(self, tensordict):
        self.t += 1
        done = torch.tensor([self.t >= self.length])
        return TensorDict({**self._mask(), "reward": torch.zeros(1), "done": done})

    def _set_seed(self, seed):
        pass


env = TransformedEnv(SerialEnv(2, [lambda: Door(2), lambda: Door(3)]), ActionMask())
data, differing = env.reset(), 0
print("first steps, allowed action, mask of the spec:")
for step in range(1, 7):
    data["action"] = data["action_mask"].long().argmax(-1)
    data = env.step_and_maybe_reset(data)[1]
    allowed = tuple(data["action_mask"].long().argmax(-1).tolist())
    spec = tuple(env.full_action_spec["action"].mask.long().argmax(-1).tolist())
    differing += allowed != spec
    print(f"  step {step}: {allowed}, {spec}", "" if allowed == spec else " <- differs")
if differing != 3:
    sys.exit("No longer as stated: the mask of the spec follows a reset of some environments.")
PYTHON
