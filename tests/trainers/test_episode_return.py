"""What is logged as the return of training episodes."""

import pytest
import torch
from tensordict import TensorDict

from torchrl_drigm.trainers import LogEpisodeReturn


def batch(done, returns, **info):
    """One row of steps."""
    entries = {"done": done, "episode_reward": returns}
    entries = {key: torch.tensor(value).view(1, -1, 1) for key, value in entries.items()}
    info = {key: torch.tensor(value).view(1, -1, 1) for key, value in info.items()}
    return TensorDict({"next": {**entries, **({"info": info} if info else {})}}, [1, len(done)])


def test_only_episodes_that_ended_count():
    logged = LogEpisodeReturn(scale=2.0, offset=4.0)(
        batch([False, True, False, True], [1.0, 2.0, 50.0, 4.0])
    )
    assert logged["normalized_return"] == pytest.approx((3.0 + 4.0) / 2.0)
    assert LogEpisodeReturn()(batch([False, False], [1.0, 2.0])) is None


def test_an_episode_that_a_lost_connection_cut_does_not_count():
    cut = batch([True, True], [1.0, 20.0], connection_lost=[True, False])
    assert LogEpisodeReturn()(cut)["normalized_return"] == 20.0
    assert LogEpisodeReturn()(batch([True], [1.0], connection_lost=[True])) is None
