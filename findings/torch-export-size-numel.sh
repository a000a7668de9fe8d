#!/usr/bin/env bash
#
# Library: torch 2.13.0.
# Source: `torch.Size.numel()`, "the number of elements a tensor with the given size would contain",
#   and `dynamic_shapes` of `torch.export.export`.
# Expected: `x.shape[:-1].numel()` and `math.prod(x.shape[:-1])` are the same number, and a module
#   that reshapes by either is exported for batches of any size.
# Happens: only with `math.prod`. `numel()` is computed outside of what is traced, fixes the batch to
#   that of the example, and the export is refused: it names the dimension, not the line.
# Here: agents' batches are flattened by `math.prod`, so that a trained team can be exported.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     Size.numel(): refused, UserError: Constraints violated (batch)! For more information, run with T
#     math.prod: exported, a batch of 7 gives (7, 4)

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "torch==2.13.0" "numpy==2.4.6"

"$folder/venv/bin/python" - <<'PYTHON'
import logging
import math
import sys

import torch

logging.disable(logging.CRITICAL)  # torch's own notes on the refusal


class Doubled(torch.nn.Module):
    def __init__(self, count):
        super().__init__()
        self.count = count

    def forward(self, x):
        return 2.0 * x.reshape(self.count(x.shape[:-1]), x.shape[-1])


exported = {}
for name, count in (("Size.numel()", lambda size: size.numel()), ("math.prod", math.prod)):
    batch = torch.export.Dim("batch", min=1)
    try:
        program = torch.export.export(
            Doubled(count), (torch.zeros(3, 4),), dynamic_shapes=({0: batch},)
        )
    except Exception as error:
        exported[name] = False
        print(f"{name}: refused, {type(error).__name__}: {str(error).splitlines()[0][:62]}")
    else:
        exported[name] = True
        print(f"{name}: exported, a batch of 7 gives {tuple(program.module()(torch.zeros(7, 4)).shape)}")
if exported != {"Size.numel()": False, "math.prod": True}:
    sys.exit("No longer as stated: Size.numel() no longer fixes a dynamic dimension.")
PYTHON
