"""What a config says that is only known with PyTorch and the simulators: refused at once."""

from __future__ import annotations

import torch
from omegaconf import DictConfig

from torchrl_drigm.tasks import Task, read_suite
from torchrl_drigm.tasks.suites import check_battles
from torchrl_drigm.trainers.builders import make_uncertainty
from torchrl_drigm.trainers.compiled import check_compiler
from torchrl_drigm.trainers.environments import training_task

__all__ = ["check_parts"]


def check_parts(cfg: DictConfig) -> Task:
    """The task to train in, if device, uncertainty set, task and suite are what they should be.

    Args:
        cfg (DictConfig): the composed config.

    Raises:
        ValueError: naming the field, for a device that there is not, an uncertainty set with
            numbers that are not legal, an unknown task, files or fields of it that do not fit, or
            a suite that it does not know.
        RuntimeError: with ``compile=true`` where there is nothing to compile with.
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
    if "suite" in cfg.evaluation:
        read_suite(task, cfg.evaluation.suite)
    if "interval" in cfg.evaluation:
        check_battles(task)
    if cfg.get("compile", False):
        check_compiler(cfg.device)
    return task
