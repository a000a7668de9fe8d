"""Numbers out of range, and fields that do not go together."""

import re
from math import nan

import pytest
from omegaconf import OmegaConf

from torchrl_drigm.config import check_config, compose_config
from torchrl_drigm.config.names import check_names


@pytest.mark.parametrize("config", ["building", "battles"])
@pytest.mark.parametrize(
    "uncertainty", ["none", "contamination", "tv", "cvar", "kl", "chi2", "group_dr"]
)
@pytest.mark.parametrize("mixer", ["vdn", "qmix", "qtran"])
def test_ours_are_accepted(config, uncertainty, mixer):
    cfg = compose_config(f"uncertainty={uncertainty}", f"mixer={mixer}", config=config)
    check_config(cfg)
    check_config(OmegaConf.create(OmegaConf.to_yaml(cfg)))  # as a run's folder has it


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("env.num_envs=0", r"env.num_envs=0 must be at least 1"),
        ("env.num_envs=-1", r"env.num_envs=-1 must be at least 1"),
        ("agent.hidden_size=0", r"agent.hidden_size=0 must be at least 1"),
        ("agent.action_degree=0", r"agent.action_degree=0 must be at least 1"),
        ("mixer.init_gain=nan", r"mixer.init_gain=nan must be at least 0"),
        ("env.reward_loc=nan", r"env.reward_loc=nan must be finite"),
        ("env.reward_scale=0", r"env.reward_scale=0.0 must be positive and finite"),
        ("uncertainty.worst_value=nan", r"uncertainty.worst_value=nan must be finite"),
        ("uncertainty.worst_value=null", r"uncertainty.worst_value=null, but 'tv' needs one"),
        ("agent.window=0", r"agent.window=0 must be at least 1"),
        ("mixer.embed_dim=-3", r"mixer.embed_dim=-3 must be at least 1"),
        ("replay.batch_size=0", r"replay.batch_size=0 must be at least 1"),
        ("uncertainty=group_dr uncertainty.updates=0", r"uncertainty.updates=0 must be at least 1"),
        ("seed=-1", r"seed=-1 must be at least 0"),
        ("optim.burn_in=-1", r"optim.burn_in=-1 must be at least 0"),
        ("optim.lr=0", r"optim.lr=0.0 must be positive and finite"),
        ("optim.lr=inf", r"optim.lr=inf must be positive and finite"),
        ("mixer=qtran mixer.lr=-1e-3", r"mixer.lr=-0.001 must be positive and finite"),
        ("mixer=qtran mixer.deviation_weight=2", r"mixer.deviation_weight=2.0 must be in \[0, 1\]"),
        ("env.scale=[1,1,0,1,1]", r"env.scale=\[1.0, 1.0, 0.0, .* must be positive and finite"),
        ("optim.gamma=1.5", r"optim.gamma=1.5 must be in \[0, 1\]"),
        ("optim.gamma=nan", r"optim.gamma=nan must be in \[0, 1\]"),
        ("exploration.eps_end=-0.1", r"exploration.eps_end=-0.1 must be in \[0, 1\]"),
        ("target.tau=0", r"target.tau=0.0 must be in \(0, 1\]"),
        ("target.interval=5", r"exactly one of target.interval .* got interval=5 and tau=0.01"),
        ("target.tau=null", r"exactly one of target.interval .* got interval=None and tau=None"),
        (
            "agent.core=none agent.window=8",
            r"agent.core=none remembers nothing.*agent.window=8 asks",
        ),
        (
            "agent=recurrent agent.core=none",
            r"agent.core=none remembers nothing, and agent.recurrent=true",
        ),
        ("optim.lmbda=0.8", r"optim.lmbda=0.8 needs agent.recurrent=true: λ-returns go along"),
        ("optim.lmbda=1.5", r"optim.lmbda=1.5 must be a number in \[0, 1\], or null"),
        ("optim.lmbda=nan", r"optim.lmbda=nan must be a number in \[0, 1\], or null"),
        ("+optim.learning_rate=1", r"optim.learning_rate is no field: those there are \['name', "),
        (
            "optim.dual_first=true optim.updates_per_batch=3",
            r"optim.updates_per_batch=3 must be even with optim.dual_first=true: the first half",
        ),
        ("agent=recurrent replay.drop_last=true", r"replay.drop_last=true needs agent.recurrent"),
        ("env.failures=often", r"env.failures='often' must be null, or a mapping of its fields"),
        ("uncertainty=own", r"uncertainty.name has no value: give one"),
    ],
)
def test_refused(overrides, message):
    with pytest.raises(ValueError, match=f"^{message}|^target needs {message}"):
        check_config(compose_config(*overrides.split()))


@pytest.mark.parametrize(
    ("field", "config"),
    [
        ("env.action_failure", "torchrl"),
        ("env.action_failure", "battles"),
        ("env.failures", "building"),
        ("env.random_weather", "building"),
    ],
)
def test_a_null_may_become_a_mapping(field, config):
    cfg = compose_config(f"{field}={{rate: 0.5}}", config=config)
    assert OmegaConf.select(cfg, field) == {"rate": 0.5}
    check_config(cfg)


def test_battles_of_a_test_are_shared_out_evenly():
    message = r"evaluation.episodes=32 must be a multiple of evaluation.num_envs=5: each"
    with pytest.raises(ValueError, match=message):
        check_config(compose_config("env.test_envs=5", config="battles"))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("optim.lmbda", "high", r"optim.lmbda='high' must be a number in \[0, 1\], or null"),
        ("optim.gamma", "high", r"optim.gamma='high' must be in \[0, 1\]"),
    ],
)
def test_an_untyped_config_is_checked_too(field, value, message):
    """A ``config.yaml`` that somebody edited."""
    cfg = OmegaConf.create(OmegaConf.to_yaml(compose_config()))
    OmegaConf.update(cfg, field, value)
    with pytest.raises(ValueError, match=message):
        check_config(cfg)


def test_a_script_may_have_fields_of_its_own_at_the_root():
    check_config(compose_config("+tag=first"))


def numbers(node, path=""):
    """Full names of the fields of a config that are numbers."""
    for name, value in node.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{path}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield path + name


@pytest.mark.parametrize(
    ("config", "overrides", "simulator"),
    [
        ("building", "uncertainty=tv", "sustaingym"),
        ("building", "uncertainty=kl mixer=qtran preset=released", "sustaingym"),
        ("building", "uncertainty=group_dr", "sustaingym"),
        ("battles", "uncertainty=cvar", "jaxmarl"),
        ("torchrl", "env=harvest preset=toy agent=drqn uncertainty=contamination", "torchrl"),
        ("torchrl", "env=vmas preset=toy agent=drqn uncertainty=chi2", "vmas"),
    ],
)
def test_no_field_that_is_a_number_takes_what_is_none(config, overrides, simulator):
    """Whatever is added to a config later, too."""
    extra = {"jaxmarl": "smax"}.get(simulator, simulator)
    pytest.importorskip(simulator, reason=f'needs it: pip install "torchrl_drigm[{extra}]"')
    plain = OmegaConf.to_container(compose_config(*overrides.split(), config=config), resolve=True)
    for name in numbers(plain):
        cfg = OmegaConf.create(plain)
        OmegaConf.update(cfg, name, nan)
        with pytest.raises(ValueError, match=re.escape(name)):
            check_config(cfg)
            check_names(cfg)
