"""Robust value factorization on StarCraft battles (Section 5.2 of the paper).

    python examples/smac_rqmix.py                               robust QMIX on SMAX, no game needed
    python examples/smac_rqmix.py mixer=vdn uncertainty=none    nominal VDN
    python examples/smac_rqmix.py env=smac map_name=3s_vs_5z    StarCraft II itself
    python examples/smac_rqmix.py -m hydra/launcher=joblib uncertainty.rho=0.005,0.02 seed=0,1,2
    python examples/smac_rqmix.py --help                        every field

Tests the team every 10,000 steps in 32 battles, clean and with noise on the enemies' positions. The
run's folder holds its config, metrics, checkpoint and the curves of the win rates. Figures 3 and 4
over several runs: python -m torchrl_drigm.evaluation win-rates --help
"""

import time
from pathlib import Path

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torchrl import logger as torchrl_logger

from torchrl_drigm.evaluation import (
    final_win_rates,
    plot_win_rates,
    read_win_rates,
    save_results,
)
from torchrl_drigm.trainers import (
    EvaluateBattles,
    claim_run,
    is_done,
    load_checkpoint,
    make_agents,
    make_dual,
    make_env,
    make_loss,
    make_mixer,
    make_test_envs,
    make_trainer,
    save_config,
)


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
            run(cfg, run_dir, resume)


def run(cfg: DictConfig, run_dir: Path, resume: Path | None) -> None:
    """Train and test."""
    start = time.perf_counter()
    if cfg.env.name == "smax":
        print("Battles of SMAX, JaxMARL's stand-in for StarCraft. The game itself: env=smac.")
    env = make_env(cfg)  # many battles at once
    agents = make_agents(cfg, env)  # one GRU for all agents, who know their index
    mixer = make_mixer(cfg, env)
    dual = make_dual(cfg, env)  # of total variation
    loss = make_loss(cfg, agents, mixer, dual)
    trainer = make_trainer(cfg, env, agents, loss, run_dir)
    test_envs = make_test_envs(cfg, agents)  # clean, and with noise on the enemies' positions
    EvaluateBattles(
        agents,
        test_envs,
        episodes=cfg.evaluation.episodes,
        interval=cfg.evaluation.interval,
        seed=cfg.evaluation.seed if cfg.env.name == "smax" else None,
    ).register(trainer)
    if resume is not None:
        load_checkpoint(trainer, resume)
    (run_dir / "win_rates.csv").unlink(missing_ok=True)  # of fewer steps
    save_config(cfg, run_dir)
    try:
        trainer.train()
    finally:  # games end with their environments
        for battles in (env, *test_envs.values()):
            if not battles.is_closed:
                battles.close()

    print(f"\n{trainer.collected_frames:,} steps in {time.perf_counter() - start:.0f} s.")
    if cfg.logger == "csv" and trainer.collected_frames >= cfg.evaluation.interval:
        win_rates = read_win_rates([run_dir])
        final = final_win_rates(win_rates)
        print("\nTest win rate, mean of the last evaluations:\n")
        print(final[["method", "clean", "noisy"]].to_string(index=False))
        print(f"\nCurves (Figure 3): {plot_win_rates(win_rates, run_dir / 'win_rates.png')}")
        save_results(win_rates, run_dir / "win_rates.csv")


if __name__ == "__main__":
    main()
