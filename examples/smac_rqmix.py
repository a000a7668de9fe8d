"""Robust value factorization on StarCraft battles (Section 5.2 of the paper).

    python examples/smac_rqmix.py                               robust QMIX on SMAX, no game needed
    python examples/smac_rqmix.py mixer=vdn uncertainty=none    nominal VDN
    python examples/smac_rqmix.py env=smac map_name=3s_vs_5z    StarCraft II itself
    python examples/smac_rqmix.py -m hydra/launcher=joblib uncertainty.rho=0.005,0.02 seed=0,1,2
    python examples/smac_rqmix.py --help                        every field

Tests the team every 10,000 steps in 32 battles, clean and with noise on the enemies' positions. The
run's folder holds its config, metrics, checkpoint and the curves of the win rates. Figures 3 and 4
over several runs: python -m torchrl_drigm compare --help. Without a checkout, the same as this:
python -m torchrl_drigm train battles
"""

import time
from pathlib import Path

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torchrl import logger as torchrl_logger

from torchrl_drigm.evaluation import report_win_rates
from torchrl_drigm.trainers import build, claim_run, is_done


@hydra.main(version_base=None, config_path="pkg://torchrl_drigm.config", config_name="battles")
def main(cfg: DictConfig) -> None:
    """Run in a folder that no other run writes into."""
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(cfg.threads)
    torch.manual_seed(cfg.seed)
    if cfg.map_name is not None:
        cfg.env.map_name = cfg.map_name
    with claim_run(cfg, HydraConfig.get().runtime.output_dir) as (run_dir, resume):
        if is_done(cfg, run_dir, "win_rates.csv"):  # a sweep again
            print(f"{run_dir} has its results already.")
        else:
            train_and_test(cfg, run_dir, resume)


def train_and_test(cfg: DictConfig, run_dir: Path, resume: Path | None) -> None:
    """Train, and test meanwhile."""
    start = time.perf_counter()
    if cfg.env.name == "smax":
        print("Battles of SMAX, JaxMARL's stand-in for StarCraft. The game itself: env=smac.")
    # run.env: many battles at once; run.agents: one GRU for all agents, who know their index;
    # run.mixer, run.dual and run.loss: Eq. 15-17; run.test_envs: clean, and with noise
    run = build(cfg, run_dir, resume)
    (run_dir / "win_rates.csv").unlink(missing_ok=True)  # of fewer steps
    run.train()
    frames = run.trainer.collected_frames
    print(f"\n{frames:,} steps in {time.perf_counter() - start:.0f} s.")
    files = report_win_rates(cfg, run_dir, frames)  # prints the table
    if files:
        print("\nCurves (Figure 3) and what they show:", *(f"  {file}" for file in files), sep="\n")


if __name__ == "__main__":
    main()
