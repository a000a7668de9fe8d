"""Buildings, weather, set points, heaters and rewards of one's own, against SustainGym's step."""

import contextlib
import inspect
import io
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torchrl.envs import check_env_specs

from tests.envs._own_building import shipped_building, warmer_weather
from tests.envs._sustaingym import TUCSON, at, follow
from torchrl_drigm import _installed
from torchrl_drigm.envs import BuildingParameters, RandomWeather, SustainGymEnv
from torchrl_drigm.envs.libs._building_file import ZONES, _shipped_zones, _zones_of, zones_of
from torchrl_drigm.tasks import OneStepOracle

pytestmark = pytest.mark.sustaingym

from sustaingym.envs.building import BuildingEnv, ParameterGenerator, utils  # noqa: E402

GROUND = [4.0, 3.0, 5.0, 8.0, 12.0, 16.0, 18.0, 18.0, 15.0, 11.0, 7.0, 5.0]


def real_building(building, weather, location, **parameters):
    """SustainGym's own, told in its own words.

    Its discrete actions do not allow a zone without a heater.
    """
    arrays = {
        name: np.array(value) if name in ("target", "max_power", "ac_map", "full_occ") else value
        for name, value in parameters.items()
    }
    arrays["episode_len"] = 86_400 // arrays.get("time_res", 300)
    with contextlib.redirect_stdout(io.StringIO()):
        made = ParameterGenerator(building, weather, location, **arrays)
    return BuildingEnv(made)


def assert_follows(env, real, day, steps):
    """Equal actions, equal temperatures, observations, rewards and end."""
    td = env.reset(at([day]))
    state, _ = real.reset(seed=day)
    np.testing.assert_allclose(td["state"][0], state, atol=1e-4, rtol=0)
    n, heated = env.n_agents, np.flatnonzero(real.ac_map)
    levels = torch.randint(200, (steps, 1, n), generator=torch.Generator().manual_seed(0))
    ours = follow(env, levels, td)
    for t in range(steps):
        action = np.zeros(real.n)
        action[heated] = (levels[t, 0] - 100) / 100
        state, reward, done, _, _ = real.step(action)
        np.testing.assert_allclose(ours["state"][t, 0], state, atol=2e-4, rtol=1e-5)
        assert torch.equal(ours["obs"][t, 0, :, 0], ours["state"][t, 0, heated])
        np.testing.assert_allclose(ours["reward"][t, 0, 0] / n, reward, atol=1e-3, rtol=1e-5)
        assert done == bool(ours["truncated"][t, 0, 0])


@pytest.mark.parametrize(
    ("building", "n", "parameters"),
    [
        ("RestaurantSitDown", 3, {"target": [18.0, 21.5, 24.0], "max_power": [4000, 8000, 16000]}),
        ("Warehouse", 3, {"ac_map": [True, False, True], "target": [20.0, 15.0, 21.0]}),
        ("Warehouse", 3, {"reward_beta": 0.5, "reward_pnorm": 1.0, "full_occ": [2, 0, 30]}),
        ("RetailStandalone", 5, {"reward_pnorm": float("inf"), "activity_sch": 200.0}),
        ("OfficeSmall", 6, {"shgc": 0.6, "shgc_weight": 0.05, "ground_weight": 0.1}),
    ],
    ids=["set points and power", "no heater", "reward and people", "largest", "sun and ground"],
)
def test_follows_sustaingym_with_its_parameters(building, n, parameters):
    env = SustainGymEnv(building=building, **parameters)
    real = real_building(building, *TUCSON, **parameters)
    assert len(env.zones) == n == real.n
    assert env.zones == tuple(zone.name for zone in real.zones)
    assert_follows(env, real, day=180, steps=24)


@pytest.mark.parametrize("seconds", [150, 900, 3600, 7200])
def test_an_episode_is_a_day_in_any_step(seconds):
    env = SustainGymEnv(building="RestaurantFastFood", time_res=seconds)
    real = real_building("RestaurantFastFood", *TUCSON, time_res=seconds)
    steps = 86_400 // seconds
    for day in (0, 364):
        assert_follows(env, real, day, steps=min(steps, 100))
    assert env.rollout(2000)["next", "truncated"].shape[1] == steps


@pytest.mark.parametrize("building", ["HotelLarge", "OutPatientHealthCare"])
def test_large_buildings_follow_sustaingym(building):
    assert_follows(SustainGymEnv(building=building), real_building(building, *TUCSON), 40, 8)


def test_the_number_of_zones_of_every_building_is_known():
    assert list(ZONES) == list(utils.BUILDINGS)
    small = {name: n for name, n in ZONES.items() if n <= 10}  # the others take seconds to read
    assert small == {name: len(SustainGymEnv(building=name).zones) for name in small}


@pytest.mark.parametrize("building", ["OfficeSmall", "Hospital", "HotelLarge", "Warehouse"])
def test_zones_are_read_as_sustaingym_reads_them(building, monkeypatch):
    read = zones_of(building)
    assert read == _shipped_zones(building) and len(read) == ZONES[building]
    monkeypatch.setattr(_installed, "building_file", lambda name: None)
    assert _zones_of(building, ("anew",)) == read


def test_arrays_are_lists():
    given = {"target": [20.0, 15.0, 21.0], "ac_map": [1, 0, 1], "ground_temp": GROUND}
    arrays = {name: np.array(value) for name, value in given.items()}
    own = BuildingParameters(**arrays, time_res=np.int64(600))
    assert own == BuildingParameters(**given, time_res=600)
    assert hash(own) == hash(BuildingParameters(**given, time_res=600))
    mapped = [BuildingParameters(ground_temp={"A": kind(GROUND)}) for kind in (list, np.array)]
    assert mapped[0] == mapped[1]


class TestZonesWithoutHeater:
    ENV: ClassVar = {"building": "Warehouse", "ac_map": [0, 1, 1], "target": [15.0, 20.0, 21.0]}

    def test_specs(self):
        env = SustainGymEnv(num_envs=2, failures={"observed": True}, **self.ENV)
        check_env_specs(env)
        td = env.reset()
        assert td["state"].shape == (2, 3 + 4 + 2)
        assert td["agents", "observation"].shape == (2, 2, 6)
        assert td["state"][0, :3].tolist() == [15.0, 20.0, 21.0]
        assert env.target.tolist() == [20.0, 21.0] and env.heated.tolist() == [1, 2]

    def test_an_action_adds_its_effect(self):
        env = SustainGymEnv(**self.ENV)
        td = env.reset(at([10]))
        idle, effect = env.passive_temperature(), env.action_effect
        assert effect.shape == (1, 3, 2)
        td["agents", "action"] = torch.tensor([[150, 40]])
        reached = idle + effect @ torch.tensor([0.5, -0.6])
        torch.testing.assert_close(env.step(td)["next", "state"][:, :3], reached)

    def test_the_oracle_reaches_the_set_points_of_the_others(self):
        env = SustainGymEnv(n_action_levels=2000, **self.ENV)
        td, oracle = env.reset(at([100])), OneStepOracle()
        oracle.bind(env)
        td = env.step(oracle(td))["next"]
        reachable = (env.target - env.passive_temperature()[:, [1, 2]]).abs() < 0.05
        assert reachable.any()
        assert ((td["state"][:, [1, 2]] - env.target).abs() < 5e-3)[reachable].all()


class TestFiles:
    def test_weather_of_ones_own(self, tmp_path):
        file = warmer_weather(tmp_path / "warm.epw", 3.0)
        ground = {"ground_temp": {"Oasis": GROUND}}
        env = SustainGymEnv(building="Warehouse", climates=[(file, "Oasis")], **ground)
        real = real_building("Warehouse", file, "Oasis", ground_temp=GROUND)
        assert_follows(env, real, day=33, steps=12)
        shipped = SustainGymEnv(building="Warehouse")
        seen = [e.reset(at([200]))["state"][0, 3:5] for e in (env, shipped)]
        assert (seen[0][0] - seen[1][0]).item() == pytest.approx(3.0, abs=1e-4)
        assert seen[0][1].item() == 18.0  # of July

    def test_a_file_that_changed_is_read_again(self, tmp_path):
        first = SustainGymEnv(climates=[(Path(warmer_weather(tmp_path / "a.epw", 1.0)), "Tucson")])
        second = SustainGymEnv(climates=[(warmer_weather(tmp_path / "a.epw", 12.5), "Tucson")])
        outdoor = [env.reset(at([5]))["state"][0, 6].item() for env in (first, second)]
        assert outdoor[1] - outdoor[0] == pytest.approx(11.5, abs=1e-3)

    def test_twelve_numbers_are_for_locations_that_sustaingym_lacks(self, tmp_path):
        file = warmer_weather(tmp_path / "a.epw")
        env = SustainGymEnv(
            climates=[(file, "Oasis"), (file, "Tampa")], ground_temp=GROUND, num_envs=2
        )
        td = env.reset(at([0, 0], [0, 1]))
        assert td["state"][:, 7].tolist() == pytest.approx([4.0, utils.GROUND_TEMP["Tampa"][0]])

    def test_a_mapping_is_also_for_those_that_it_has(self):
        """Such as the minus signs that some have lost."""
        climate = ("Subarctic/Arctic", "Fairbanks")
        cold = [-x for x in GROUND]
        env = SustainGymEnv(climates=[climate], ground_temp={"Fairbanks": cold})
        assert env.reset(at([0]))["state"][0, 7].item() == -4.0

    def test_building_of_ones_own(self, tmp_path):
        text, walls = shipped_building("Warehouse")
        file = tmp_path / "barn.htm"
        file.write_text(text.replace("ZONE1 OFFICE", "MILKING PARLOUR"))
        env = SustainGymEnv(building=file, U_Wall=walls, target=[16.0, 12.0, 12.0])
        assert env.zones[0] == "MILKING PARLOUR"
        real = real_building("Warehouse", *TUCSON, target=[16.0, 12.0, 12.0])
        assert_follows(env, real, day=90, steps=8)


class TestRefused:
    @pytest.mark.parametrize(
        ("parameters", "match"),
        [
            (
                {"target": [20.0] * 5},
                r"target=\[20.0, .* has 5 numbers, and building='Off.*' has 6 zones: .*, ATTIC",
            ),
            ({"max_power": [8000] * 7}, "max_power=.* has 7 numbers, .* 6 zones"),
            ({"ac_map": [True, False]}, "ac_map=.* has 2 numbers, .* 6 zones"),
            ({"target": "warm"}, "target='warm' must be a finite number, in °C"),
            ({"target": 900.0}, "target=900.0 must be .*, in °C between -60 and 60"),
            ({"target": 295.0}, "target=295.0 must be .*, in °C between"),  # in K
            ({"target": [20.0, float("nan")]}, r"target\[1\]=nan must be a finite number"),
            ({"max_power": 0}, "max_power=0 must be a finite number, above 0 W"),
            (
                {"ac_map": [2, 1, 1, 1, 1, 1]},
                r"ac_map\[0\]=2 must be a finite number, true or false",
            ),
            ({"ac_map": False}, "ac_map=False leaves no zone with a heater"),
            ({"reward_beta": 1.5}, r"reward_beta=1.5 must be a finite number, in \[0, 1\]"),
            ({"reward_beta": [0.5]}, r"reward_beta=\[0.5\] must be one number"),
            ({"reward_pnorm": 0.5}, "reward_pnorm=0.5 must be a finite number, at least 1"),
            ({"time_res": 420}, "time_res=420 must be an int of seconds that divides"),
            ({"time_res": 0}, "time_res=0 must be an int"),
            ({"time_res": 300.0}, "time_res=300.0 must be an int"),
            ({"ground_temp": [1.0] * 11}, r"ground_temp=\[.* must be 12 numbers, °C of each month"),
            (
                {"ground_temp": {"A": [999.0] * 12}},
                r"ground_temp\['A'\]\[0\]=999.0 must be .* -60 and 60",
            ),
            (
                {"U_Wall": [1.0] * 7},
                r"U_Wall=\[1.0, .* SustainGym has its own numbers for building='Off",
            ),
            ({"U_Wall": [1.0] * 6}, "U_Wall=.* must be 7 numbers, one for each of intwall, floor"),
            ({"building": "barn.htm"}, "building='barn.htm' is a file, .* give U_Wall="),
            (
                {"building": "Barn"},
                r"building='Barn' is unknown; .*Warehouse; or a file of .* \*.htm",
            ),
            ({"climates": [("Hot", "Tucson")]}, "weather='Hot' is unknown; .*; or an .epw file"),
            (
                {"climates": [("Hot_Dry", "Paris")]},
                "location='Paris' .* 0 °C all year. Give it .*ground_temp={Paris: ",
            ),
            (
                {"ground_temp": {"Rome": GROUND}, "climates": [("Hot_Dry", "Paris")]},
                "location='Paris' is unk",
            ),
        ],
    )
    def test_arguments(self, parameters, match):
        with pytest.raises(ValueError, match=match):
            SustainGymEnv(**parameters)

    def test_a_parameter_that_there_is_not(self):
        with pytest.raises(
            TypeError, match=r"^SustainGymEnv got an .* argument 'targets'\. .*target,"
        ):
            SustainGymEnv(targets=20.0)

    def test_files_that_are_not_there(self, tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"climates: there is no file nowhere\.epw: .*started in"
        ):
            SustainGymEnv(climates=[("nowhere.epw", "Tucson")])
        with pytest.raises(FileNotFoundError, match=r"building='no\.htm': there is no such file"):
            SustainGymEnv(building="no.htm", U_Wall=[1.0] * 7)

    def test_an_unknown_ground_is_shown_where_the_weather_file_tells_of_it(self, tmp_path):
        file = warmer_weather(tmp_path / "a.epw")
        with pytest.raises(
            ValueError, match=r"location='Oasis' .*a.epw has, 0.5 m below ground: \[12.94, "
        ):
            SustainGymEnv(climates=[(file, "Oasis")])

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            (lambda text: text[:4000], "is cut in 'Zone Information'"),
            (lambda text: "<html></html>", "has no table 'Zone Information'"),
            (
                lambda text: text.replace('    <td align="right">Maximum Y {m}</td>\n', ""),
                "has 28 columns|lacks 'Ex",
            ),
            (
                lambda text: text.replace('    <td align="right">149.56</td>\n', ""),
                "is not whole in row 1",
            ),
            (
                lambda text: text.replace(">9.14<", ">wide<"),
                "cannot read .*could not convert string to float: 'wide'",
            ),
            (
                lambda text: text.replace(">9.14<", ">0.00<"),
                "zone 'ZONE1 OFFICE' is 0 by .* needs a volume",
            ),
        ],
        ids=["cut", "another file", "column", "cell", "word", "flat"],
    )
    def test_a_building_file_that_sustaingym_cannot_read(self, tmp_path, change, match):
        text, walls = shipped_building("Warehouse")
        file = tmp_path / "barn.htm"
        file.write_text(change(text))
        with pytest.raises(ValueError, match=f"(?s)building='.*barn.htm'.*({match})"):
            SustainGymEnv(building=str(file), U_Wall=walls)


def test_defaults_are_sustaingyms():
    theirs = inspect.signature(ParameterGenerator).parameters
    ours = {name: getattr(BuildingParameters(), name) for name in BuildingParameters.names()}
    apart = {"ground_temp", "U_Wall"}  # zeros there, which are an error
    assert {n: v for n, v in ours.items() if n not in apart} == {
        name: theirs[name].default for name in ours if name not in apart
    }


def test_random_weather_is_the_same_process_in_any_step():
    weather, noise = RandomWeather(hours=6.0), torch.tensor([[1.0, -1.0]])
    still = torch.zeros(1, 2)
    long = weather.next_noise(noise, still, 1800)
    short = noise
    for _ in range(6):
        short = weather.next_noise(short, still, 300)
    torch.testing.assert_close(long, short)
