"""A user's own building as a task: what follows from its zones, and what is refused beforehand."""

import pytest
import torch

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from tests.envs._own_building import shipped_building, warmer_weather
from torchrl_drigm.config import compose_config
from torchrl_drigm.config.names import check_names
from torchrl_drigm.envs import BuildingParameters
from torchrl_drigm.envs.libs._building_file import ZONES
from torchrl_drigm.evaluation import ProportionalControl, evaluate
from torchrl_drigm.modules import DRQN
from torchrl_drigm.tasks import BuildingTask, make_task, read_suite
from torchrl_drigm.trainers import make_agents, make_env

pytestmark = pytest.mark.sustaingym
FAST = {"loc": [22.0, 0.0, 0.0, 0.0, 0.0], "scale": [2.0, 20.0, 20.0, 1.0, 0.2]}


class TestUnits:
    @pytest.mark.parametrize("building", ZONES)
    def test_learning_sees_the_same_for_the_same_error_in_every_building(self, building):
        """2 °C off in each zone is what the preset calls failed: worth 0."""
        cfg = compose_config(f"env.building={building}")
        task, n = make_task(cfg), ZONES[building]
        reward = -n * 0.999 * (n * 2.0**2) ** 0.5
        learned = cfg.env.reward_scale * reward / task.reward_unit + cfg.env.reward_loc
        assert learned == pytest.approx(0.0638, abs=1e-3)
        assert task.normalise(-9000.0 * task.reward_unit) == 0.0

    def test_they_follow_from_reward_heaters_and_step(self):
        assert BuildingTask().reward_unit == 1.0  # exactly: the office stays what it was
        two = BuildingTask(building="Warehouse", ac_map=[True, False, True])
        assert two.reward_unit == pytest.approx((2 / 6) ** 1.5)
        assert BuildingTask(reward_pnorm=float("inf")).reward_unit == pytest.approx(6**-0.5)
        assert BuildingTask(time_res=900).return_scaling == (3000.0, 3000.0)
        power = BuildingTask(reward_beta=0.0)
        assert power.reward_unit == pytest.approx(24 / 2.022)

    def test_rewards_are_divided_by_the_unit(self):
        overrides = ["env.building=Warehouse", "env.num_envs=2", "preset=paper"]
        env = make_env(compose_config(*overrides, "env.reward_scale=0.5", "env.reward_loc=7"))
        steps = env.rollout(3)
        raw = steps["next", "episode_reward"].diff(dim=1, prepend=torch.zeros(2, 1, 1))
        expected = 0.5 * raw / BuildingTask(building="Warehouse").reward_unit + 7
        torch.testing.assert_close(steps["next", "reward"], expected)


class TestSetPoints:
    """Networks and state count temperatures from each zone's own."""

    OVERRIDES = ("env.building=Warehouse", "env.ac_map=[true,false,true]", "env.num_envs=2")

    @pytest.mark.parametrize("shared", [False, True], ids=["unshared", "shared"])
    def test_agents_at_their_set_points_see_the_same(self, shared):
        cfg = compose_config(
            *self.OVERRIDES, "env.target=[18,22,20]", f"agent.share_params={shared}"
        )
        env = make_env(cfg)
        agents = make_agents(cfg, env)
        td = env.reset()
        own = td["agents", "observation"][..., 0]
        assert own[0].tolist() == [18.0, 20.0]
        (drqn,) = (module for module in agents.modules() if isinstance(module, DRQN))
        seen = (td["agents", "history", "observation"] - drqn.observation_loc)[..., 0]
        assert (seen == 0).all() and seen.shape == (2, 2, 1)
        assert (td["state"][:, :3] == 0).all()

    def test_one_set_point_for_all(self):
        cfg = compose_config(*self.OVERRIDES, "env.target=19.5")
        agents = make_agents(cfg, make_env(cfg))
        (drqn,) = (module for module in agents.modules() if isinstance(module, DRQN))
        assert drqn.observation_loc.tolist() == [19.5, 0.0, 0.0, 0.0, 0.0]

    def test_proportional_control_goes_to_them(self):
        suite = [{"name": "a", "days": (20, 21)}]
        task = BuildingTask(building="OfficeMedium", target=18.0, **FAST)
        own = evaluate(ProportionalControl(), task, suite, episodes=1)
        usual = evaluate(ProportionalControl(setpoint=22.0), task, suite, episodes=1)
        assert own["return"].item() > usual["return"].item() / 2


class TestRefused:
    def test_before_anything_is_made(self, tmp_path):
        text, walls = shipped_building()
        file = tmp_path / "barn.htm"
        file.write_text(text)
        task = BuildingTask(building=str(file), U_Wall=walls, target=[20.0] * 4)
        match = r"target=\[20.0, .* has 4 numbers, and building='.*barn.htm' has 3 zones"
        with pytest.raises(ValueError, match=match):
            task.check()

    def test_a_number_is_named_as_in_the_config(self):
        with pytest.raises(ValueError, match="env: reward_beta=2 must be"):
            BuildingTask(reward_beta=2)

    def test_ground_that_nothing_stands_on(self):
        task = BuildingTask(ground_temp=[10.0] * 12)
        with pytest.raises(ValueError, match=r"ground_temp=\[10.0, .* it has its own for Tucson"):
            task.check()

    @pytest.mark.parametrize(
        ("climate", "match"),
        [
            (("Hot", "Tucson"), "shift 'a': climates: weather='Hot' is unknown"),
            (("Hot_Dry", "Oasis"), "shift 'a': climates: location='Oasis' is unknown"),
            (("no.epw", "Tucson"), r"shift 'a': climates: there is no file no\.epw"),
        ],
    )
    def test_a_shift_to_a_climate_that_there_is_not(self, climate, match):
        with pytest.raises(ValueError, match=match):
            read_suite(BuildingTask(), [{"name": "a", "climate": climate}])

    def test_a_shift_to_an_own_climate(self, tmp_path):
        climate = (warmer_weather(tmp_path / "a.epw"), "Oasis")
        task = BuildingTask(building="Warehouse", ground_temp={"Oasis": [10.0] * 12})
        suite = [{"name": "as trained"}, {"name": "warm", "climate": climate}]
        results = evaluate(ProportionalControl(), task, suite, episodes=1)
        assert results["location"].tolist() == ["Tucson", "Oasis"]


def test_a_config_has_every_parameter_with_its_default():
    env = compose_config("preset=paper").env
    assert {name: env[name] for name in BuildingParameters.names()} == {
        name: getattr(BuildingParameters(), name) for name in BuildingParameters.names()
    }
    assert make_task(compose_config()).parameters == BuildingParameters()


@pytest.mark.parametrize("ground", [[10] * 12, f"{{Oasis: {[10] * 12}}}"], ids=["all", "one"])
def test_a_place_of_ones_own_passes_the_check_before_pytorch(ground):
    check_names(compose_config("env.climates=[[Hot_Dry,Oasis]]", f"env.ground_temp={ground}"))
    with pytest.raises(ValueError, match=r"env\.climates: location='Oasis' is unknown"):
        check_names(compose_config("env.climates=[[Hot_Dry,Oasis]]"))
