"""Robust value factorization on a six-zone office in real weather (Algorithm 6 of the paper).

    python examples/sustaingym_rqmix.py                                   robust QMIX, TV
    python examples/sustaingym_rqmix.py mixer=vdn uncertainty=none        nominal VDN
    python examples/sustaingym_rqmix.py uncertainty=group_dr              GroupDR, the baseline
    python examples/sustaingym_rqmix.py preset=paper uncertainty.rho=0.1  the paper's settings
    python examples/sustaingym_rqmix.py -m hydra/launcher=joblib mixer=vdn,qmix,qtran seed=0,1,2
    python examples/sustaingym_rqmix.py --help                            every field

Trains in Tucson, then judges the team in six climates beside policies that need no learning. The
run's folder holds its config, metrics, checkpoint, results and plots.
"""

import time
from pathlib import Path

import hydra
import pandas as pd
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torchrl import logger as torchrl_logger
from torchrl.envs import Compose

from torchrl_drigm.evaluation import (
    REFERENCES,
    evaluate,
    format_table,
    plot_returns,
    plot_training_curve,
    read_metrics,
    save_results,
    summarize,
)
from torchrl_drigm.trainers import (
    claim_run,
    fit_reward_model,
    is_done,
    load_checkpoint,
    make_agents,
    make_dual,
    make_env,
    make_loss,
    make_memory,
    make_mixer,
    make_trainer,
    save_config,
)


@hydra.main(version_base=None, config_path="pkg://torchrl_drigm.config", config_name="building")
def main(cfg: DictConfig) -> None:
    """Run in a folder that no other run writes into."""
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(cfg.threads)
    torch.manual_seed(cfg.seed)
    with claim_run(cfg, HydraConfig.get().runtime.output_dir) as (run_dir, resume):
        if is_done(cfg, run_dir, "evaluation.csv"):  # a sweep again
            print(f"{run_dir} has its results already.")
        else:
            run(cfg, run_dir, resume)


def run(cfg: DictConfig, run_dir: Path, resume: Path | None) -> None:
    """Train, evaluate and draw."""
    start = time.perf_counter()
    rewards = fit_reward_model(cfg, run_dir)  # GroupDR only: of each training climate
    env = make_env(cfg, rewards)  # sampling days of the training climates
    agents = make_agents(cfg, env)  # line 3: robust individual values Q_i ...
    mixer = make_mixer(cfg, env)  # ... and the mixing network f_theta
    dual = make_dual(cfg, env)  # line 4: the dual network eta_xi
    loss = make_loss(cfg, agents, mixer, dual)  # lines 13 and 16-20: L_dual (Eq. 17), L_TD (Eq. 16)
    trainer = make_trainer(cfg, env, agents, loss, run_dir)  # lines 2, 5, 9-12, 14, 21-22
    if resume is not None:
        load_checkpoint(trainer, resume)
    (run_dir / "evaluation.csv").unlink(missing_ok=True)  # of fewer steps
    save_config(cfg, run_dir)
    trainer.train()  # lines 6-24
    trained = time.perf_counter()

    sets = {"none": "nominal", "tv": "TV", "group_dr": "GroupDR"}
    name = f"{sets.get(cfg.uncertainty.name, cfg.uncertainty.name)} {cfg.mixer.name.upper()}"
    references = {label: make() for label, make in REFERENCES.items()}
    results = []
    for label, policy in {name: agents, **references}.items():
        rows = evaluate(
            policy,
            suite=cfg.evaluation.suite,
            episodes=cfg.evaluation.episodes,
            seed=cfg.evaluation.seed,
            transform=Compose(*make_memory(cfg, agents)) if policy is agents else None,
            env_kwargs={
                "building": cfg.env.building,
                "n_action_levels": cfg.env.n_action_levels,
                "device": cfg.device,
            },
        )
        results.append(rows.assign(policy=label))
    results = pd.concat(results, ignore_index=True)

    learned = results["policy"] == name
    files = [
        save_results(results, run_dir / "evaluation.csv"),
        plot_returns(results[learned], run_dir / "returns.png", references=results[~learned]),
    ]
    if rewards is not None:
        files.append(run_dir / "reward_model.csv")
    if cfg.logger == "csv" and trainer.collected_frames > cfg.log_interval:
        files.append(plot_training_curve(read_metrics(run_dir), run_dir / "training.png"))
    summary = summarize(results)
    measure = summary["measure"].iloc[0].capitalize()
    print(f"\n{measure} of a day, mean ± standard error over the days:\n")
    print(format_table(summary))
    print(f"\nTrained in {trained - start:.0f} s, in all {time.perf_counter() - start:.0f} s.")
    print("Left in the run's folder:", *(f"  {file}" for file in files), sep="\n")


if __name__ == "__main__":
    main()
