"""Copies of an environment, of which TorchRL's take threads when they are closed."""

import pytest
import torch
import torchrl

from tests.commands.small_runs import train
from tests.tasks.toys import Counting
from torchrl_drigm.envs._copies import ParallelCopies, SerialCopies


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(torchrl, "_THREAD_POOL_INIT", 4)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("cls", [SerialCopies, ParallelCopies])
def test_threads_are_as_many_as_before(cls):
    env = cls(2, Counting)
    if cls is SerialCopies:  # the other one would start processes, which are TorchRL's affair
        env.rollout(2)
    else:
        env.is_closed, env._shutdown_workers = False, lambda: None
    env.close()
    assert env.is_closed
    assert torch.get_num_threads() == 1


def test_a_run_that_asks_for_one_thread_has_one(tmp_path):
    """Shifts are tried before it, and each shift that it is judged in is closed."""
    train(tmp_path / "run", "evaluation.suite=[{name: near, length: 2}, {name: far, length: 5}]")
    assert torch.get_num_threads() == 1
