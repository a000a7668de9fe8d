"""Runs of a second, in an environment without a simulator."""

from torchrl_drigm.commands._runs import train_run
from torchrl_drigm.config import compose_config

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
