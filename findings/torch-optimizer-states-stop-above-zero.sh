#!/usr/bin/env bash
#
# Library: torch 2.13.0, CPU (x86-64).
# Source: torch/optim/adam.py and torch/optim/rmsprop.py, with fused and plain kernels alike;
#   documentation of torch.set_flush_denormal, which does not name optimizers.
# Expected: Adam's mean gradient and RMSprop's mean square of a weight that gets no gradient any
#   more (an embedding's row of an action that is no longer taken, a unit behind a dead ReLU, the
#   network of an agent that is out) decay to 0, and a step takes what it took.
# Happens: they decay below float32's normal range, after about 800 (Adam) and 8,000 (RMSprop)
#   steps, and stop at 6e-45 and 7e-44 for good: four times 1.4e-45, the smallest number there is,
#   times 0.9 is rounded back to four times it, and so is fifty times it by 0.99. Processors
#   compute such numbers slowly, so from then on each step of the optimizer takes longer, of a team
#   that learns on the CPU without anything else having changed. `torch.set_flush_denormal(True)`
#   makes them 0; no weight changes by a bit, as 1e-8 is added to what is divided by.
# Here: `trainers.prepare` calls it, for all runs of `python -m torchrl_drigm`; docs/your_script.md
#   says so to those with a script of their own.
#
# Seen on 2026-11-30, Python 3.11, Linux, an Intel Xeon (times depend on it):
#
#     Adam, 2,000 steps, flush=False: 100% of the states are not 0, the largest is 4 x 1.4e-45; 0.29 ms a step, then 0.75
#     Adam, 2,000 steps, flush=True: 0% of the states are not 0, the largest is 0 x 1.4e-45; 0.28 ms a step, then 0.28
#       same weights, to the last bit: True
#     Adam, fused, 2,000 steps, flush=False: 100% of the states are not 0, the largest is 4 x 1.4e-45; 0.16 ms a step, then 0.67
#     Adam, fused, 2,000 steps, flush=True: 0% of the states are not 0, the largest is 0 x 1.4e-45; 0.13 ms a step, then 0.16
#       same weights, to the last bit: True
#     RMSprop, 16,000 steps, flush=False: 100% of the states are not 0, the largest is 50 x 1.4e-45; 0.18 ms a step, then 0.86
#     RMSprop, 16,000 steps, flush=True: 0% of the states are not 0, the largest is 0 x 1.4e-45; 0.19 ms a step, then 0.33
#       same weights, to the last bit: True

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "torch==2.13.0" "numpy==2.4.6"

"$folder/venv/bin/python" - <<'PYTHON'
import statistics
import sys
import time

import torch

torch.set_num_threads(1)
SMALLEST = 2.0**-149


def train(make, key, n_steps, flush):
    """A layer of which 3 of 4 rows get one gradient: their states, weights, ms early and late."""
    torch.set_flush_denormal(flush)
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(1024, 64))
    optimizer = make([weight])
    gradient = torch.randn(1024, 64) * 1e-2
    seconds = []
    for step in range(n_steps):
        weight.grad = gradient.clone()
        if step:
            weight.grad[256:] = 0.0
        start = time.perf_counter()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    torch.set_flush_denormal(False)
    early, late = (1e3 * statistics.median(part) for part in (seconds[10:110], seconds[-100:]))
    return optimizer.state[weight][key][256:], weight.detach(), early, late


CASES = {
    "Adam": (torch.optim.Adam, {}, "exp_avg", 2_000),
    "Adam, fused": (torch.optim.Adam, {"fused": True}, "exp_avg", 2_000),
    "RMSprop": (torch.optim.RMSprop, {}, "square_avg", 16_000),
}
as_stated = True
for name, (kind, options, key, n_steps) in CASES.items():
    weights = {}
    for flush in (False, True):
        state, weights[flush], early, late = train(
            lambda parameters: kind(parameters, lr=1e-3, **options), key, n_steps, flush
        )
        left = (state != 0).float().mean().item()
        most = state.abs().max().item() / SMALLEST
        print(
            f"{name}, {n_steps:,} steps, flush={flush}: {left:.0%} of the states are not 0, "
            f"the largest is {most:.0f} x 1.4e-45; {early:.2f} ms a step, then {late:.2f}"
        )
        as_stated &= (left == 0) if flush else (left > 0.99 and most < 100)
    same = torch.equal(weights[False], weights[True])
    as_stated &= same
    print(f"  same weights, to the last bit: {same}")
if not as_stated:
    sys.exit("No longer as stated: states decay to 0, or flushing changes weights.")
PYTHON
