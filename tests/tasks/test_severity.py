"""Shifts of what is random in a nominal model: words, suites and what they are refused for."""

import pytest
import torch

from tests.tasks.toys import Counting
from torchrl_drigm.envs import HeaterFailures, RandomWeather
from torchrl_drigm.envs.transforms import ActionFailure
from torchrl_drigm.evaluation import ProportionalControl, evaluate
from torchrl_drigm.tasks import BuildingTask, SMACTask, SMAXTask, TorchRLTask, read_suite
from torchrl_drigm.tasks.suites import refuse_test_shifts

FAILURES = {"rate": 0.05, "steps": 12, "observed": True}
JAMS = {"rate": 0.02, "steps": 4}
NOISY = {
    "make": "torchrl_drigm.envs.NoisyVmasEnv",
    "kwargs": {
        "scenario": "navigation",
        "continuous_actions": False,
        "actuator_noise": 0.1,
        "severity": 2.0,
    },
}


def random_of(task, shift):
    env = task.make_env(1, "test", 0, {"name": "shift", **shift}).base_env
    return env.failures, env.random_weather


@pytest.mark.sustaingym
def test_a_nominal_building_is_as_random_as_its_options_say():
    assert random_of(BuildingTask(), {}) == (None, None)
    task = BuildingTask(failures=FAILURES, random_weather={"hours": 2.0})
    assert random_of(task, {}) == (HeaterFailures(**FAILURES), RandomWeather(hours=2.0))


@pytest.mark.sustaingym
def test_severity_is_a_factor_on_all_that_is_random():
    task = BuildingTask(failures={**FAILURES, "severity": 2.0}, random_weather={})
    failures, weather = random_of(task, {"severity": 3.0})
    assert (failures.severity, weather.severity) == (6.0, 3.0)
    assert (failures.rate, failures.steps, failures.observed) == (0.05, 12, True)


@pytest.mark.sustaingym
def test_a_shift_may_change_or_add_single_fields():
    task = BuildingTask(failures=FAILURES)
    failures, weather = random_of(task, {"failures": {"steps": 99}, "random_weather": {}})
    assert failures == HeaterFailures(**{**FAILURES, "steps": 99})
    assert weather == RandomWeather()
    # a team that was trained without failures sees what it always saw
    failures, _ = random_of(BuildingTask(), {"failures": {"rate": 0.2}})
    assert failures == HeaterFailures(rate=0.2)


def test_a_random_nominal_model_is_tested_on_severities_first():
    task = BuildingTask(failures=FAILURES)
    name, shifts = read_suite(task)
    assert name == "severity"
    assert [shift["severity"] for shift in shifts] == [1, 2, 4, 6]
    assert read_suite(task, "climate")[1] == list(BuildingTask.suites["climate"])
    assert "severity" not in BuildingTask().suites


RANDOM = {
    "building": BuildingTask(failures=FAILURES),
    "weather": BuildingTask(random_weather={}),
    "smax": SMAXTask(action_failure=JAMS),
    "smac": SMACTask(action_failure=JAMS),
    "noise": TorchRLTask(**NOISY),
    "actions": TorchRLTask(make=Counting, action_failure={**JAMS, "fallback": 0}),
}


@pytest.mark.parametrize("task", RANDOM.values(), ids=RANDOM.keys())
def test_what_is_chosen_by_is_not_tested_in(task):
    refuse_test_shifts(task, "validation", read_suite(task, "validation")[1], {})


@pytest.mark.parametrize(
    ("task", "shift"),
    [
        ("building", {"failures": {"severity": 2.0}}),
        ("building", {"severity": 0.5, "failures": {"severity": 8.0}, "days": [0, 200]}),
        ("weather", {"random_weather": {"severity": 6.0}}),
        ("smax", {"action_failure": {"rate": 0.04}}),
        ("smax", {"enemy_damage": 1.0, "severity": 1.0}),
        ("smac", {"action_failure": {"severity": 4.0}}),
        ("noise", {"severity": 6.0, "actuator_noise": 0.1}),
        ("actions", {"action_failure": {"rate": 0.12, "steps": 4}}),
        # a larger rate, deviation or noise instead of a severity
        ("building", {"failures": {"rate": 0.3}}),
        ("building", {"failures": {"rate": 0.025}, "severity": 8.0}),
        ("weather", {"random_weather": {"temperature": 6.0, "clouds": 1.0}}),
        ("weather", {"random_weather": {"temperature": 18.0, "clouds": 1.0}}),
        ("noise", {"actuator_noise": 0.2}),
    ],
)
def test_a_test_shift_in_other_words_is_refused_for_choosing(task, shift):
    with pytest.raises(ValueError, match=r"'mine' is 'severity .' of the test suite 'severity'"):
        refuse_test_shifts(RANDOM[task], "own", [{"name": "mine", **shift}], {})


def test_a_test_shift_that_cannot_be_played_does_not_keep_others_from_choosing():
    # at the severities 4 and 6 of the test suite the probability would be above 1
    task = SMAXTask(action_failure={"rate": 0.3})
    refuse_test_shifts(task, "validation", read_suite(task, "validation")[1], {})
    with pytest.raises(ValueError, match="'mine' is 'severity 2'"):
        refuse_test_shifts(task, "own", [{"name": "mine", "severity": 2}], {})


@pytest.mark.parametrize(
    ("task", "values", "message"),
    [
        (BuildingTask(), {"severity": 2}, "severity=2 is a factor on .* env=building_failures"),
        (BuildingTask(failures={}), {"severity": -1}, "severity=-1 must be a finite number"),
        (BuildingTask(failures={}), {"severity": "high"}, "severity='high' must be"),
        (BuildingTask(failures={}), {"severity": 11.0}, "failures: severity=11.0 times rate=0.1"),
        (BuildingTask(), {"failures": {"rate": 2}}, "failures: rate=2 must be"),
        (BuildingTask(), {"failures": 0.1}, "failures=0.1 must be a mapping of fields"),
        (
            BuildingTask(),
            {"failures": {"observed": True}},
            "failures: observed is what",
        ),
        (BuildingTask(), {"random_weather": {"wind": 2}}, "random_weather={'wind': 2.*'clouds'"),
        (SMAXTask(), {"severity": 2.0}, "severity=2.0 is a factor on what is random"),
        (SMAXTask(action_failure=JAMS), {"severity": 60.0}, "action_failure: severity=60.0 times"),
        (SMAXTask(), {"action_failure": {"steps": 2}}, "action_failure=.* needs 'rate', too"),
        (SMAXTask(), {"action_failure": 0.1}, "action_failure=0.1 must be a mapping with keys"),
        (SMAXTask(), {"enemy_damage": 0}, "enemy_damage=0 must be a positive number"),
        (BuildingTask(failures={}), {"failures": {"severity": "2"}}, "failures: severity='2' must"),
        (BuildingTask(), {"random_weather": {"severity": None}}, "severity=None must be a finite"),
        (SMAXTask(action_failure=JAMS), {"action_failure": {"severity": "2"}}, "severity='2' must"),
        (SMAXTask(), {"enemy_damage": float("inf")}, "enemy_damage=inf must be .* finite"),
        (SMAXTask(), {"enemy_health": "high"}, "enemy_health='high' must be a positive number"),
        (TorchRLTask(**NOISY), {"severity": -2.0}, "severity=-2.0 must be a finite number"),
        (TorchRLTask(make=Counting), {"action_failure": {"rate": 0.1}}, "needs 'fallback', too"),
    ],
)
def test_shifts_that_no_task_has_are_refused(task, values, message):
    with pytest.raises(ValueError, match=f"shift 'odd': .*{message}"):
        read_suite(task, [{"name": "odd", **values}])


def failure_of(task, shift):
    env = task.make_env(1, "test", 0, {"name": "shift", **shift})
    found = [transform for transform in env.transform if isinstance(transform, ActionFailure)]
    return found[0] if found else None


def test_severity_is_a_factor_on_how_often_actions_fail():
    task = TorchRLTask(make=Counting, action_failure={**JAMS, "fallback": 1})
    assert failure_of(TorchRLTask(make=Counting), {}) is None
    nominal, severe = failure_of(task, {}), failure_of(task, {"severity": 3.0})
    assert (nominal.probability, nominal.steps, nominal.fallback) == (0.02, 4, 1)
    assert (severe.probability, severe.steps, severe.fallback) == (0.06, 4, 1)
    assert failure_of(task, {"action_failure": {"steps": 9}, "severity": 2.0}).steps == 9


@pytest.mark.smax
def test_units_that_jam_stop():
    failure = failure_of(SMAXTask(num_envs=1, action_failure=JAMS), {"severity": 2.0})
    assert (failure.probability, failure.steps, failure.fallback) == (0.04, 4, 4)


@pytest.mark.smax
def test_enemies_are_as_hard_as_a_shift_says():
    task = SMAXTask(num_envs=1, enemy_damage=1.5)

    def factors(shift):
        env = task.make_env(1, "test", 0, {"name": "shift", **shift}).base_env
        return env.enemy_damage, env.enemy_health

    assert factors({}) == (1.5, 1.0)
    assert factors({"enemy_damage": 2, "enemy_health": 1.25}) == (2.0, 1.25)


@pytest.mark.vmas
def test_severity_is_a_factor_on_what_a_constructor_takes():
    pytest.importorskip("vmas", reason='needs vmas: pip install "torchrl_drigm[vmas]"')
    task = TorchRLTask(**NOISY)
    for shift, noise in (({}, 0.2), ({"severity": 3.0}, 0.6)):
        env = task.make_env(1, "test", 0, {"name": "shift", **shift}).base_env
        assert env.agents[0].u_noise == pytest.approx(noise)


@pytest.mark.parametrize("name", ["loc", "scale"])
def test_each_feature_needs_its_number(name):
    with pytest.raises(ValueError, match=rf"env.{name}=\[1, 1, 1, 1, 1\] must have .* 6 features"):
        BuildingTask(failures=FAILURES, **{name: [1] * 5})
    BuildingTask(failures=FAILURES, **{name: 2.0})


def test_options_that_are_none_are_refused_by_the_name_of_their_field():
    with pytest.raises(ValueError, match=r"env.failures: rate=-1 must be a finite number"):
        BuildingTask(failures={"rate": -1})


@pytest.mark.sustaingym
def test_the_state_is_scaled_as_the_observations_are():
    task = BuildingTask(failures=FAILURES, loc=[22, 0, 0, 0, 0, 1], scale=[2, 20, 20, 1, 0.2, 4])
    env = task.train_env(seed=0)
    (norm,) = task.learning_transforms(env)
    assert norm.loc.tolist() == [22.0] * 6 + [0.0] * 4 + [1.0] * 6
    torch.testing.assert_close(norm.scale, torch.tensor([2.0] * 6 + [20, 20, 1, 0.2] + [4.0] * 6))


@pytest.mark.sustaingym
def test_shifts_that_differ_in_what_is_random_share_their_days():
    task = BuildingTask(failures={"rate": 0.1})
    suite = [
        {"name": "mild", "severity": 1.0},
        {"name": "summer", "severity": 1.0, "days": (150, 200)},
        {"name": "severe", "severity": 9.0},
    ]
    results = evaluate(ProportionalControl(), task, suite, episodes=3)
    assert list(results["shift"].unique()) == ["mild", "summer", "severe"]
    mild, severe = (results[results["shift"] == name] for name in ("mild", "severe"))
    assert mild["day"].tolist() == severe["day"].tolist()
    assert mild["return"].mean() > severe["return"].mean()


def test_a_severity_that_is_no_number_is_refused_by_whoever_takes_it():
    task = TorchRLTask(**{**NOISY, "kwargs": {**NOISY["kwargs"], "severity": "high"}})
    with pytest.raises(ValueError, match="severity='high' must be a finite number"):
        task.make_env(1, "test", 0, {"severity": 2.0})
    with pytest.raises(ValueError, match="action_failure: severity='high' must be a finite"):
        SMAXTask(action_failure={**JAMS, "severity": "high"})


@pytest.mark.parametrize(("episodes", "games"), [(50, 2), (32, 4), (3, 3), (7, 1), (0, 1)])
def test_games_in_a_test_all_play_as_many_episodes(episodes, games):
    assert SMACTask(test_envs=4).test_envs(episodes) == games
