"""Closing an environment takes no threads, as TorchRL's copies do when they are closed."""

import pytest
import torch
import torchrl
from torchrl.envs import Compose, ParallelEnv, SerialEnv, StepCounter, TransformedEnv

from tests.commands.small_runs import train
from tests.tasks.toys import Counting
from torchrl_drigm.envs._threads import keep_threads
from torchrl_drigm.tasks import TorchRLTask


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(torchrl, "_THREAD_POOL_INIT", 4)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def transformed(env):
    return TransformedEnv(env, Compose(StepCounter()))


def batched(num_envs, length=3):
    """What a user's function may return that makes all copies at once."""
    return SerialEnv(num_envs, Counting, create_env_kwargs={"length": length})


@pytest.mark.parametrize("around", [lambda env: env, transformed], ids=["bare", "transformed"])
@pytest.mark.parametrize("cls", [SerialEnv, ParallelEnv])
def test_threads_are_as_many_as_before(cls, around):
    env = cls(2, Counting)
    if cls is SerialEnv:
        env.rollout(2)
    else:  # it would start processes, which are TorchRL's affair
        env.is_closed, env._shutdown_workers = False, lambda: None
    env = keep_threads(around(env))
    env.close()
    assert env.is_closed
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("make", [Counting, batched])
def test_of_whatever_makes_it(make):
    task = TorchRLTask(make=make)
    env = task.make_env(3, "train", 0, {})
    # other transforms around it, as training has
    TransformedEnv(env, StepCounter()).close()
    assert torch.get_num_threads() == 1
    task.check_shifts("mine", [{"name": "far", "length": 5}])
    assert torch.get_num_threads() == 1


def test_a_run_that_asks_for_one_thread_has_one(tmp_path):
    """Shifts are tried before it, and each shift that it is judged in is closed."""
    train(tmp_path / "run", "evaluation.suite=[{name: near, length: 2}, {name: far, length: 5}]")
    assert torch.get_num_threads() == 1
