#!/usr/bin/env bash
#
# Library: tensordict 0.14.3 (with torch 2.13.0).
# Source: `unravel_key` in tensordict/utils.py; its docstring turns a tuple in a tuple into a flat
#   one.
# Expected: ("next", ("agents", "state")) becomes ("next", "agents", "state"), wherever it is
#   called.
# Happens: inside torch.compile it stays nested, because the branch for compiled code rebuilds the
#   tuple key by key. No error: a test such as `key in module.out_keys` is True in eager code and
#   False in compiled code, and the other branch is taken. `backend="eager"` shows it, so that it
#   is the traced Python and not a code generator.
# Here: keys of the next step are put together by `in_next` in torchrl_drigm/objectives/_batch.py,
#   which does not use `unravel_key`.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     eager:    ('next', 'agents', 'state') in out_keys: True
#     compiled: ('next', ('agents', 'state')) in out_keys: False

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "torch==2.13.0" "tensordict==0.14.3" "numpy==2.4.6"

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
from tensordict.nn import TensorDictModule
from tensordict.utils import unravel_key
from torch import nn

module = TensorDictModule(nn.Linear(2, 2), in_keys=["x"], out_keys=[("next", "agents", "state")])


def look(x):
    key = unravel_key(("next", ("agents", "state")))
    return x, key, key in module.out_keys


x = torch.zeros(1)
_, eager_key, eager_found = look(x)
_, compiled_key, compiled_found = torch.compile(look, backend="eager")(x)
print("eager:   ", eager_key, "in out_keys:", eager_found)
print("compiled:", compiled_key, "in out_keys:", compiled_found)
if (eager_found, compiled_found) != (True, False):
    sys.exit("No longer as stated: eager and compiled code agree on the flattened key.")
PYTHON
