"""What each faster way brings: the time of an update without it, over that with it.

    python benchmarks/fast_ways.py
    python benchmarks/fast_ways.py --case "mixer=qtran mixer.deviation_weight=null" --repeats 100

For every way a trainer is built with it switched off. All of them make updates in turn, and the
time is that of the processor. An update is: sample, loss, backward, clip, optimizer, target. A way
that a case does not take has a ratio of one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from statistics import median
from unittest.mock import patch

import torch
from _timing import Table, print_header, ratios, show
from _training import build_trainer, compose_config, update
from torchrl import logger as torchrl_logger
from torchrl.objectives import SoftUpdate

from torchrl_drigm.modules.models._multiagent_rnn import MultiAgentRNN
from torchrl_drigm.objectives.multiagent import _joint_actions, _networks
from torchrl_drigm.trainers import next_values, optimizers, targets


def torchs_rmsprop(parameters, lr, fused=None):
    return torch.optim.RMSprop(parameters, lr=lr)


# what takes the place of what, while a trainer is built and while it updates
OFF = {
    "as it is": (),
    "next values kept": ((next_values, "keeps_next_value", lambda cfg: False),),
    "gradient of the recurrence by hand": ((MultiAgentRNN, "_plain", lambda self, x: True),),
    "declared fast paths": tuple(
        (module, "fast_path", lambda network, protocol: None)
        for module in (_networks, _joint_actions)
    ),
    "RMSprop as fused Adagrad": ((optimizers, "RMSprop", torchs_rmsprop),),
    "pairs of soft updates listed": ((targets, "SoftUpdate", SoftUpdate),),
}


def without(way: str) -> ExitStack:
    """Context in which a faster way is switched off."""
    stack = ExitStack()
    for owner, name, plain in OFF[way]:
        stack.enter_context(patch.object(owner, name, plain))
    return stack


def main() -> None:
    """Time every way and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", default="preset=paper mixer=qmix uncertainty=none")
    parser.add_argument("--repeats", type=int, default=40, help="measurements of each way (40)")
    parser.add_argument("--updates", type=int, default=4, help="updates per measurement (4)")
    args = parser.parse_args()
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(1)
    small = ("collector.total_frames=1024", "optim.updates_per_batch=1")
    cfg = compose_config(*args.case.split(), *small)
    trainers = {}
    with tempfile.TemporaryDirectory() as run_dir:
        for number, way in enumerate(OFF):
            torch.manual_seed(0)
            with without(way):
                trainers[way] = build_trainer(cfg, f"{run_dir}/{number}")
                trainers[way].train()
        seconds = {way: [] for way in OFF}
        for repeat in range(args.repeats + 2):
            for way in list(OFF)[:: 1 if repeat % 2 else -1]:
                with without(way):
                    start = time.process_time()
                    for _ in range(args.updates):
                        update(trainers[way])
                if repeat >= 2:
                    seconds[way].append(time.process_time() - start)
    print_header(f"Processor time of an update, {args.case}: without / with", "1 thread")
    table = Table({"way": 36, "without / with": 22, "ms": 10})
    for way, measured in seconds.items():
        ms = f"{1e3 * median(measured) / args.updates:.2f}"
        table.row(way, show(ratios(measured, seconds["as it is"])), ms)


if __name__ == "__main__":
    main()
