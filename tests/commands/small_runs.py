"""Runs of a second, in an environment without a simulator."""

from torchrl_drigm.commands._runs import train_run
from torchrl_drigm.config import compose_config
from torchrl_drigm.trainers import RunCheckpoint
from torchrl_drigm.trainers.runs import RUN, SIZES, run_identity, save_config

TOY = "env.make=tests.tasks.toys.Counting"
SMALL = [
    *("~env.kwargs.scenario", "~env.kwargs.continuous_actions", "+env.kwargs.length=3", TOY),
    *("env.num_envs=4", "env.max_steps=null", "agent.hidden_size=4", "progress_bar=false"),
    *("collector.frames_per_batch=32", "collector.total_frames=32", "optim.updates_per_batch=1"),
    *("replay.batch_size=4", "evaluation.episodes=2", "mixer=vdn"),
]


def config(*overrides):
    return compose_config(*SMALL, *overrides, config="torchrl")


def train(folder, *overrides):
    train_run(config(*overrides), folder)
    return folder


class State:
    """A component of these values."""

    def __init__(self, **values):
        self.values = values

    def state_dict(self):
        return self.values

    def load_state_dict(self, state_dict):
        self.values = state_dict


def save(folder, cfg, frames=640):
    """The folder of a run as far as it says of itself: after so many steps, or its policy alone."""
    progress = {} if frames is None else {"trainer_state": State(collected_frames=frames)}
    identity = {**run_identity(cfg), SIZES: {"n_agents": 6}}
    RunCheckpoint(**{RUN: identity}, **progress).save(folder / "checkpoint")
    save_config(cfg, folder)
    return folder
