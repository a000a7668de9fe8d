"""Training in other buildings than the office, and in a user's own."""

import math
import shutil

import pytest
import torch

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from tests.envs._own_building import shipped_building, warmer_weather
from tests.trainers.small_building import config
from torchrl_drigm import trainers
from torchrl_drigm.evaluation import evaluate, read_metrics
from torchrl_drigm.trainers import load_checkpoint, load_team

pytestmark = pytest.mark.sustaingym
SHORT = (
    *("collector.total_frames=64", "replay.size=200"),
    *("log_interval=1", "optim.updates_per_batch=1"),
)
DAY = [{"name": "a", "days": (30, 31)}]


def build(run_dir, *overrides):
    cfg = config(*SHORT, *overrides)
    torch.manual_seed(0)
    return trainers.build(cfg, run_dir)


@pytest.mark.parametrize(
    ("building", "mixer"),
    [
        *(("RestaurantFastFood", mixer) for mixer in ("vdn", "qmix", "qtran")),
        *(("HotelLarge", "qmix"), ("OutPatientHealthCare", "qmix")),
    ],
)
def test_small_and_large_buildings_train(tmp_path, building, mixer):
    run = build(tmp_path, f"env.building={building}", f"mixer={mixer}")
    run.train()
    losses = read_metrics(tmp_path).filter(regex="^loss$|^value$").dropna()
    assert len(losses) and losses.map(math.isfinite).all(axis=None)
    # random play in the office gives -14 to 1; in rooms of few square metres full power is 66 °C
    rewards = run.trainer.replay_buffer[:]["next", "reward"]
    assert -100 < rewards.min() < rewards.max() <= 3


@pytest.fixture
def barn(tmp_path):
    """Overrides of a run in a building and a climate of one's own, and the building's file."""
    text, walls = shipped_building("Warehouse")
    file = tmp_path / "barn.htm"
    file.write_text(text)
    weather = warmer_weather(tmp_path / "warm.epw")
    return file, [
        *(f"env.building={file}", f"env.U_Wall={walls}", f"env.climates=[[{weather},Oasis]]"),
        f"env.ground_temp={{Oasis: {[10.0] * 12}}}",
        *("env.target=[16,12,14]", "env.ac_map=[true,false,true]", "env.time_res=900"),
        *("env.max_power=[4000,8000,8000]", "env.reward_pnorm=1"),
    ]


def test_a_team_of_ones_own_building_is_loaded_and_played(tmp_path, barn):
    _, overrides = barn
    run = build(tmp_path / "run", *overrides)
    run.train()
    team = load_team(tmp_path / "run")
    assert team.sizes.n_agents == 2 and team.sizes.state_size == 3 + 4
    results = evaluate(team, suite=DAY, episodes=1)
    assert results.equals(evaluate(run.team, suite=DAY, episodes=1))
    assert team.task.make_env(1, "test", 0, {}).base_env.building_parameters.time_res == 900


class TestZonesThatDoNotMatch:
    @pytest.fixture
    def trained(self, tmp_path, barn):
        file, overrides = barn
        overrides = [o for o in overrides if "ac_map" not in o and "[16," not in o]
        overrides = [o for o in overrides if "max_power" not in o]
        build(tmp_path / "run", *overrides).train()
        text, _ = shipped_building("RetailStandalone")  # of five zones
        shutil.copy(file, tmp_path / "before.htm")
        file.write_text(text)
        return file, overrides

    def test_evaluation_names_the_building(self, tmp_path, trained):
        match = r"has 5 agents, but the team was made for 3: .*barn.htm' has 5 zones: .*FRONT_ENTRY"
        with pytest.raises(ValueError, match=match):
            evaluate(load_team(tmp_path / "run"), suite=DAY, episodes=1)

    def test_a_resumed_run_names_the_building(self, tmp_path, trained):
        run = build(tmp_path / "other", *trained[1])
        match = r"sizes.n_agents: 3 there, 5 here.* names, '.*barn.htm', has changed since: put it"
        with pytest.raises(ValueError, match=match):
            load_checkpoint(run.trainer, tmp_path / "run" / "checkpoint")


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        (
            ["uncertainty=group_dr", "env.target=[20,21]"],
            r"target=\[20.0, 21.0\] has 2 numbers, .* 6 zones",
        ),
        (["env.climates=[[nowhere.epw,Tucson]]"], r"there is no file nowhere\.epw"),
        (
            ["uncertainty=group_dr", "uncertainty.climates=[[cold.epw,Tucson]]"],
            r"there is no file cold\.epw",
        ),
        (["env.climates=[[Hot_Dry,Oasis]]"], "location='Oasis' .*ground_temp={Oasis: "),
        (["evaluation.suite=[{name: a, climate: [x.epw, y]}]"], r"there is no file x\.epw"),
    ],
)
def test_nothing_is_written_before_it_is_refused(tmp_path, overrides, match):
    with pytest.raises((ValueError, FileNotFoundError), match=match):
        build(tmp_path / "run", *overrides)
    assert not (tmp_path / "run").exists()
