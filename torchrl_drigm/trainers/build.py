"""A run, ready wired: from a config to environment, agents, loss and trainer in one call."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from torch import nn
from torchrl.envs import TransformedEnv
from torchrl.objectives import LossModule
from torchrl.trainers import Trainer

from torchrl_drigm._signals import raised, saves_first, tell
from torchrl_drigm._source import source
from torchrl_drigm.config import check_config
from torchrl_drigm.modules import GroupRewardModel
from torchrl_drigm.tasks import Task
from torchrl_drigm.trainers.battles import EvaluateBattles, make_test_envs
from torchrl_drigm.trainers.builders import make_agents, make_dual, make_loss, make_uncertainty
from torchrl_drigm.trainers.checkpoint import load_checkpoint
from torchrl_drigm.trainers.environments import make_env
from torchrl_drigm.trainers.group_dr import fit_reward_model
from torchrl_drigm.trainers.mixers import make_mixer
from torchrl_drigm.trainers.parts import check_parts
from torchrl_drigm.trainers.rewards import CheckRewards
from torchrl_drigm.trainers.runs import save_config, save_duration
from torchrl_drigm.trainers.sizes import Sizes
from torchrl_drigm.trainers.team import Team
from torchrl_drigm.trainers.training import make_trainer

__all__ = ["Run", "build"]


@dataclass
class Run:
    """The parts of a run, wired.

    Attributes:
        cfg (DictConfig): the composed config.
        run_dir (Path): where metrics, checkpoint and results go.
        task (Task): what is trained in.
        env (TransformedEnv): training environment, with what the agents need.
        agents (nn.Module): Q-networks with greedy actions.
        mixer (nn.ModuleDict): what turns their values into the team's.
        dual (nn.Module or None): dual network, of sets that have one.
        loss (LossModule): the robust loss.
        trainer (Trainer): TorchRL's, with collector, replay buffer, optimizers and checkpoints.
        test_envs (dict): environments to test in during training, where the config asks for that.
        reward_model (GroupRewardModel or None): GroupDR's.
    """

    cfg: DictConfig
    run_dir: Path
    task: Task
    env: TransformedEnv
    agents: nn.Module
    mixer: nn.ModuleDict
    dual: nn.Module | None
    loss: LossModule
    trainer: Trainer
    test_envs: dict[str, TransformedEnv]
    reward_model: GroupRewardModel | None

    @property
    def team(self) -> Team:
        """The agents as they are now, to evaluate; they share their parameters with the run."""
        return Team(self.cfg, self.agents, self.task, Sizes.of(self.env))

    def train(self) -> None:
        """Run the trainer to its end, and close all environments, games among them.

        Raises:
            KeyboardInterrupt: at Ctrl-C, after the running batch and with a checkpoint. It is said
                how the run goes on. Another one ends the process at once.
            SystemExit: at SIGTERM, likewise, with the status 143.
        """
        save_config(self.cfg, self.run_dir)
        start, before, code = time.perf_counter(), self.trainer.collected_frames, source()
        with saves_first(self.trainer.request_stop) as signals:
            try:
                self.trainer.train()
            finally:
                self.close()
        frames, total = self.trainer.collected_frames, self.cfg.collector.total_frames
        if frames > before:  # of one that was only judged anew, what was noted stays
            save_duration(self.run_dir, frames, frames - before, time.perf_counter() - start, code)
        if signals:
            error = raised(signals[0])
            tell(
                error, self.run_dir, f"Stopped at step {frames:,} of {total:,}, with a checkpoint."
            )
            raise error

    def close(self) -> None:
        """Close all environments, and the progress bar that an error left open."""
        if hasattr(self.trainer, "progress"):
            self.trainer.progress.end()
        for env in (self.env, *self.test_envs.values()):
            if not env.is_closed:
                env.close()


def build(
    cfg: DictConfig,
    run_dir: str | Path,
    resume: str | Path | None = None,
    reward_model: GroupRewardModel | None = None,
) -> Run:
    """Build everything that a config describes, in the order of Algorithm 6.

    All of it follows from ``seed`` and torch's global generator, which is left to the caller to
    seed: ``torch.manual_seed(cfg.seed)``.

    Args:
        cfg (DictConfig): the composed config, such as
            :func:`~torchrl_drigm.config.compose_config` gives.
        run_dir (str or Path): folder of the run, made where there is none.
        resume (str or Path, optional): checkpoint to go on from.
        reward_model (GroupRewardModel, optional): GroupDR's, where it is not to be fitted here.

    Returns:
        Run: the parts; ``run.train()`` trains.

    Raises:
        ValueError: naming the field, for a config that does not fit together; and for a checkpoint
            of another run.
        FileNotFoundError: if there is no checkpoint at ``resume``.

    Examples:
        >>> import tempfile
        >>> from torchrl_drigm.config import compose_config
        >>> cfg = compose_config("mixer=vdn", "collector.total_frames=64", "progress_bar=false")
        >>> with tempfile.TemporaryDirectory() as run_dir:
        ...     run = build(cfg, run_dir)
        ...     run.train()
        >>> run.trainer.collected_frames
        64
    """
    check_config(cfg)
    task = check_parts(cfg)  # before anything is written
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    # GroupDR only: of each training climate
    reward_model = reward_model or fit_reward_model(cfg, run_dir)
    env = make_env(cfg, reward_model)
    agents = make_agents(cfg, env)  # line 3: robust individual values Q_i ...
    mixer = make_mixer(cfg, env)  # ... and the mixing network f_theta
    dual = make_dual(cfg, env)  # line 4: the dual network eta_xi
    loss = make_loss(cfg, agents, mixer, dual)  # lines 13 and 16-20: L_dual (Eq. 17), L_TD (Eq. 16)
    trainer = make_trainer(cfg, env, agents, loss, run_dir)  # lines 2, 5, 9-12, 14, 21-22
    trainer.check_rewards = CheckRewards.of(cfg, make_uncertainty(cfg), task)
    trainer.check_rewards.register(trainer)
    test_envs = {}
    if "interval" in cfg.evaluation:
        test_envs = make_test_envs(cfg, agents)
        EvaluateBattles(
            agents,
            test_envs,
            episodes=cfg.evaluation.episodes,
            interval=cfg.evaluation.interval,
            total_frames=cfg.collector.total_frames,
            # a game starts anew to be seeded: there, each test goes on where the last one ended
            seed=cfg.evaluation.seed if task.resumes_mid_episode else None,
        ).register(trainer)
    if resume is not None:
        load_checkpoint(trainer, resume)
    parts = (task, env, agents, mixer, dual, loss, trainer, test_envs, reward_model)
    return Run(cfg, run_dir, *parts)
