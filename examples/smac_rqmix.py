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

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from torchrl_drigm import evaluation, trainers  # which import PyTorch when they are first used
from torchrl_drigm.commands.command_line import command_line


@command_line("battles")
def main(cfg: DictConfig) -> None:
    """Run in a folder that no other run writes into."""
    if cfg.map_name is not None:
        cfg.env.map_name = cfg.map_name
    trainers.prepare(cfg)  # PyTorch's threads and seed
    with trainers.claim_run(cfg, HydraConfig.get().runtime.output_dir) as (run_dir, resume):
        if trainers.is_done(cfg, run_dir, "win_rates.csv"):  # a sweep again
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
    run = trainers.build(cfg, run_dir, resume)
    (run_dir / "win_rates.csv").unlink(missing_ok=True)  # of fewer steps
    run.train()
    print(f"\n{run.trainer.collected_frames:,} steps in {time.perf_counter() - start:.0f} s.")
    files = evaluation.report_win_rates(cfg, run_dir)  # prints the table
    if files:
        print("\nCurves (Figure 3) and what they show:", *(f"  {file}" for file in files), sep="\n")


if __name__ == "__main__":
    main()
