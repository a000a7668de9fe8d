#!/usr/bin/env bash
#
# Library: torch 2.13.0.
# Source: `torch.optim.Adam(fused=True)` on the CPU. Its page calls the fused form an implementation
#   of the same update; `Tensor.grad` may be any tensor of the parameter's shape.
# Expected: the same step in every form, whatever the layout of the gradient's memory.
# Happens: the fused form walks through the memory of parameter and gradient side by side. Where the
#   gradient is a transposed view, as `torch.autograd.grad` gives it for the weight of a batched
#   product, every number is stepped by another number's gradient. There is no error. `backward()`
#   itself copies a gradient into the layout of its parameter, so only those that are set by hand
#   are met. Adagrad, SGD and AdamW in fused form do the same.
# Here: gradients that are set are made contiguous first.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU: largest difference from the form that is not fused
#
#     Adam     contiguous 0.000, transposed 0.200
#     AdamW    contiguous 0.000, transposed 0.200
#     Adagrad  contiguous 0.000, transposed 0.200
#     SGD      contiguous 0.000, transposed 0.200

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "torch==2.13.0" "numpy==2.4.6"

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch

# +1 above the diagonal, -1 below it
gradient = torch.ones(4, 4).triu(1) - torch.ones(4, 4).tril(-1)
transposed = gradient.t().contiguous().t()
assert torch.equal(gradient, transposed) and not transposed.is_contiguous()


def stepped(kind, given, fused):
    parameter = torch.nn.Parameter(torch.zeros(4, 4))
    parameter.grad = given
    kind([parameter], lr=0.1, fused=fused).step()
    return parameter.detach()


found = {}
for name in ("Adam", "AdamW", "Adagrad", "SGD"):
    kind = getattr(torch.optim, name)
    expected = stepped(kind, gradient.clone(), fused=False)
    found[name] = [
        (stepped(kind, given, fused=True) - expected).abs().max().item()
        for given in (gradient.clone(), transposed)
    ]
    print(f"{name:8} contiguous {found[name][0]:.3f}, transposed {found[name][1]:.3f}")
if any(same > 1e-6 or other < 0.1 for same, other in found.values()):
    sys.exit("No longer as stated: the fused step does not depend on the gradient's layout.")
PYTHON
