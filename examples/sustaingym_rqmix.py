"""Robust value factorization on a six-zone office in real weather (Algorithm 6 of the paper).

    python examples/sustaingym_rqmix.py                                   robust QMIX, TV
    python examples/sustaingym_rqmix.py mixer=vdn uncertainty=none        nominal VDN
    python examples/sustaingym_rqmix.py uncertainty=group_dr              GroupDR, the baseline
    python examples/sustaingym_rqmix.py preset=paper uncertainty.rho=0.1  the paper's settings
    python examples/sustaingym_rqmix.py -m hydra/launcher=joblib mixer=vdn,qmix,qtran seed=0,1,2
    python examples/sustaingym_rqmix.py --help                            every field

Trains in Tucson, then judges the team in six climates beside policies that need no learning. The
run's folder holds its config, metrics, checkpoint, results and plots. Without a checkout, the same:
python -m torchrl_drigm train building
"""

import time
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from torchrl_drigm import evaluation, trainers  # which import PyTorch when they are first used
from torchrl_drigm.commands.command_line import command_line


@command_line("building")
def main(cfg: DictConfig) -> None:
    """Run in a folder that no other run writes into."""
    trainers.prepare(cfg)  # PyTorch's threads and seed
    with trainers.claim_run(cfg, HydraConfig.get().runtime.output_dir) as (run_dir, resume):
        if trainers.is_done(cfg, run_dir, "evaluation.csv"):  # a sweep again
            print(f"{run_dir} has its results already.")
        else:
            train_and_judge(cfg, run_dir, resume)


def train_and_judge(cfg: DictConfig, run_dir: Path, resume: Path | None) -> None:
    """Train, evaluate and draw."""
    start = time.perf_counter()
    # Line 2: replay buffer; line 3: robust individual values Q_i (run.agents) and the mixing
    # network f_theta (run.mixer); line 4: the dual network eta_xi (run.dual); line 5: targets.
    run = trainers.build(cfg, run_dir, resume)
    (run_dir / "evaluation.csv").unlink(missing_ok=True)  # of fewer steps
    # Lines 6-24 (run.trainer): act ε-greedily and store (7-12); sample (14); greedy next actions
    # under the target network (16), L_dual of Eq. 17 (13, 17), L_TD of Eq. 16 (18-20), both in
    # run.loss; one step of each optimizer (21); copy the target networks (22).
    run.train()
    trained = time.perf_counter()

    name = evaluation.name_of(cfg)  # "TV QMIX"
    references = {label: make() for label, make in run.task.references.items()}
    results = evaluation.evaluate_all(
        {name: run.team, **references},
        run.task,
        cfg.evaluation.suite,
        episodes=cfg.evaluation.episodes,
        seed=cfg.evaluation.seed,
    )
    files = evaluation.report_returns(results, run_dir, learned=name)  # prints the table
    if run.reward_model is not None:  # GroupDR's
        files.append(run_dir / "reward_model.csv")
    if cfg.logger == "csv" and run.trainer.collected_frames > cfg.log_interval:
        files.append(
            evaluation.plot_training_curve(
                evaluation.read_metrics(run_dir), run_dir / "training.png"
            )
        )
    print(f"\nTrained in {trained - start:.0f} s, in all {time.perf_counter() - start:.0f} s.")
    print("Left in the run's folder:", *(f"  {file}" for file in files), sep="\n")


if __name__ == "__main__":
    main()
