"""Environments of a user's own, from a config to a team that acts elsewhere."""

import math

import pytest
import torch

pytest.importorskip("pettingzoo", reason="needs PettingZoo: pip install pettingzoo")

from torchrl_drigm.config import check_config, compose_config
from torchrl_drigm.evaluation import evaluate, read_metrics
from torchrl_drigm.trainers import build, export_team, load_team

SMALL = [
    *("env.num_envs=4", "agent.hidden_size=8", "mixer.embed_dim=4", "progress_bar=false"),
    *(
        "collector.frames_per_batch=32",
        "collector.total_frames=64",
        "collector.init_random_frames=32",
    ),
    *("optim.updates_per_batch=2", "replay.batch_size=4", "replay.size=200", "log_interval=1"),
    *("uncertainty=tv", "uncertainty.dual_hidden_size=8", "evaluation.episodes=2"),
]
GYMNASIUM, PARALLEL, IN_TURN = (
    f"tests.envs.own_envs:{name}" for name in ("Valves", "Night", "Turns")
)
TORCHRL = "tests.envs.test_team_env.Mill"


def config(make, *overrides, agent="recurrent"):
    words = ["env=custom", f"env.make={make}", f"agent={agent}", *SMALL, *overrides]
    if agent == "drqn":
        words += ["optim.lmbda=null", "optim.burn_in=0"]
    return compose_config(*words, config="torchrl")


@pytest.mark.parametrize("agent", ["recurrent", "drqn"])
@pytest.mark.parametrize(
    ("make", "overrides", "shift"),
    [
        (GYMNASIUM, [], {"length": 9}),
        (
            PARALLEL,
            ["env.team_reward=mean", "env.action_failure={rate: 0.1, fallback: 0}"],
            {"hours": [2, 4, 9]},
        ),
        (IN_TURN, [], {"heap": 9}),
        (
            TORCHRL,
            ["env.max_steps=5", "+env.kwargs.seen=o", "env.key_map={observation: o}"],
            {"act": "b"},
        ),
    ],
    ids=["Gymnasium", "PettingZoo, parallel", "PettingZoo, in turn", "TorchRL"],
)
def test_it_trains_is_judged_under_shift_and_loaded(make, overrides, shift, agent, tmp_path):
    suite = [{"name": "as trained"}, {"name": "shifted", **shift}]
    cfg = config(make, *overrides, agent=agent)
    cfg.evaluation.suite = suite
    torch.manual_seed(0)
    run = build(cfg, tmp_path)
    run.train()
    logged = read_metrics(tmp_path)
    assert run.trainer.collected_frames == 64
    assert all(math.isfinite(value) for value in logged.loss.dropna())
    team = load_team(tmp_path)
    results = evaluate(team, suite=cfg.evaluation.suite, episodes=2)
    steps = results.groupby("shift", sort=False)["steps"].mean().to_dict()
    if make != TORCHRL:
        assert steps["shifted"] > steps["as trained"]
    again = evaluate(run.team, suite=cfg.evaluation.suite, episodes=2)
    assert results["return"].tolist() == again["return"].tolist()


def test_a_team_whose_agents_leave_is_exported(tmp_path):
    torch.manual_seed(0)
    run = build(config(PARALLEL), tmp_path)
    run.train()
    program = torch.export.load(export_team(tmp_path)).module()
    assert program is not None  # compared with the team, along episodes, before it was written


class TestRefusals:
    @pytest.mark.parametrize(
        ("make", "overrides", "message"),
        [
            (
                "nowhere:make_env",
                [],
                r"env.make='nowhere:make_env': there is no module 'nowhere'. Start Python where",
            ),
            ("make_env", [], "env.make='make_env' must be the import path of a function or class"),
            (
                "tests.envs.own_envs:make_env",
                [],
                r"make_env' must lead to a function or class .* has no 'make_env'",
            ),
            ("tests.envs.own_envs.LEVELS", [], r"the module .* has \(2, 3\) as 'LEVELS'"),
            (PARALLEL, ["+env.kwargs.days=3"], r"Night' cannot be called with \['days'\].*\(hours"),
            (PARALLEL, ["env.key_map={state: map}"], r"Night': key_map=.* is for TorchRL's"),
            (
                PARALLEL,
                ["env.team_reward=max"],
                r"Night': team_reward='max' must be one of \['mean",
            ),
            (PARALLEL, ["env.team_state=mine"], "Night': team_state='mine' must be 'observations'"),
            (TORCHRL, ["env.action_levels=3"], "Mill': action_levels=3 is for environments of"),
            ("builtins:dict", [], r"env.make='builtins:dict': the environment is a builtins.dict"),
            (
                PARALLEL,
                ["evaluation.suite=[{name: long, days: 3}]"],
                r"Night' cannot be called with \['days'\]",
            ),
        ],
    )
    def test_nothing_is_written_before(self, make, overrides, message, tmp_path):
        with pytest.raises(ValueError, match=message):
            build(config(make, *overrides), tmp_path / "run")
        assert not list(tmp_path.iterdir())

    def test_continuous_actions_say_what_to_discretise(self, tmp_path):
        levels = ["+env.kwargs.low=-1.0", "+env.kwargs.high=1.0"]
        with pytest.raises(
            ValueError,
            match=r"Heaters': agent 0 acts with Box\(.* action_levels=5 .* its 1 numbers",
        ):
            build(config(f"{__name__}:Heaters", *levels), tmp_path / "run")
        run = build(config(f"{__name__}:Heaters", *levels, "env.action_levels=7"), tmp_path / "run")
        assert run.env.action_spec_unbatched["agents", "action"].space.n == 7
        run.close()

    def test_what_makes_it_is_asked_for(self):
        with pytest.raises(ValueError, match=r"env.make has no value: give one, env.make="):
            check_config(compose_config("env=custom", config="torchrl"))

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            ("Copies", r"made \(3,\) copies, and takes no num_envs: give it that argument"),
            (
                "Ignores",
                r"asked for num_envs=1, and made .* without batch_size=\[1\]. Let it have no",
            ),
        ],
    )
    def test_copies_at_once_are_as_many_as_asked_for(self, make, message, tmp_path):
        with pytest.raises(ValueError, match=message):
            build(config(f"{__name__}:{make}"), tmp_path / "run")


def Heaters(low, high):
    """Two heaters with a power each."""
    from gymnasium.spaces import Box

    from tests.envs.own_envs import Valves

    return Valves(actions=[Box(low, high, (1,))] * 2)


def Copies():
    from torchrl_drigm.envs import HarvestEnv

    return HarvestEnv(num_envs=3)


def Ignores(num_envs):
    return Copies()


def test_copies_that_step_at_once(tmp_path):
    run = build(config(f"{__name__}:batched"), tmp_path)
    assert run.env.batch_size == (4,) and type(run.env.base_env).__name__ == "HarvestEnv"
    run.close()


def batched(num_envs, severity=1.0):
    from torchrl_drigm.envs import HarvestEnv

    return HarvestEnv(severity, num_envs)
