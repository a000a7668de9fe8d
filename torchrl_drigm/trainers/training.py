"""From environment, agents and loss to a `Trainer`: optimizers, collector, replay and hooks."""

from __future__ import annotations

import sys
import warnings
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig
from tensordict import TensorDictBase
from torch import nn
from torchrl.checkpoint import GlobalRNGState
from torchrl.collectors import Collector
from torchrl.data import ReplayBuffer
from torchrl.envs import EnvBase, ExcludeTransform, Transform
from torchrl.objectives import LossModule
from torchrl.record.loggers import Logger, get_logger
from torchrl.trainers import ReplayBufferTrainer, Trainer

from torchrl_drigm.config.checks import check_lmbda
from torchrl_drigm.config.names import CHOICES
from torchrl_drigm.tasks import Task
from torchrl_drigm.trainers._checks import check_choice
from torchrl_drigm.trainers.acting import Acting
from torchrl_drigm.trainers.checkpoint import CollectionState
from torchrl_drigm.trainers.checkpoint_folder import RunCheckpoint
from torchrl_drigm.trainers.compiled import (
    CompiledStepper,
    goes_on_without,
    why_not_compiled,
)
from torchrl_drigm.trainers.environments import training_task
from torchrl_drigm.trainers.exploration import make_exploration
from torchrl_drigm.trainers.hooks import AnnealEpsilon, AnnealLearningRate, LogEpisodeReturn
from torchrl_drigm.trainers.next_values import leave_out_of_windows, register_replay
from torchrl_drigm.trainers.optimizers import make_optimizers, make_turns
from torchrl_drigm.trainers.progress import PrintProgress, ProgressBar
from torchrl_drigm.trainers.replay import ReplayState, StepStorage
from torchrl_drigm.trainers.runs import RUN, SIZES, run_identity
from torchrl_drigm.trainers.sizes import ACTION, Sizes
from torchrl_drigm.trainers.stepper import PerPartStepper
from torchrl_drigm.trainers.targets import make_target_updater

__all__ = ["make_trainer"]

STATE = ("agents", "recurrent_state")
LOST = ("info", "connection_lost")  # of environments whose connection to a game can break


def _stepper(cfg: DictConfig, loss: nn.Module) -> PerPartStepper:
    optimizers = make_optimizers(cfg, loss)
    turns = make_turns(cfg, optimizers)
    if not cfg.get("compile", False):
        return PerPartStepper(optimizers, turns)
    if (reason := why_not_compiled(cfg.device)) is not None:
        goes_on_without(reason)
        return PerPartStepper(optimizers, turns)
    return CompiledStepper(optimizers, turns)


def _logger(cfg: DictConfig, run_dir: Path) -> Logger:
    name = check_choice("logger", cfg.logger, CHOICES["logger"])
    try:
        return get_logger(name, logger_name=str(run_dir), experiment_name="metrics")
    except ImportError as error:
        raise ImportError(
            f'logger={name} needs an extra: pip install "torchrl_drigm[{name}]"'
        ) from error


def make_trainer(
    cfg: DictConfig, env: EnvBase, agents: nn.Module, loss: LossModule, run_dir: str | Path
) -> Trainer:
    """TorchRL's ``Trainer`` with collector, replay buffer, target updater, logger and checkpoints.

    Args:
        cfg (DictConfig): the composed config.
        env (EnvBase): training environment of :func:`make_env`.
        agents (nn.Module): Q-networks of :func:`make_agents`; acting shares their parameters.
        loss (LossModule): loss of :func:`make_loss`.
        run_dir (str or Path): where metrics and the checkpoint go.

    Returns:
        Trainer: ``trainer.train()`` runs Algorithm 6 from line 6 on. With ``progress_bar`` it shows
        a bar on a terminal, and prints a line now and then elsewhere.

    Raises:
        ValueError: if ``optim.lmbda`` is no number in [0, 1], or given for agents on windows.
    """
    check_lmbda(cfg)
    task = training_task(cfg)
    run_dir = Path(run_dir)
    greedy = make_exploration(cfg, env, agents)
    recurrent = cfg.agent.recurrent
    with warnings.catch_warnings():
        # that the last batch, or each, is rounded up, which is a rule of ours (docs/runs.md)
        warnings.filterwarnings("ignore", message=".* is not exactly divisible by")
        collector = Collector(
            env,
            Acting(
                agents,
                greedy,
                selected_out_keys=[ACTION, ("next", *STATE)] if recurrent else [ACTION],
            ),
            frames_per_batch=cfg.collector.frames_per_batch,
            total_frames=cfg.collector.total_frames,
            init_random_frames=cfg.collector.init_random_frames,
            track_traj_ids=False,
            # of recurrent agents: TensorDictPrimer with their first state, and InitTracker
            auto_register_policy_transforms=True,
        )
    replay_buffer = ReplayBuffer(
        storage=StepStorage(cfg.replay.size, device=cfg.device),
        transform=_replay_transform(cfg, loss),
        batch_size=cfg.replay.batch_size,
    )
    checkpoint = RunCheckpoint(
        collector=CollectionState(collector, mid_episode=task.resumes_mid_episode),
        replay_buffer=ReplayState(replay_buffer),
        rng=GlobalRNGState(),
        **{RUN: {**run_identity(cfg), SIZES: asdict(Sizes.of(env))}},
    )
    target_updater = make_target_updater(cfg, loss)
    stepper = _stepper(cfg, loss)
    trainer = Trainer(
        collector=collector,
        total_frames=cfg.collector.total_frames,
        frame_skip=1,
        optim_steps_per_batch=cfg.optim.updates_per_batch,
        loss_module=loss,
        optimization_stepper=stepper,
        replay_buffer=replay_buffer,
        target_net_updater=target_updater,
        clip_norm=cfg.optim.clip_norm,
        progress_bar=False,  # see trainers/progress.py
        logger=_logger(cfg, run_dir),
        log_interval=cfg.log_interval,
        checkpoint=checkpoint,
        save_trainer_file=run_dir / "checkpoint",
        save_trainer_interval=cfg.checkpoint_interval,
    )
    trainer.exploration = greedy
    trainer._last_log = {}  # of the class, and so of every trainer of a process (TorchRL 0.14.1)
    return_log = make_return_log(task)
    return_log.register(trainer)
    if LOST in env.observation_spec.keys(True, True):
        trainer.register_op("batch_process", leave_out_lost_steps)
    # an item is a step, or with recurrent agents the sequence that one environment gave in a batch
    replay = ReplayBufferTrainer(replay_buffer, flatten_tensordicts=not recurrent)
    register_replay(cfg, trainer, loss, replay, target_updater)
    annealing = AnnealEpsilon(greedy, cfg.exploration.annealing_frames)
    annealing.register(trainer)
    trainer.learning_rates = AnnealLearningRate(
        stepper.optimizers, cfg.optim.lr_end_factor, cfg.collector.total_frames
    )
    trainer.learning_rates.register(trainer)
    if cfg.progress_bar:
        show = ProgressBar if sys.stderr.isatty() else PrintProgress
        # an update begins after these, and steps without are faster
        first = cfg.collector.init_random_frames
        trainer.progress = show(
            cfg.collector.total_frames, return_name=return_log.logname, random_frames=first
        )
        trainer.progress.register(trainer)
    return trainer


def _replay_transform(cfg: DictConfig, loss: LossModule) -> Transform:
    """Leaves out of the replay buffer what nothing is learned from, and what follows from the rest.

    Each entry less is also one less to gather at every sampling.
    """
    keys = ["episode_reward", ("next", "episode_reward"), ("next", "is_init")]
    if cfg.agent.recurrent:
        # the loss carries the state on by itself
        keys += [("next", *STATE), "info", ("next", "info")]
        return ExcludeTransform(*keys, inverse=True)
    return leave_out_of_windows(cfg, keys, loss.in_keys)


def make_return_log(task: Task) -> LogEpisodeReturn:
    """The hook that logs returns: ``normalized_return``, or ``return`` where none is known."""
    if task.return_scaling is None:
        return LogEpisodeReturn()
    scale, offset = task.return_scaling
    return LogEpisodeReturn(scale, offset=offset, logname="normalized_return")


def leave_out_lost_steps(batch: TensorDictBase) -> TensorDictBase:
    """Masks steps in which the connection to a game was lost: what happened there is unknown."""
    lost = batch.get(("next", *LOST))
    batch.set(("collector", "mask"), ~lost.squeeze(-1))
    return batch
