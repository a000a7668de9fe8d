"""What is logged as the return of training episodes."""

import pytest
import torch
from tensordict import TensorDict

from torchrl_drigm.config import compose_config
from torchrl_drigm.tasks import make_task
from torchrl_drigm.trainers import LogEpisodeReturn
from torchrl_drigm.trainers.training import make_return_log


def batch(done, returns, **info):
    """One row of steps."""
    entries = {"done": done, "episode_reward": returns}
    entries = {key: torch.tensor(value).view(1, -1, 1) for key, value in entries.items()}
    info = {key: torch.tensor(value).view(1, -1, 1) for key, value in info.items()}
    return TensorDict({"next": {**entries, **({"info": info} if info else {})}}, [1, len(done)])


def test_only_episodes_that_ended_count():
    steps = batch([False, True, False, True], [1.0, 2.0, 50.0, 4.0])
    assert LogEpisodeReturn()(steps)["return"] == pytest.approx(3.0)
    assert LogEpisodeReturn(2.0, 4.0)(steps)["return"] == pytest.approx((3.0 + 4.0) / 2.0)
    assert LogEpisodeReturn()(batch([False, False], [1.0, 2.0])) is None


def test_an_episode_that_a_lost_connection_cut_does_not_count():
    cut = batch([True, True], [1.0, 20.0], connection_lost=[True, False])
    assert LogEpisodeReturn()(cut)["return"] == 20.0
    assert LogEpisodeReturn()(batch([True], [1.0], connection_lost=[True])) is None


@pytest.mark.parametrize(
    ("example", "overrides", "metric", "logged"),
    [
        ("building", [], "normalized_return", 0.9),
        ("building", ["env=building_all_climates"], "normalized_return", 0.9),
        # a scale of six zones says nothing of a hospital of 55
        ("building", ["env.building=Hospital"], "normalized_return", 1 - 0.1 * (6 / 55) ** 1.5),
        ("building", ["env.time_res=900"], "normalized_return", 0.7),  # a third of the steps
        ("torchrl", ["env.return_scale=null"], "return", -900.0),
        ("battles", ["env=smax"], "normalized_return", -450.0),
        ("battles", ["env=smac"], "normalized_return", -45.0),
    ],
)
def test_a_return_is_normalised_only_where_that_is_defined(example, overrides, metric, logged):
    cfg = compose_config(*overrides, config=example)
    values = make_return_log(make_task(cfg))(batch([True], [-900.0]))
    values.pop("log_pbar")
    assert values == {metric: pytest.approx(logged)}
