"""What a config says that is only known with PyTorch and the simulators: refused at once."""

from __future__ import annotations

from contextlib import closing

import torch
from omegaconf import DictConfig, ListConfig

from torchrl_drigm.tasks import Task, TorchRLTask, read_suite
from torchrl_drigm.tasks.suites import check_battles
from torchrl_drigm.trainers.builders import make_uncertainty
from torchrl_drigm.trainers.environments import training_task
from torchrl_drigm.trainers.sizes import Sizes

__all__ = ["check_parts"]


def check_parts(cfg: DictConfig) -> Task:
    """The task to train in, if device, uncertainty set, task and suite are what they should be.

    Args:
        cfg (DictConfig): the composed config.

    Raises:
        ValueError: naming the field, for a device that there is not, an uncertainty set with
            numbers that are not legal, an unknown task, files or fields of it that do not fit, or
            a suite that it does not know.
    """
    try:
        torch.empty(0, device=cfg.device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"device={cfg.device!r} cannot be used here ({reason}). Set device=cpu, or install a "
            "build of PyTorch for it."
        ) from error
    make_uncertainty(cfg)
    task = training_task(cfg)
    task.check()
    if isinstance(task, TorchRLTask):
        _check_scaling(cfg, task)
    if "suite" in cfg.evaluation:
        name, shifts = read_suite(task, cfg.evaluation.suite)
        task.check_shifts(name, shifts)
    if "interval" in cfg.evaluation:
        check_battles(task)
    return task


def _check_scaling(cfg: DictConfig, task: Task) -> None:
    """Refuse numbers of features that an environment of one's own does not have."""
    lists = {
        name: value
        for name in ("loc", "scale")
        if isinstance(value := cfg.env.get(name), ListConfig)
    }
    if not lists:
        return
    with torch.random.fork_rng(devices=[]), closing(task.make_env(1, "train", 0, {})) as env:
        n = Sizes.of(env).observation_size
    for field, numbers in lists.items():
        if len(numbers) != n:
            raise ValueError(
                f"env.{field}={list(numbers)} has {len(numbers)} numbers, and an observation here "
                f"has {n} features: give as many, or one number for all."
            )
