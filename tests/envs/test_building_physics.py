"""Other physics of a building, against SustainGym's own step with parameters scaled beforehand."""

import contextlib
import io

import numpy as np
import pytest
import torch

from tests.envs._sustaingym import TUCSON, at, follow
from torchrl_drigm.envs import BuildingPhysics, SustainGymEnv
from torchrl_drigm.tasks import OneStepOracle

pytestmark = pytest.mark.sustaingym

from sustaingym.envs.building import BuildingEnv, ParameterGenerator, utils  # noqa: E402

NEW_YORK = ("Mixed_Humid", "NewYork")
POWER_OF_SUSTAINGYM, GROUND_WEIGHT = 8000, 0.5  # defaults of its generator
OTHERS = [
    BuildingPhysics(heating_power=2.5, thermal_resistance=0.5, ground_coupling=2.0),
    BuildingPhysics(heating_power=0.4, thermal_resistance=2.0, ground_coupling=0.5),
]


def real_building(monkeypatch, building, climate, physics):
    """SustainGym's own, made from U-values, ground weight and power that are scaled beforehand."""
    file, u = utils.BUILDINGS[building]
    resistance = physics.thermal_resistance
    walls = {name: value / resistance for name, value in u._asdict().items()}
    walls["groundfloor"] = u.groundfloor
    with monkeypatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setitem(utils.BUILDINGS, building, (file, utils.Ufactor(**walls)))
        parameters = ParameterGenerator(
            building,
            *climate,
            max_power=POWER_OF_SUSTAINGYM * physics.heating_power,
            ground_weight=GROUND_WEIGHT * physics.ground_coupling,
            is_continuous_action=False,
        )
    return BuildingEnv(parameters)


@pytest.mark.parametrize("physics", [*OTHERS, BuildingPhysics()], ids=["more", "less", "nominal"])
@pytest.mark.parametrize("building", ["OfficeSmall", "Warehouse", "HotelLarge"])
def test_follows_sustaingym_with_scaled_parameters(monkeypatch, building, physics):
    env = SustainGymEnv(building=building, climates=[NEW_YORK], physics=physics)
    td = env.reset(at([40]))
    levels = torch.randint(200, (288, 1, env.n_agents), generator=torch.Generator().manual_seed(0))
    ours = follow(env, levels, td)
    real = real_building(monkeypatch, building, NEW_YORK, physics)
    real.reset(seed=40)
    for t in range(288):
        state, reward, *_ = real.step(levels[t, 0].numpy())
        np.testing.assert_allclose(ours["state"][t, 0], state, atol=1e-4, rtol=1e-5)
        np.testing.assert_allclose(
            ours["reward"][t, 0, 0] / env.n_agents, reward, atol=1e-3, rtol=1e-5
        )


def effects(**physics):
    """°C of one unit of action, and zone temperatures of the next step without any."""
    env = SustainGymEnv(climates=[NEW_YORK], physics=physics)
    env.reset(at([20]))
    return env.action_effect[0], env.passive_temperature()[0]


def test_heating_power_scales_what_an_action_does_and_nothing_else():
    (nominal, idle), (strong, same) = effects(), effects(heating_power=2.5)
    torch.testing.assert_close(strong, 2.5 * nominal)
    assert torch.equal(same, idle)


@pytest.mark.parametrize("physics", OTHERS, ids=["more", "less"])
def test_the_oracle_knows_the_physics(physics):
    env = SustainGymEnv(climates=[TUCSON], physics=physics)
    td = env.reset(at([100]))
    oracle = OneStepOracle()
    oracle.bind(env)
    for _ in range(20):
        td = env.step(oracle(td))["next"]
    # half a level of each agent's power is what the grid may miss
    missed = (td["state"][:, :6] - 22).abs()
    assert (missed <= 0.005 * env.action_effect.abs().sum(-1) + 1e-4).all()


@pytest.mark.parametrize("name", BuildingPhysics.__dataclass_fields__)
@pytest.mark.parametrize("factor", [0, -1.0, float("inf"), "high", True])
def test_what_is_no_factor_is_refused(name, factor):
    with pytest.raises(ValueError, match=rf"physics: {name}=.* must be a .*, a factor above 0"):
        SustainGymEnv(physics={name: factor})


def test_fields_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match=r"physics={'wind': 2} must be None, .*'heating_power'"):
        SustainGymEnv(physics={"wind": 2})
