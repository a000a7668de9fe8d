"""Whether the environment of runs can be that of several at once, and memory hold them."""

from __future__ import annotations

from omegaconf import DictConfig
from torchrl.envs import EnvBase

from torchrl_drigm.envs._seeded import SeededEnv
from torchrl_drigm.trainers.build import Run
from torchrl_drigm.trainers.sizes import Sizes
from torchrl_drigm.trainers.stack.free_memory import free_memory
from torchrl_drigm.trainers.stack.members import SEEDED, SIDE_BY_SIDE

__all__ = ["check_environment", "check_memory"]


def check_environment(cfg: DictConfig, env: EnvBase) -> None:
    """Refuses an environment that cannot be several runs' at once.

    Args:
        cfg (DictConfig): the config of one of the runs.
        env (EnvBase): what its task makes, of any number of copies.

    Raises:
        ValueError: if its random numbers cannot be told apart.
    """
    base = getattr(env, "base_env", env)
    if not isinstance(base, SeededEnv):
        raise ValueError(
            f"env.name={cfg.env.name!r} cannot be stacked: {type(base).__name__} has no random "
            f"numbers of each run's own; {SEEDED}. "
            + SIDE_BY_SIDE.format(field="seed", values="0,1,2")
        )


def check_memory(run: Run, n_runs: int, free: int | None = None) -> int:
    """Refuses a stack that memory will not hold, before it starts.

    Args:
        run (Run): one of the runs.
        n_runs (int): how many there are.
        free (int, optional): bytes to be had. Default: :func:`free_memory`.

    Returns:
        int: the bytes that the stack will take, by estimate.

    Raises:
        ValueError: if it takes more than there are.
    """
    step = run.trainer.replay_buffer._transform.inv(run.env.fake_tensordict()[0].unsqueeze(0))
    one = sum(leaf.numel() * leaf.element_size() for leaf in step.values(True, True))
    cfg = run.cfg
    stored = one * min(cfg.replay.size, cfg.collector.total_frames)
    parameters = 4 * sum(parameter.numel() for parameter in run.loss.parameters())
    rows = cfg.replay.batch_size * Sizes.of(run.env).n_agents * cfg.agent.window
    # values, targets, two averages of gradients; what a pass keeps for its gradient, of each gate
    needed = n_runs * (stored + 5 * parameters + 4 * rows * cfg.agent.hidden_size * 16)
    free = free_memory() if free is None else free
    if free is not None and needed > free:
        gigabyte = 2**30
        fit = max(int(n_runs * free / needed), 1)
        raise ValueError(
            f"{n_runs} runs at once would take about {needed / gigabyte:.1f} GB, and "
            f"{free / gigabyte:.1f} GB are free: stack no more than {fit}, or lower replay.size="
            f"{cfg.replay.size}."
        )
    return needed
