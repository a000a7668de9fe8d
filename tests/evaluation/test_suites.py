import subprocess
import sys

import pytest

from torchrl_drigm.envs import SustainGymEnv
from torchrl_drigm.evaluation import SUITES, get_suite


def test_climate_is_table_3():
    suite = get_suite("climate")
    assert [shift.name for shift in suite.shifts] == [f"env_{i}" for i in range(1, 7)]
    assert {shift.days for shift in suite.shifts} == {(0, 200)}
    assert [shift.climate for shift in suite.shifts] == [
        ("Hot_Dry", "Tucson"),
        ("Hot_Humid", "Tampa"),
        ("Very_Hot_Humid", "Honolulu"),
        ("Warm_Dry", "ElPaso"),
        ("Cool_Marine", "Seattle"),
        ("Mixed_Humid", "NewYork"),
    ]


@pytest.mark.sustaingym
@pytest.mark.parametrize("name", SUITES)
def test_sustaingym_knows_the_climates(name):
    pytest.importorskip(
        "sustaingym", reason='needs SustainGym: pip install "torchrl_drigm[sustaingym]"'
    )
    climates = dict.fromkeys(shift.climate for shift in SUITES[name].shifts)
    SustainGymEnv("building", climates=list(climates), seed=0)


def test_unknown():
    with pytest.raises(ValueError, match="suite='weather' is unknown; valid names: climate"):
        get_suite("weather")


def test_import_without_sustaingym():
    code = (
        "import sys; sys.modules['sustaingym'] = None\n"
        "from torchrl_drigm.evaluation import evaluate, get_suite\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
