#!/usr/bin/env bash
#
# Library: torchrl 0.14.1 (with torch 2.13.0).
# Source: `Transform` in torchrl/envs/transforms/_base.py. Its docstring advises to override
#   `forward` and `inv` for a transform of a replay buffer, and that of `inv` says that
#   `ReplayBuffer.extend` calls it.
# Expected: a transform whose `inv` shrinks the data shrinks what a replay buffer stores.
# Happens: nothing is shrunk, and nothing is said. The buffer wraps its transform into a
#   `Compose`, whose `inv` calls the private `_inv_call` of its members, never their `inv`.
#   Overriding `_inv_call` works.
# Here: NextHistory overrides `_inv_call`, and a test looks into the storage.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     HalfByInv().inv(data): torch.float16
#     stored by a buffer with HalfByInv: torch.float32
#     stored by a buffer with HalfByInvCall: torch.float16

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "torch==2.13.0" "torchrl==0.14.1" "tensordict==0.14.3" "numpy==2.4.6"
export RL_LOGGING_LEVEL=WARNING  # torchrl's own notes

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.envs import Transform


class HalfByInv(Transform):
    def inv(self, tensordict):
        return tensordict.set("observation", tensordict["observation"].half())


class HalfByInvCall(Transform):
    def _inv_call(self, tensordict):
        return tensordict.set("observation", tensordict["observation"].half())


def data():
    return TensorDict({"observation": torch.ones(4, 3)}, [4])


print("HalfByInv().inv(data):", HalfByInv().inv(data())["observation"].dtype)
stored = {}
for transform in (HalfByInv, HalfByInvCall):
    buffer = ReplayBuffer(storage=LazyTensorStorage(8), transform=transform(), batch_size=2)
    buffer.extend(data())
    stored[transform.__name__] = buffer.storage[:]["observation"].dtype
    print(f"stored by a buffer with {transform.__name__}:", stored[transform.__name__])
if stored != {"HalfByInv": torch.float32, "HalfByInvCall": torch.float16}:
    sys.exit("No longer as stated: a replay buffer calls the inv that a transform overrides.")
PYTHON
