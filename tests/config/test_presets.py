"""What the presets make of every agent, mixer and uncertainty set."""

from itertools import product

import pytest
from omegaconf import OmegaConf

from torchrl_drigm.config import compose_config, config_path

CONFIGS = {"fast": "building", "paper": "building", "battles": "battles", "toy": "torchrl"}
SETS = ("none", "contamination", "tv", "cvar", "kl", "chi2", "group_dr")
AGENTS, MIXERS = ("drqn", "recurrent"), ("vdn", "qmix", "qtran")
# ρ by preset and set; none of them for a set that has no size.
RHO = {
    ("paper", "contamination"): 0.02,
    ("paper", "tv"): 0.2,
    ("fast", "contamination"): 0.02,
    ("fast", "tv"): 0.3,
    ("battles", "contamination"): 0.005,
    ("battles", "tv"): 0.005,
    ("toy", "contamination"): 0.3,
    ("toy", "tv"): 0.3,
    ("toy", "cvar"): 0.5,
} | {
    # without a discount in them, they need no other size for another horizon
    (preset, name): rho
    for preset in CONFIGS
    for name, rho in {"cvar": 0.2, "kl": 0.1, "chi2": 0.2}.items()
    if (preset, name) != ("toy", "cvar")
}
# What a preset sets of learning: the values of each group in the order of its fields.
LEARNING = {
    "paper": {
        "optim": ("rmsprop", 5e-4, 1.0, 10.0, 0.997, 0, None, False, 8),
        "replay": (10_000, 64),
        "exploration": (1.0, 0.01, 120_000),
        "target": (12_500, None),
        "collector": (16, 172_800, 64),
    },
    "fast": {
        "optim": ("adam", 8e-3, 0.0, 10.0, 0.99, 0, None, False, 1),
        "replay": (100_000, 256),
        "exploration": (1.0, 0.05, 10_000),
        "target": (None, 0.01),
        "collector": (64, 80_000, 512),
    },
    "battles": {
        "optim": ("adam", 1e-3, 1.0, 10.0, 0.99, 0, 0.8, True, 16),
        "replay": (6000, 32),
        "exploration": (1.0, 0.05, 100_000),
        "target": (None, 0.02),
        "collector": (2048, 1_000_000, 0),
    },
    "toy": {
        "optim": ("adam", 3e-3, 1.0, 10.0, 0.99, 0, None, False, 1),
        "replay": (100_000, 1024),
        "exploration": (1.0, 0.1, 64_000),
        "target": (None, 0.05),
        "collector": (128, 128_000, 2048),
    },
}


def composed(preset, *overrides):
    return compose_config(f"preset={preset}", *overrides, config=CONFIGS[preset])


@pytest.mark.parametrize("uncertainty", SETS)
@pytest.mark.parametrize("preset", CONFIGS)
def test_every_set_has_its_own_rho(preset, uncertainty):
    others = uncertainty in ("cvar", "kl", "chi2")  # no other files of presets than these
    for agent, mixer in [("drqn", "qmix")] if others else product(AGENTS, MIXERS):
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
        # of a choice's own group, but for what the choice asks of another one
        of_all = file.read_text().startswith("# @package _global_")
        found = cfg if of_all else cfg[kind]
        assert OmegaConf.merge(found, own) == found


@pytest.mark.parametrize("preset", CONFIGS)
def test_a_preset_sets_all_of_learning(preset):
    cfg = composed(preset)
    for group, values in LEARNING[preset].items():
        assert tuple(cfg[group].values()) == values


def test_what_a_preset_sets_of_a_building_does_not_reach_other_environments():
    for building in ("building", "building_all_climates"):
        env = composed("fast", f"env={building}").env
        assert env.n_action_levels == 40 and env.num_envs == 64
        assert (env.reward_scale, env.reward_loc) == (0.1, 3.0)
        assert env.loc[0] == 22.0 and env.scale == [2.0, 20.0, 20.0, 1.0, 0.2]
    env = composed("fast", "env=smax").env
    assert env.num_envs == 64
    assert (env.loc, env.scale, env.reward_scale) == (0.0, 1.0, 10.0)
