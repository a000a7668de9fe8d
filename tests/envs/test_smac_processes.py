"""The games' processes: they end with their environments; several of them; collection."""

import functools
import gc
import signal
import subprocess
import sys
import textwrap

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.collectors import Collector
from torchrl.envs import ActionMask, ParallelEnv, SerialEnv, TransformedEnv
from torchrl.modules import EGreedyModule

from tests.envs.smac_policies import ACTION, MASK, chosen_are_available, fight, stop
from torchrl_drigm.envs import SMACEnv

pytest_plugins = ["tests.sc2_server.fixtures"]
pytestmark = [
    pytest.mark.smac,
    # See test_smac.py.
    pytest.mark.filterwarnings("ignore:Call to deprecated create function:DeprecationWarning"),
]


def test_an_exception_in_smac_ends_the_game(game, make, monkeypatch):
    env = make(seed=0)
    td = env.reset()
    with monkeypatch.context() as patch:
        patch.setattr(env._env, "get_agent_action", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            env.step(stop(td))
    assert not game.running()
    assert env.rollout(100, policy=stop)["next", "terminated"][-1]  # a reset starts another
    assert env.lost_connections == 0


def test_close_and_collection_end_the_game(game):
    env = SMACEnv("3m")
    env.reset()
    env.close()
    env.close()
    assert not game.running()
    env = SMACEnv("3m")
    env.reset()
    assert len(game.running()) == 1
    del env
    gc.collect()  # pysc2's attempts to connect leave frames behind that refer to each other
    assert not game.running()


@pytest.mark.parametrize("end", ["raise ValueError('ours')", "sys.exit(3)", "pass"])
def test_the_end_of_the_interpreter_ends_the_game(game, end):
    script = textwrap.dedent(f"""
        import sys
        from torchrl_drigm.envs import SMACEnv
        env = SMACEnv("3m")
        env.reset()
        keep = [env]
        keep.append(keep)
        {end}
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert len(game.pids()) == 1, done.stderr
    assert not game.running()
    assert ("ours" in done.stderr) == ("ours" in end)
    assert "This is NOT StarCraft II" in done.stdout


@pytest.mark.slow
def test_a_terminated_parallel_worker_ends_its_game(game):
    env = ParallelEnv(2, functools.partial(SMACEnv, "3m"), mp_start_method="spawn")
    env.reset()
    assert len(game.running()) == 2
    for left, worker in zip((1, 0), env._workers, strict=True):
        worker.terminate()
        worker.join(20)
        assert worker.exitcode == -signal.SIGTERM
        assert len(game.running()) == left


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_main_process_ends_the_games_of_its_workers(game, how):
    script = textwrap.dedent("""
        import functools, time
        from torchrl.envs import ParallelEnv
        from torchrl_drigm.envs import SMACEnv
        env = ParallelEnv(2, functools.partial(SMACEnv, "3m"), mp_start_method="spawn")
        env.reset()
        print("ready", flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as main:
        assert any(line == "ready\n" for line in main.stdout)
        assert len(game.running()) == 2
        main.send_signal(how)
        assert main.wait(20) == -how
        assert not game.running(10)


@pytest.mark.parametrize("batched", [SerialEnv, pytest.param(ParallelEnv, marks=pytest.mark.slow)])
def test_several_games_at_once(game, batched):
    game.control(faults=[{"kind": "die", "request": "step", "after": 6}])
    env = batched(2, [functools.partial(SMACEnv, "3m", seed=seed) for seed in (0, 1)])
    policy = None
    if batched is ParallelEnv:
        env = TransformedEnv(env, ActionMask(action_key=ACTION, mask_key=MASK))
    else:  # there ActionMask lags behind when only one of the games is reset
        explore = EGreedyModule(env.action_spec, 1.0, 1.0, action_key=ACTION, action_mask_key=MASK)
        policy = lambda td: explore(stop(td))  # noqa: E731
    torch.manual_seed(0)
    try:
        td = env.rollout(60, policy=policy, break_when_any_done=False)
        assert td.shape == (2, 60)
        assert chosen_are_available(td)
        lost = td["next", "info", "connection_lost"]
        assert lost.sum() == 1
        assert (td["next", "truncated"] == lost).all()
        assert td["next", "terminated"].sum() >= 2
        inside = ~td["next", "done"].squeeze(-1)[:, :-1]
        assert (td["next", "state"][:, :-1][inside] == td["state"][:, 1:][inside]).all()
        assert len(game.running()) == 2
    finally:
        env.close()
    assert not game.running(10)


def test_training_data_across_a_lost_game(game):
    game.control(faults=[{"kind": "die", "request": "observation", "after": 9}])
    env = SMACEnv("3m", seed=0)
    policy = TensorDictModule(
        lambda mask: fight(TensorDict({MASK: mask}))[ACTION], in_keys=[MASK], out_keys=[ACTION]
    )
    collector = Collector(
        env,
        policy,
        frames_per_batch=40,
        total_frames=80,
        track_traj_ids=False,
        auto_register_policy_transforms=False,
    )
    try:
        data = torch.cat(list(collector))
    finally:
        collector.shutdown()
    lost = data["next", "info", "connection_lost"].squeeze(-1)
    assert lost.sum() == 1
    assert (data["next", "truncated"].squeeze(-1) == lost).all()
    assert chosen_are_available(data)
    inside = ~data["next", "done"].squeeze(-1)[:-1]
    for key in [("agents", "observation"), MASK, "state"]:
        assert (data["next", key][:-1][inside] == data[key][1:][inside]).all()
        assert data["next", key].isfinite().all()
