"""Names and arguments of before: they do what they did, and say what replaces them."""

import warnings

import pytest

pytest.importorskip(
    "sustaingym", reason='needs SustainGym: pip install "torchrl_drigm[sustaingym]"'
)

from torchrl_drigm import evaluation
from torchrl_drigm.evaluation import DoNothing, __main__, evaluate
from torchrl_drigm.tasks import BuildingTask

pytestmark = pytest.mark.sustaingym


def old(name):
    with pytest.warns(DeprecationWarning, match=rf"evaluation.{name} is deprecated"):
        return getattr(evaluation, name)


def test_suites_as_objects():
    suite = old("get_suite")("climate")
    assert suite == old("SUITES")["climate"]
    assert suite.shifts[0].climate == ("Hot_Dry", "Tucson") and suite.shifts[0].days == (0, 200)
    with pytest.raises(ValueError, match="suite='weather' is unknown; valid names: climate"):
        old("get_suite")("weather")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        evaluation.nonsense  # noqa: B018


def test_evaluate_takes_a_suite_in_second_place():
    expected = evaluate(DoNothing(), suite="climate", episodes=1)
    with pytest.warns(DeprecationWarning, match="the task comes second now"):
        assert evaluate(DoNothing(), "climate", episodes=1).equals(expected)
    with pytest.warns(DeprecationWarning, match=r"evaluate\(policy=...\) is deprecated"):
        assert evaluate(policy=DoNothing(), suite="climate", episodes=1).equals(expected)
    shift = old("Shift")("env_1", ("Hot_Dry", "Tucson"), (0, 200))
    suite = old("Suite")("one", "A test.", (shift,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = evaluate(DoNothing(), suite, episodes=1)
    # of a batch of another size: products round differently
    assert found["return"].tolist() == pytest.approx(expected["return"].tolist()[:1])


@pytest.mark.parametrize("given", [(2,), (2, 5)], ids=["episodes", "episodes and seed"])
def test_episodes_and_seed_of_before_came_third_and_fourth(given):
    with pytest.warns(DeprecationWarning, match="the task comes second now"):
        found = evaluate(DoNothing(), "climate", *given)
    named = dict(zip(("episodes", "seed"), given, strict=False))
    assert found.equals(evaluate(DoNothing(), suite="climate", **named))


def test_env_kwargs_are_arguments_of_a_task():
    suite, kwargs = [{"name": "one"}], {"building": "Warehouse", "n_action_levels": 5}
    with pytest.warns(DeprecationWarning, match="env_kwargs is deprecated"):
        found = evaluate(DoNothing(), suite=suite, episodes=1, env_kwargs=kwargs)
    assert found.equals(evaluate(DoNothing(), BuildingTask(**kwargs), suite, episodes=1))


def test_the_command_of_before_hands_on(tmp_path, capsys):
    with pytest.raises(SystemExit):
        __main__.main(["compare", str(tmp_path)])
    errors = capsys.readouterr().err
    assert "use python -m torchrl_drigm compare" in errors and "no config.yaml" in errors
    with pytest.raises(SystemExit):
        __main__.main(["win-rates", str(tmp_path), "--out", str(tmp_path)])
    assert "name folders of runs" in capsys.readouterr().err
