"""One full update of the paper's configuration, ours against the released style, interleaved.

    python benchmarks/update.py                # all nine algorithms
    python benchmarks/update.py --repeats 200 --only qmix-tv

An update is: sample, loss, backward, clip, optimizer, target. Ours goes through the trainer's own
path. Prints medians in milliseconds and the ratio, which is what holds on a busy machine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from _released_style import ReleasedStyle
from hydra import compose, initialize_config_dir
from torchrl import logger as torchrl_logger

from torchrl_drigm.trainers import (
    make_agents,
    make_dual,
    make_env,
    make_loss,
    make_mixer,
    make_trainer,
)

CONFIG = Path(__file__).parents[1] / "examples" / "config"


def ours(mixer: str, uncertainty: str, run_dir: str):
    """The trainer of ``preset=paper`` with a filled replay buffer; a call is one update."""
    overrides = [
        "preset=paper",
        f"mixer={mixer}",
        f"uncertainty={uncertainty}",
        "progress_bar=false",
        "collector.total_frames=512",
        "optim.updates_per_batch=1",
    ]
    with initialize_config_dir(str(CONFIG), version_base=None):
        cfg = compose("sustaingym_rqmix", overrides=overrides)
    env = make_env(cfg)
    agents = make_agents(cfg, env)
    loss = make_loss(cfg, agents, make_mixer(cfg, env), make_dual(cfg, env))
    trainer = make_trainer(cfg, env, agents, loss, run_dir)
    trainer.train()

    def update() -> None:
        batch = trainer._process_optim_batch_hook(None)
        trainer.optimization_stepper.step(trainer, batch)
        trainer._post_optim_hook()

    return update


def main() -> None:
    """Time every algorithm and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=40, help="updates per algorithm (40)")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads (1)")
    parser.add_argument("--only", default="", help="part of an algorithm's name")
    args = parser.parse_args()
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(args.threads)
    print(f"{'algorithm':22s}{'released style':>16s}{'ours':>10s}{'ratio':>8s}   (ms per update)")
    for mixer in ("vdn", "qmix", "qtran"):
        for uncertainty in ("none", "contamination", "tv"):
            name = f"{mixer}-{uncertainty}"
            if args.only not in name:
                continue
            baseline = ReleasedStyle(mixer, uncertainty)
            baseline.fill(512)
            with tempfile.TemporaryDirectory() as run_dir:
                contestants = {
                    "released": baseline.update,
                    "ours": ours(mixer, uncertainty, run_dir),
                }
                times = {key: [] for key in contestants}
                for repeat in range(args.repeats + 5):
                    for key, update in contestants.items():
                        start = time.perf_counter()
                        update()
                        if repeat >= 5:
                            times[key].append(time.perf_counter() - start)
            released, own = (1e3 * statistics.median(t) for t in times.values())
            print(f"{name:22s}{released:16.2f}{own:10.2f}{released / own:7.2f}x", flush=True)


if __name__ == "__main__":
    main()
