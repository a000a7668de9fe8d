"""What the presets make of every agent, mixer and uncertainty set."""

from itertools import product

import pytest
from omegaconf import OmegaConf

from torchrl_drigm.config import compose_config, config_path

CONFIGS = {"fast": "building", "paper": "building", "battles": "battles"}
SETS = ("none", "contamination", "tv", "group_dr")
AGENTS, MIXERS = ("drqn", "recurrent"), ("vdn", "qmix", "qtran")
# ρ by preset and set; none of them for a set that has no size.
RHO = {
    ("paper", "contamination"): 0.02,
    ("paper", "tv"): 0.2,
    ("fast", "contamination"): 0.02,
    ("fast", "tv"): 0.3,
    ("battles", "contamination"): 0.005,
    ("battles", "tv"): 0.005,
}


def composed(preset, *overrides):
    return compose_config(f"preset={preset}", *overrides, config=CONFIGS[preset])


@pytest.mark.parametrize("uncertainty", SETS)
@pytest.mark.parametrize("preset", CONFIGS)
def test_every_set_has_its_own_rho(preset, uncertainty):
    for agent, mixer in product(AGENTS, MIXERS):
        choices = {"agent": agent, "mixer": mixer, "uncertainty": uncertainty}
        cfg = composed(preset, *(f"{group}={name}" for group, name in choices.items()))
        assert cfg.uncertainty.get("rho") == RHO.get((preset, uncertainty))
        # a choice has the fields of its own file, whatever the preset
        for group, name in choices.items():
            own = set(OmegaConf.load(config_path() / group / f"{name}.yaml")) - {"defaults"}
            assert set(cfg[group]) >= own
            extra = set(cfg[group]) - own
            assert not extra, f"{group}={name} has no {extra}"


def test_the_command_line_has_the_last_word():
    cfg = composed("fast", "uncertainty=contamination", "uncertainty.rho=0.3")
    assert cfg.uncertainty.rho == 0.3


def test_a_size_for_a_set_that_has_none_is_refused():
    with pytest.raises(Exception, match="rho"):
        composed("fast", "uncertainty=none", "uncertainty.rho=0.3")


@pytest.mark.parametrize(
    "group", ["preset_env", "preset_agent", "preset_mixer", "preset_uncertainty"]
)
def test_every_special_value_belongs_to_a_preset_and_a_choice(group):
    """A file of a name that no preset and choice make is never read."""
    kind = group.removeprefix("preset_")
    for file in (config_path() / group).glob("*.yaml"):
        preset, choice = file.stem.split("_", 1)
        assert (config_path() / "preset" / f"{preset}.yaml").exists()
        assert (config_path() / kind / f"{choice}.yaml").exists()
        cfg = composed(preset, f"{kind}={choice}")
        own = OmegaConf.load(file)
        own.pop("defaults", None)
        for field, value in own.items():
            assert cfg[kind][field] == value
