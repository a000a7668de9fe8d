"""What the presets make of every agent, mixer and uncertainty set."""

from itertools import product

import pytest
from omegaconf import OmegaConf

from torchrl_drigm.config import check_config, compose_config, config_path
from torchrl_drigm.trainers.builders import make_uncertainty
from torchrl_drigm.uncertainty import ForcedTotalVariation

CONFIGS = {
    "fast": "building",
    "paper": "building",
    "released": "building",
    "battles": "battles",
    "toy": "torchrl",
}
SETS = ("none", "contamination", "tv", "cvar", "kl", "chi2", "group_dr")
AGENTS, MIXERS = ("drqn", "recurrent"), ("vdn", "qmix", "qtran")
# ρ by preset and set; none of them for a set that has no size.
RHO = {
    ("paper", "contamination"): 0.02,
    ("paper", "tv"): 0.2,
    ("released", "contamination"): 0.02,
    ("released", "tv"): 0.2,
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
        "optim": ("rmsprop", 5e-4, 1.0, 10.0, 0.997, 0, None, False, 8, False),
        "replay": (10_000, 64, False),
        "exploration": (1.0, 0.01, 120_000, "agent"),
        "target": (12_500, None),
        "collector": (16, 172_800, 64),
    },
    "released": {
        "optim": ("adam", 5e-4, 1.0, 10.0, 0.997, 0, None, False, 4, False),
        "replay": (10_000, 64, True),
        "exploration": (1.0, 0.01, 120_000, "team"),
        "target": (12_500, None),
        "collector": (8, 172_800, 64),
    },
    "fast": {
        "optim": ("adam", 8e-3, 0.0, 10.0, 0.99, 0, None, False, 1, False),
        "replay": (100_000, 256, False),
        "exploration": (1.0, 0.05, 10_000, "agent"),
        "target": (None, 0.01),
        "collector": (64, 80_000, 512),
    },
    "battles": {
        "optim": ("adam", 1e-3, 1.0, 10.0, 0.99, 0, 0.8, True, 16, False),
        "replay": (6000, 32, False),
        "exploration": (1.0, 0.05, 100_000, "agent"),
        "target": (None, 0.02),
        "collector": (2048, 1_000_000, 0),
    },
    "toy": {
        "optim": ("adam", 3e-3, 1.0, 10.0, 0.99, 0, None, False, 1, False),
        "replay": (100_000, 1024, False),
        "exploration": (1.0, 0.1, 64_000, "agent"),
        "target": (None, 0.05),
        "collector": (128, 128_000, 2048),
    },
}


def composed(preset, *overrides):
    return compose_config(f"preset={preset}", *overrides, config=CONFIGS[preset])


def every_second(uncertainty):
    """Each agent and each mixer, in half of their pairs: the other half for the next set."""
    first = SETS.index(uncertainty)
    every = product(enumerate(AGENTS), enumerate(MIXERS))
    return [(agent, mixer) for (i, agent), (j, mixer) in every if (first + i + j) % 2 == 0]


@pytest.mark.parametrize("uncertainty", SETS)
@pytest.mark.parametrize("preset", CONFIGS)
def test_every_set_has_its_own_rho(preset, uncertainty):
    others = uncertainty in ("cvar", "kl", "chi2")  # no other files of presets than these
    for agent, mixer in [("drqn", "qmix")] if others else every_second(uncertainty):
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


def test_every_special_value_of_two_choices_belongs_to_them():
    for file in (config_path() / "preset_env_mixer").glob("*.yaml"):
        preset, choices = file.stem.split("_", 1)
        env, mixer = choices.rsplit("_", 1)
        assert preset in CONFIGS and mixer in MIXERS
        cfg = composed(preset, f"env={env}", f"mixer={mixer}")
        own = OmegaConf.load(file)
        own.pop("defaults", None)
        assert OmegaConf.merge(cfg, own) == cfg


def test_qtran_is_fast_with_rewards_and_rounds_of_its_own():
    for env in ("building", "building_all_climates"):
        cfg = composed("fast", "mixer=qtran", f"env={env}")
        assert (cfg.env.reward_scale, cfg.env.reward_loc) == (0.01, 0.3)  # ten times less, both
        assert (cfg.optim.lr, cfg.mixer.lr, cfg.optim.lr_end_factor) == (3e-3, 3e-3, 0)
        assert (cfg.optim.updates_per_batch, cfg.target.tau) == (4, 1e-3)
        assert cfg.mixer.deviation_weight == 1.0
    assert composed("fast", "mixer=qtran", "env=evcharging").env.reward_scale == 10.0
    assert composed("fast", "mixer=qtran").mixer.joint_state


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_qtran_of_the_paper_has_its_terms_and_what_its_joint_network_sees(preset):
    mixer = composed(preset, "mixer=qtran", "uncertainty=none").mixer
    assert mixer.deviation_weight is None and not mixer.joint_state


@pytest.mark.parametrize("preset", CONFIGS)
def test_a_preset_sets_all_of_learning(preset):
    overrides = ("uncertainty=none",) if preset == "released" else ()
    cfg = composed(preset, *overrides)
    for group, values in LEARNING[preset].items():
        assert tuple(cfg[group].values()) == values


def test_what_a_preset_sets_of_a_building_does_not_reach_other_environments():
    for building in ("building", "building_all_climates"):
        cfg = composed("fast", f"env={building}")
        env = cfg.env
        assert cfg.agent.action_degree == 2
        assert env.n_action_levels == 200 and env.num_envs == 64
        assert (env.reward_scale, env.reward_loc) == (0.1, 3.0)
        assert env.loc[0] == 22.0 and env.scale == [2.0, 20.0, 20.0, 1.0, 0.2]
    cfg = composed("fast", "env=smax")
    env = cfg.env
    assert cfg.agent.action_degree is None
    assert env.num_envs == 64
    assert (env.loc, env.scale, env.reward_scale) == (0.0, 1.0, 10.0)


# What the released code does for each mixer, and with total variation.
RELEASED = {
    ("vdn", "none"): ("rmsprop", 5e-4, None, 4, False, 12_500),
    ("qmix", "none"): ("adam", 5e-4, 10.0, 4, False, 12_500),
    ("qtran", "none"): ("adam", 1e-3, 10.0, 4, False, 12_500),
    ("vdn", "tv"): ("rmsprop", 5e-4, None, 8, True, 25_000),
    ("qmix", "tv"): ("adam", 5e-4, 10.0, 8, True, 25_000),
    ("qtran", "tv"): ("adam", 1e-3, 10.0, 8, True, 25_000),
}


@pytest.mark.parametrize(("mixer", "uncertainty"), RELEASED)
def test_the_released_configuration_has_optimizers_and_rounds_of_its_own(mixer, uncertainty):
    cfg = composed("released", f"mixer={mixer}", f"uncertainty={uncertainty}")
    check_config(cfg)
    optim = cfg.optim
    found = optim.name, optim.lr, optim.clip_norm, optim.updates_per_batch, optim.dual_first
    assert (*found, cfg.target.interval) == RELEASED[mixer, uncertainty]
    # updates of the values: one every two steps; target networks: every 25,000 steps
    of_values = optim.updates_per_batch / (2 if optim.dual_first else 1)
    steps = cfg.collector.frames_per_batch
    assert steps / of_values == 2
    assert cfg.target.interval * steps / optim.updates_per_batch == 25_000
    if uncertainty == "tv":
        assert cfg.uncertainty.dual_loss == "squared" and cfg.uncertainty.dual_lr == 1e-3
        assert make_uncertainty(cfg) == ForcedTotalVariation(rho=0.2, worst_value=0.0)
    # the networks see what the environment gives, and learn from its rewards
    assert (cfg.env.loc, cfg.env.scale) == ([0.0] * 5, [1.0] * 5)
    assert (cfg.env.reward_scale, cfg.env.reward_loc, cfg.env.num_envs) == (1.0, 0.0, 1)


def test_the_released_configuration_differs_from_the_text_where_it_says_so():
    text, released = (OmegaConf.to_container(composed(p)) for p in ("paper", "released"))
    differing = {
        f"{group}.{name}"
        for group, fields in text.items()
        if isinstance(fields, dict)
        for name, value in fields.items()
        if released[group][name] != value
    }
    assert differing == {
        *("optim.name", "optim.dual_first", "replay.drop_last", "exploration.per"),
        "uncertainty.dual_loss",
        # the same ratios
        *("target.interval", "collector.frames_per_batch"),
    }


def test_sets_whose_dual_number_follows_the_value_are_joint_with_the_reward_in_fast():
    """The network has next to nothing to learn then where the outcome is certain."""
    joint = {
        (preset, name): composed(preset, f"uncertainty={name}").uncertainty.joint_with_reward
        for preset in CONFIGS
        for name in ("contamination", "tv", "cvar", "kl", "chi2")
    }
    assert [which for which, is_joint in joint.items() if is_joint] == [
        ("fast", name) for name in ("cvar", "kl", "chi2")
    ]
