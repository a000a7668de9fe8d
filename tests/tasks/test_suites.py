"""Suites as data: what a task knows of shifts, and what is refused by name."""

import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from torchrl_drigm.envs import SustainGymEnv
from torchrl_drigm.tasks import (
    BuildingTask,
    MachinesTask,
    SMACTask,
    SMAXTask,
    TorchRLTask,
    read_suite,
    refuse_test_shifts,
)

ONE = {"name": "summer", "days": [150, 240]}


def test_climate_is_table_3():
    name, shifts = read_suite(BuildingTask(), "climate")
    assert name == "climate"
    assert [shift["name"] for shift in shifts] == [f"env_{i}" for i in range(1, 7)]
    assert {shift["days"] for shift in shifts} == {(0, 200)}
    assert [shift["climate"] for shift in shifts] == [
        ("Hot_Dry", "Tucson"),
        ("Hot_Humid", "Tampa"),
        ("Very_Hot_Humid", "Honolulu"),
        ("Warm_Dry", "ElPaso"),
        ("Cool_Marine", "Seattle"),
        ("Mixed_Humid", "NewYork"),
    ]


@pytest.mark.sustaingym
@pytest.mark.parametrize("name", ["climate", "climate16", "validation"])
def test_sustaingym_knows_the_climates(name):
    pytest.importorskip(
        "sustaingym", reason='needs SustainGym: pip install "torchrl_drigm[sustaingym]"'
    )
    climates = dict.fromkeys(shift["climate"] for shift in BuildingTask.suites[name])
    SustainGymEnv("building", climates=list(climates), seed=0)


def test_without_a_suite_it_is_the_tasks_first():
    assert read_suite(BuildingTask())[0] == "climate"
    assert read_suite(SMAXTask()) == ("noise", SMAXTask.suites["noise"])


@pytest.mark.parametrize("kind", ["list", "config", "file"])
def test_a_suite_is_a_list_of_dictionaries_wherever_it_comes_from(tmp_path, kind):
    suite = [ONE, {"name": "as trained"}]
    given = suite
    if kind == "config":
        given = OmegaConf.create(suite)
    elif kind == "file":
        given = tmp_path / "seasons.yaml"
        OmegaConf.save(OmegaConf.create(suite), given)
    name, shifts = read_suite(BuildingTask(), given)
    assert shifts == suite
    assert name == ("seasons" if kind == "file" else "own")


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ("weather", "suite='weather' is unknown; valid names: climate"),
        ("nowhere.yaml", "suite='nowhere.yaml': there is no such file"),
        ([], "has no shifts"),
        ({"name": "summer"}, "must be a list of shifts"),
        ([{"days": [0, 2]}], r"shift 0 must be a dictionary with a 'name'"),
        (["summer"], r"shift 0 must be a dictionary with a 'name', got 'summer'"),
        ([ONE, ONE], "the name 'summer' is there twice"),
        (
            [{"name": "windy", "wind": 3}],
            r"'windy' has \['wind'\], which the task 'building' does not know; it knows "
            r"\['climate', 'days', 'severity', 'failures', 'random_weather', 'heating_power'",
        ),
    ],
)
def test_what_is_no_suite_is_refused(suite, message):
    with pytest.raises(ValueError, match=message):
        read_suite(BuildingTask(), suite)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {name: a, days: [1, 2]\n- {name: b}\n", r"line 2 cannot be read: expected ',' or '}'"),
        ("- name: a\n  days: [1, 2]\n days: 3\n", r"line 3 cannot be read: "),
        ("- {name: a, name: b}\n", r"line 1 cannot be read: found duplicate key"),
        ("- {name: a, days: '${nowhere}'}\n", r"cannot be read: .*interpolation.* 'nowhere'"),
        ("summer", r"holds {.summer.: None}, which is no list"),
        ("", r"holds {}, which is no list"),
        ("name: summer\n", r"holds {'name': 'summer'}, which is no list"),
        ("\x00", r"cannot be read: .*unacceptable character"),
        (b"- {name: \xff}", r"cannot be read: 'utf-8' codec"),
    ],
)
def test_a_file_that_is_no_suite_is_named_with_line_and_remedy(tmp_path, text, message):
    file = tmp_path / "mine.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message) as raised:
        read_suite(BuildingTask(), file)
    assert str(raised.value).startswith(f"suite='{file}'")
    assert str(raised.value).endswith("such as '- {name: summer, days: [150, 240]}'.")


@pytest.mark.parametrize(
    ("task", "values", "message"),
    [
        (BuildingTask(), {"days": 5}, r"days=5 must be \(lo, hi\) with"),
        (BuildingTask(), {"days": [10]}, r"days=\[10\] must be"),
        (BuildingTask(), {"days": [20, 10]}, r"days=\[20, 10\] must be"),
        (BuildingTask(), {"days": [300, 400]}, "hi <= 365"),
        (BuildingTask(), {"climate": "Hot_Dry"}, "climate='Hot_Dry' must be"),
        (SMAXTask(), {"noise_std": None}, "noise_std=None must be a finite number"),
        (SMAXTask(), {"noise_std": -1.0}, "noise_std=-1.0 must be"),
        (SMAXTask(), {"visible_only": False}, "give noise_std, too"),
        (TorchRLTask(make="torchrl.envs.VmasEnv"), {"seed": 3}, r"\['seed'\] is the task's own"),
    ],
)
def test_values_that_a_shift_cannot_have_are_refused_before_anything_is_played(
    task, values, message
):
    with pytest.raises(ValueError, match=f"shift 'odd': .*{message}"):
        read_suite(task, [{"name": "odd", **values}])


def test_a_file_is_not_called_like_a_suite_of_the_task(tmp_path):
    OmegaConf.save(OmegaConf.create([ONE]), tmp_path / "climate.yaml")
    with pytest.raises(ValueError, match=r"would be taken for 'climate', .* another name"):
        read_suite(BuildingTask(), tmp_path / "climate.yaml")


def test_a_shift_of_any_torchrl_environment_is_an_argument_of_it():
    task = TorchRLTask(make="torchrl.envs.VmasEnv", kwargs={"scenario": "balance"})
    suite = [{"name": "heavy", "package_mass": 10}]
    assert read_suite(task, suite)[1] == suite


FAILING = {"rate": 0.02, "fallback": 0}
RANDOM_TASKS = [
    BuildingTask(random_weather={"temperature": 3.0}),
    SMAXTask(action_failure={"rate": 0.02}),
    TorchRLTask(
        make="torchrl.envs.VmasEnv", kwargs={"scenario": "balance"}, action_failure=FAILING
    ),
    TorchRLTask(
        make="torchrl_drigm.envs.NoisyVmasEnv", kwargs={"scenario": "balance", "severity": 2.0}
    ),
]


class TestValidation:
    """No parameter is chosen where it is tested."""

    @pytest.mark.parametrize(
        "task", [BuildingTask(), SMAXTask(), SMACTask(), MachinesTask(), *RANDOM_TASKS]
    )
    def test_no_test_suite_has_a_shift_of_it(self, task):
        refuse_test_shifts(task, *read_suite(task, "validation"), {})

    @pytest.mark.parametrize(
        ("task", "shift", "other"),
        [
            (BuildingTask(), {"climate": ["Hot_Humid", "Tampa"], "days": [0, 200]}, "env_2"),
            (BuildingTask(), {"climate": ("Hot_Humid", "Tampa")}, "env_2"),  # on days of training
            (BuildingTask(), {"days": [0, 200]}, "env_1"),  # in the climate of training
            (SMAXTask(), {"noise_std": 0.75, "visible_only": True}, "noisy"),
            (SMAXTask(), {"noise_std": 0, "visible_only": False}, "clean"),
        ],
    )
    def test_a_shift_is_known_by_its_contents(self, task, shift, other):
        with pytest.raises(ValueError, match=f"shift 'mine' is '{other}' of the test suite"):
            refuse_test_shifts(task, "own", [{"name": "mine", **shift}], {})

    @pytest.mark.parametrize(
        ("task", "shift"),
        [
            (BuildingTask(), {"climate": ["Hot_Humid", "Tampa"], "days": [200, 365]}),
            (BuildingTask(days=(0, 100)), {"climate": ["Hot_Humid", "Tampa"]}),
            (SMAXTask(), {"noise_std": 0.75, "visible_only": False}),
        ],
    )
    def test_another_one_of_the_same_name_is_no_test(self, task, shift):
        refuse_test_shifts(task, "own", [{"name": "env_2", **shift}], {})

    @pytest.mark.parametrize("task", RANDOM_TASKS)
    def test_of_a_random_model_it_is_a_severity(self, task):
        assert [shift["severity"] for shift in task.suites["validation"]] == [3.0]
        shifts = [{"name": "mine"}]  # severity 1
        with pytest.raises(ValueError, match=r"shift 'mine' is 'severity 1' of .* 'severity'"):
            refuse_test_shifts(task, "own", shifts, {})

    def test_suites_of_a_config_are_tests_too(self):
        task = TorchRLTask(
            make="torchrl.envs.VmasEnv", kwargs={"scenario": "balance", "n_agents": 4}
        )
        tested = {"evaluation.suite=mine": [{"name": "heavy", "package_mass": 9}]}
        with pytest.raises(ValueError, match=r"is 'heavy' of .*suite=mine'.* a YAML file of your"):
            shifts = [{"name": "x", "n_agents": 4, "package_mass": 9}]
            refuse_test_shifts(task, "own", shifts, tested)


def test_import_without_sustaingym():
    code = (
        "import sys; sys.modules['sustaingym'] = None\n"
        "from torchrl_drigm.evaluation import evaluate\n"
        "from torchrl_drigm.tasks import read_suite, BuildingTask\n"
        "read_suite(BuildingTask(), 'climate')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
