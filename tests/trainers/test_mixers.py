"""A mixer of one's own, by its import path, with every kind of agents."""

from pathlib import Path

import pytest
import torch
from torch import nn

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from tests.trainers.small_building import build, config
from torchrl_drigm.trainers import make_env, make_mixer

pytestmark = pytest.mark.sustaingym
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
OWN = ["mixer=own", "mixer.name=weighing_mixer.WeighingMixer", "collector.total_frames=96"]


@pytest.fixture(autouse=True)
def _user(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)


@pytest.mark.parametrize(
    "agents",
    [["agent=drqn"], ["agent=recurrent"], ["preset=paper"]],
    ids=["windows", "sequences", "kept next values"],
)
def test_a_mixer_may_read_what_the_agents_see(tmp_path, agents):
    trainer = build(tmp_path, *agents, *OWN, "agent.hidden_size=8")
    before = [p.clone() for p in trainer.loss_module.mixer_network_params.parameters()]
    trainer.train()
    after = list(trainer.loss_module.mixer_network_params.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)), "it learns"


class Silent(nn.Module):
    pass


class Wide(nn.Module):
    in_keys = ("state",)

    def __init__(self, width):
        super().__init__()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Silent", "'Silent' does not say what it reads: give the class in_keys"),
        ("Wide", "mixer: Wide cannot be made: .*'width'"),
    ],
)
def test_what_is_no_mixer_is_refused(name, message):
    cfg = config("mixer=own", f"mixer.name={__name__}.{name}")
    with pytest.raises(ValueError, match=message):
        make_mixer(cfg, make_env(cfg))


def test_battles_are_tested_in_tasks_that_tell_who_won(tmp_path):
    from torchrl_drigm.config import compose_config
    from torchrl_drigm.trainers import make_test_envs

    own = ["env=own", "env.name=torchrl_drigm.tasks.BuildingTask", "evaluation.num_envs=4"]
    with pytest.raises(ValueError, match=r"evaluation.interval asks for battles to be tested"):
        make_test_envs(compose_config(*own, config="battles"), None)
