"""Stacks on the command line: what is asked for, what is refused, and what is left behind."""

import pandas as pd
import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from torchrl_drigm import envs
from torchrl_drigm.commands._refusals import SEEDED, refuse
from torchrl_drigm.commands._stacks import members_of, stack_overrides, train_stack
from torchrl_drigm.commands.train import train
from torchrl_drigm.config import compose_config
from torchrl_drigm.envs._seeded import SeededEnv
from torchrl_drigm.trainers import load_team, training
from torchrl_drigm.trainers.runs import is_done, read_config, read_duration, save_config
from torchrl_drigm.trainers.stack import Stack, check_environment, fit

SMALL = (
    *("env=harvest", "agent=drqn", "preset=toy", "agent.hidden_size=8", "env.num_envs=4"),
    *("collector.frames_per_batch=8", "collector.init_random_frames=16", "replay.batch_size=8"),
    *("optim.updates_per_batch=1", "progress_bar=false", "collector.total_frames=64"),
    *("mixer=vdn", "uncertainty=contamination", "uncertainty.worst_value=0"),
    *("evaluation.episodes=2", "log_interval=8"),
)


def compose(*overrides):
    return compose_config(*SMALL, *stack_overrides(overrides), config="torchrl")


def test_every_run_has_its_seed():
    members = members_of(compose("runs=3", "seed=5"))
    assert {name: cfg.seed for name, cfg in members.items()} == {
        "seed_5": 5,
        "seed_6": 6,
        "seed_7": 7,
    }
    assert all("stack" not in cfg for cfg in members.values())


def test_lists_go_side_by_side():
    lists = (
        "seed=[0,1]",
        "uncertainty.rho=[0,0.3]",
        "optim.gamma=[0.9,0.8]",
        "optim.lr=[1e-3,2e-3]",
    )
    members = members_of(compose(*lists))
    assert list(members) == [
        "seed_0,gamma_0.9,lr_0.001,rho_0",
        "seed_1,gamma_0.8,lr_0.002,rho_0.3",
    ]
    last = list(members.values())[1]
    found = (last.seed, last.uncertainty.rho, last.optim.gamma, last.optim.lr)
    assert found == (1, 0.3, 0.8, 2e-3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("seed=[0,1]", "uncertainty.rho=[0,0.1,0.2]"), r"seed has 2, uncertainty\.rho has 3\. "),
        (("seed=[0,1]", "runs=3"), r"seed has 2, runs has 3"),
        (("runs=0",), r"runs=0: a stack must have at least 1 run"),
        (("seed=[]",), r"seed=\[\]: a stack must have at least 1 run"),
        (("runs=null",), r"runs=null: give a number of runs"),
        (("runs=2", "resume=somewhere"), r"resume=somewhere is of a run alone\..*hydra\.run\.dir="),
        (("runs=many",), r"runs='many' must be a number of runs"),
        (("uncertainty.rho=[0.1,0.1]",), r"two runs of the stack are the same"),
        (("uncertainty.rho=[0.1,2]",), r"rho"),
        (("optim.gamma=[0.9,1.5]",), r"optim\.gamma=1\.5 must be in \[0, 1\]"),
        (("optim.gamma=[0.9,high]",), r"optim\.gamma='high': Value 'high'"),
        (
            ("uncertainty.dual_lr=[1,2]",),
            r"dual_lr=1: uncertainty=contamination has no dual_lr\. T",
        ),
        (("uncertainty.rho=[0.1,null]",), r"uncertainty\.rho=null: each run must have a number"),
    ],
)
def test_refused(tmp_path, overrides, message):
    with pytest.raises(ValueError, match=message):
        train_stack(compose(*overrides), tmp_path)
    assert not list(tmp_path.rglob("checkpoint"))


def test_nominal_runs_of_a_stack_are_contamination_of_size_0():
    words = stack_overrides(["uncertainty=none", "uncertainty.rho=[0,0.1]"])
    message = (
        r"^uncertainty\.rho=0: uncertainty=none has no rho\. .*contamination, ρ = 0 is nominal"
    )
    with pytest.raises(ValueError, match=message):
        members_of(compose_config(*words))


def test_a_stack_leaves_a_folder_for_each_run_and_a_table_of_all(tmp_path, capsys):
    overrides = ("seed=[0,1]", "uncertainty.rho=[0,0.3]")
    train_stack(compose(*overrides), tmp_path)
    shown = capsys.readouterr().out
    assert "2 runs in" in shown
    folders = sorted(tmp_path.iterdir())
    assert [folder.name for folder in folders] == ["seed_0,rho_0", "seed_1,rho_0.3"]
    for folder in folders:
        names = {path.name for path in folder.iterdir()}
        assert {"config.yaml", "checkpoint", "metrics", "evaluation.csv", "duration.json"} <= names
        assert folder.name in shown
        assert load_team(folder).cfg.seed == OmegaConf.load(folder / "config.yaml").seed
    before = [pd.read_csv(folder / "evaluation.csv") for folder in folders]

    train_stack(compose(*overrides), tmp_path)
    assert capsys.readouterr().out.count("has its results already") == 2
    # one that was stopped goes on, though the other has gone further
    (folders[0] / "evaluation.csv").unlink()
    longer = compose(*overrides, "collector.total_frames=96")
    (folders[1] / "evaluation.csv").rename(tmp_path / "kept.csv")
    train_stack(longer, tmp_path)
    assert OmegaConf.load(folders[1] / "config.yaml").collector.total_frames == 96
    assert len(pd.read_csv(folders[0] / "evaluation.csv")) == len(before[0])


@pytest.mark.parametrize("of", ["memory", "a run"])
def test_what_ends_a_stack_is_told_without_a_traceback(of, tmp_path, monkeypatch, capsys):
    hydra = {"mode": RunMode.RUN, "runtime": {"output_dir": str(tmp_path)}}
    monkeypatch.setattr(HydraConfig, "get", lambda: OmegaConf.create(hydra))
    cfg = compose("seed=[0,1]", "uncertainty.rho=[0,0.3]", "optim.lr=[1e-3,1e30]", "compile=true")
    monkeypatch.setattr(training, "why_not_compiled", lambda device: "it cannot be")
    if of == "memory":
        monkeypatch.setattr(fit, "free_memory", lambda: 1000)
    with pytest.warns(UserWarning) as warned, pytest.raises(SystemExit) as ended:
        train(cfg)
    assert ended.value.code == 1
    assert [str(one.message) for one in warned if "compile" in str(one.message)] == [
        "compile=true: it cannot be. Updates go on without: the same, only slower."
    ], "once, not for each run"
    told = capsys.readouterr().err.splitlines()
    if of == "memory":
        assert told[-1].startswith("2 runs at once would take about 0.0 GB, and 0.0 GB are free")
    else:
        assert told[-1].startswith("1 of 2 runs diverged. ") and "seed_1," in told[-1]
        assert (tmp_path / "seed_0,lr_0.001,rho_0" / "evaluation.csv").exists()
    assert "Traceback" not in "".join(told)


@pytest.mark.parametrize("agent", [("agent=drqn", "optim.lmbda=null"), ("agent=recurrent",)])
@pytest.mark.parametrize("env", [("env=custom", "env.make=cranes:make_env"), ("env=vmas",)])
@pytest.mark.parametrize("lists", [["runs=2"], ["seed=[0,1]", "uncertainty.rho=[0.1,0.2]"]])
def test_what_env_make_makes_is_refused_by_name_whatever_the_agents_are(agent, env, lists):
    words = stack_overrides([*env, *agent, "uncertainty=tv", *lists])
    with pytest.raises(ValueError, match=r"^env\.make='.*' cannot be stacked: ") as told:
        refuse("torchrl", "torchrl", words, None, False)
    assert str(told.value).endswith("-m hydra/launcher=joblib seed=0,1,2.")


def test_simulators_that_are_not_looked_at_have_random_numbers_of_each_run():
    made = {
        "building": envs.SustainGymEnv,
        "evcharging": envs.EVChargingEnv,
        "harvest": envs.HarvestEnv,
        "machines": envs.MachinesEnv,
        "drones": envs.DronesEnv,
    }
    assert set(made) == set(SEEDED)
    assert all(issubclass(cls, SeededEnv) for cls in made.values())


def test_an_environment_without_random_numbers_of_each_run_is_refused():
    cfg = compose_config("env.name=my_module.MyTask", config="torchrl")
    message = r"^env\.name='my_module\.MyTask' cannot be stacked: object has no random numbers of"
    with pytest.raises(ValueError, match=message):
        check_environment(cfg, object())


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("mixer=[vdn,qmix]", "vdn, qmix"),
        ("agent.hidden_size=[32,64]", "32, 64"),
        ("env.building=['OfficeSmall','Hospital']", "OfficeSmall, Hospital"),
        ("uncertainty=[tv, cvar]", "tv, cvar"),
        ("target.tau=[0.1,0.2]", "0.1, 0.2"),
    ],
)
def test_lists_of_what_a_stack_shares_are_refused_with_what_trains_them(override, values):
    field, sweep = override.partition("=")[0], values.replace(" ", "")
    with pytest.raises(ValueError) as told:
        refuse("building", "building", stack_overrides([override, "seed=[0,1]"]), None, False)
    assert f"runs that differ in {field} cannot be computed at once: {values}. " in str(told.value)
    assert f"-m hydra/launcher=joblib {field}={sweep}." in str(told.value)


def test_a_stack_that_is_stopped_as_it_goes_on_is_not_done(tmp_path, monkeypatch):
    """Its config has the new steps before they are made, and its results are of the old ones."""

    def stack(steps):
        train_stack(compose("runs=2", f"collector.total_frames={steps}"), tmp_path)

    def stopped(self, *args):
        for run in self.runs:
            save_config(run.cfg, run.run_dir)
        raise KeyboardInterrupt

    stack(64)
    with monkeypatch.context() as patch:
        patch.setattr(Stack, "train", stopped)
        with pytest.raises(KeyboardInterrupt):
            stack(96)
    folders = [tmp_path / "seed_0", tmp_path / "seed_1"]
    assert not any(is_done(read_config(run), run, "evaluation.csv") for run in folders)
    stack(96)
    assert [read_duration(run)["frames"] for run in folders] == [96, 96]
    assert all((run / "evaluation.csv").exists() for run in folders)
