"""The unmodified smac and pysc2 through our wrapper, against the stand-in of ``tests/sc2_server``.

The stand-in is not the game: these tests are about the protocol and its failures.
"""

import functools
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.collectors import Collector
from torchrl.envs import (
    ActionMask,
    EnvCreator,
    ParallelEnv,
    SerialEnv,
    TransformedEnv,
    check_env_specs,
)
from torchrl.modules import EGreedyModule

from tests.sc2_server import install
from tests.sc2_server.installation import REPOSITORY
from torchrl_drigm.envs.libs.smac import INSTALL, SMACEnv, SMACWrapper

pytestmark = [
    pytest.mark.smac,
    # protobuf 3.20, the newest that pysc2 works with, warns of StarCraft's own protocol files.
    pytest.mark.filterwarnings("ignore:Call to deprecated create function:DeprecationWarning"),
]

ACTION, MASK = ("agents", "action"), ("agents", "action_mask")


def alive(pid):
    """Whether a process runs; one that has ended and was not waited for counts as alive."""
    return os.path.exists(f"/proc/{pid}")


def await_end(pids, seconds=10):
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return [pid for pid in pids if alive(pid)]


@pytest.fixture
def game(tmp_path, monkeypatch):
    """The stand-in as $SC2PATH; no process of it may be left behind once environments close."""
    pytest.importorskip("smac.env", reason=f"needs StarCraft's smac: {INSTALL}")
    installation = install(tmp_path / "StarCraftII")
    monkeypatch.setenv("SC2PATH", str(installation.path))
    # Temporary directories of the game, so that the test can see that they go.
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    yield installation
    left = await_end(installation.pids())
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"game processes left behind: {left}"
    assert not list((tmp_path / "tmp").glob("sc-*"))


@pytest.fixture
def make(game):
    """Environments that are closed after the test."""
    envs = []

    def make(map_name="3m", **kwargs):
        envs.append(SMACEnv(map_name, **kwargs))
        return envs[-1]

    yield make
    for env in envs:
        env.close()


def stop(td):
    """Alive agents stand still, dead ones do nothing."""
    mask = td[MASK]
    return td.set(ACTION, mask[..., 1].long())


def fight(td):
    """Attack the first enemy in reach; else go east, where the enemies are."""
    mask = td[MASK]
    attack = mask[..., 6:].long().argmax(-1) + 6
    move = torch.where(mask[..., 4], 4, mask[..., 1].long())
    return td.set(ACTION, torch.where(mask[..., 6:].any(-1), attack, move))


def chosen_are_available(td):
    return td[MASK].gather(-1, td[ACTION].unsqueeze(-1)).all()


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "smac", None)
    for build in (SMACEnv, lambda: SMACWrapper(object())):
        with pytest.raises(ImportError, match=r"git\+https://github.com/oxwhirl/smac") as raised:
            build()
        assert "another one" in str(raised.value)


def test_wrong_arguments(game):
    with pytest.raises(TypeError, match=r"env is a object; expected a smac.env.StarCraft2Env"):
        SMACWrapper(object())
    with pytest.raises(ValueError, match=r"map_name='4m' must be one of 3m, 8m"):
        SMACEnv("4m")


@pytest.mark.parametrize("missing", ["everything", "versions", "map", "path"])
def test_missing_game_says_what_to_install(game, make, monkeypatch, missing):
    if missing == "map":
        (game.path / "Maps" / "SMAC_Maps" / "3m.SC2Map").unlink()
    elif missing == "versions":
        for file in (game.path / "Versions").rglob("SC2_x64"):
            file.unlink()
    elif missing == "everything":
        monkeypatch.setenv("SC2PATH", str(game.path / "nowhere"))
    else:
        monkeypatch.delenv("SC2PATH")
        monkeypatch.setenv("HOME", str(game.path))
    env = make()
    with pytest.raises(FileNotFoundError, match=r"SC2PATH.*s2client-proto.*smac/releases"):
        env.reset()
    assert not await_end(game.pids())


@pytest.mark.parametrize("map_name", ["3m", "3s_vs_5z"])
def test_specs(make, map_name):
    env = make(map_name, seed=0)
    n, e = (3, 3) if map_name == "3m" else (3, 5)
    assert env.batch_size == ()
    assert env.full_action_spec[ACTION].shape == (n,)
    assert env.full_action_spec[ACTION].n == 6 + e
    if map_name == "3s_vs_5z":
        assert env.observation_spec["agents", "observation"].shape == (3, 48)
        assert env.observation_spec["state"].shape == (68,)
        assert env.observation_spec[MASK].shape == (3, 11)
    assert env.reward_spec.shape == (1,)
    check_env_specs(env)


def test_nothing_starts_before_the_first_reset(game, make):
    env = make()
    assert game.pids() == []
    env.reset()
    assert len(game.pids()) == 1
    assert alive(game.pids()[0])


@pytest.mark.parametrize("map_name", ["3m", "3s_vs_5z"])
def test_defeat_terminates(make, map_name):
    env = make(map_name, seed=1)
    last = env.rollout(300, policy=stop)[-1]["next"]
    assert last["terminated"]
    assert last["done"]
    assert not last["truncated"]
    assert not last["info", "battle_won"]
    assert not last["info", "episode_limit"]
    assert not last["info", "connection_lost"]
    assert last["info", "dead_allies"] == 3


@pytest.mark.parametrize("map_name", ["3m", "3s_vs_5z"])
def test_victory_terminates_and_gives_the_full_reward(game, make, map_name):
    game.control(opponents="idle")
    env = make(map_name, seed=1)
    for _ in range(2):
        td = env.rollout(300, policy=fight)
        last = td[-1]["next"]
        assert last["terminated"]
        assert not last["truncated"]
        assert last["info", "battle_won"]
        assert last["info", "dead_enemies"] == env.n_enemies
        assert last["info", "dead_allies"] == 0
        # smac scales so that all damage, all deaths and the victory together make 20.
        torch.testing.assert_close(td["next", "reward"].sum(), torch.tensor(20.0))
    assert len(game.pids()) == 1


@pytest.mark.parametrize("continuing_episode", [False, True])
def test_time_limit_truncates(game, make, continuing_episode):
    game.control(opponents="idle")
    env = make(seed=1, continuing_episode=continuing_episode)
    td = env.rollout(100, policy=stop)
    assert len(td) == 60  # the limit of 3m
    assert not td["next", "done"][:-1].any()
    last = td[-1]["next"]
    assert last["done"]
    assert last["truncated"]
    assert not last["terminated"]
    assert last["info", "episode_limit"]
    assert not last["info", "connection_lost"]
    assert env.lost_connections == 0


def test_same_as_smac_called_directly(game, make):
    from smac.env import StarCraft2Env

    env = make("3s_vs_5z", seed=5)
    episodes = [env.rollout(300) for _ in range(2)]
    env.close()
    direct = StarCraft2Env("3s_vs_5z", seed=5)
    try:
        for td in episodes:
            observation, state = direct.reset()
            for step in td:
                assert step["agents", "observation"].tolist() == [o.tolist() for o in observation]
                assert step["state"].tolist() == state.tolist()
                assert step[MASK].long().tolist() == direct.get_avail_actions()
                reward, over, info = direct.step(step[ACTION].tolist())
                observation, state = direct.get_obs(), direct.get_state()
                torch.testing.assert_close(step["next", "reward"].item(), reward, rtol=1e-6, atol=0)
                assert step["next", "terminated"].item() == over
                for key in ("battle_won", "dead_allies", "dead_enemies"):
                    assert step["next", "info", key].item() == info[key]
    finally:
        direct.close()


def test_seeds(make):
    env = make(seed=3)
    env.set_seed(7)
    torch.manual_seed(0)
    first = env.rollout(20)
    env.set_seed(7)
    torch.manual_seed(0)
    again = env.rollout(20)
    assert (first == again).all()
    env.set_seed(8)
    assert (env.reset()["state"] != first[0]["state"]).any()
    assert env.lost_connections == 0


def test_an_episode_left_early_changes_neither_game_nor_rewards(game, make):
    env = make("3s_vs_5z", seed=0)
    env.reset()
    assert env.max_reward == 5 * 10 + 200 + 5 * 150  # kills, victory, health and shields
    for _ in range(3):
        env.rollout(2)
    assert env.max_reward == 1000
    assert len(game.pids()) == 1


def test_wraps_an_env_whose_game_runs(game):
    from smac.env import StarCraft2Env

    inner = StarCraft2Env("3m")
    inner.reset()
    env = SMACWrapper(inner)
    env.rollout(3)
    assert env.max_reward == 3 * 10 + 200 + 3 * 45
    assert len(game.pids()) == 1
    env.close()


@pytest.mark.parametrize("epsilon", [None, 0.5])
def test_no_unavailable_action_is_chosen(make, epsilon):
    env = make("3s_vs_5z", seed=0)
    policy = None
    if epsilon is not None:
        explore = EGreedyModule(
            env.action_spec, epsilon, epsilon, action_key=ACTION, action_mask_key=MASK
        )
        policy = lambda td: explore(fight(td))  # noqa: E731
    torch.manual_seed(0)
    td = env.rollout(1000, policy=policy, break_when_any_done=False)
    assert chosen_are_available(td)
    assert td["next", "done"].sum() > 5
    dead = td[MASK][..., 0]
    assert dead.any()
    assert (td[MASK].sum(-1)[dead] == 1).all()  # dead agents have one action


@pytest.mark.slow
def test_no_unavailable_action_in_ten_thousand_steps(make):
    env = make(seed=0)
    torch.manual_seed(0)
    assert chosen_are_available(env.rollout(10_000, break_when_any_done=False))


def test_spec_mask_follows_the_battle(make):
    env = make(seed=0)
    td = env.reset()
    for _ in range(40):
        assert (env.full_action_spec[ACTION].mask == td[MASK]).all()
        td = env.step(stop(td))["next"]
        if td["done"]:
            break
    assert td["done"]


def test_unavailable_action_is_refused_and_the_battle_goes_on(make):
    env = make(seed=0)
    td = env.reset()
    td[ACTION] = torch.tensor([1, 0, 1])
    with pytest.raises(ValueError, match=r"Agent 1 cannot take action 0; available are \[1, 2"):
        env.step(td)
    assert not env.step(stop(td))["next", "done"]


def test_steps_outside_an_episode_are_refused(make):
    env = make(seed=0)
    with pytest.raises(RuntimeError, match="No episode is running"):
        env.step(TensorDict({ACTION: torch.ones(3, dtype=torch.long)}, []))
    td = env.rollout(100, policy=stop)[-1]["next"]
    with pytest.raises(RuntimeError, match="No episode is running"):
        env.step(stop(td))
    env.close()
    with pytest.raises(RuntimeError, match="The environment is closed"):
        env.reset()


def test_size_that_smac_announces_wrongly(make):
    env = make(obs_timestep_number=True)
    with pytest.raises(ValueError, match=r"observation has shape \(3, 32\).*\(3, 31\)"):
        env.reset()


@pytest.mark.parametrize(
    "options",
    [{}, {"obs_all_health": False}, {"obs_pathing_grid": True, "obs_terrain_height": True}],
)
@pytest.mark.parametrize("map_name", ["3m", "3s_vs_5z"])
def test_feature_index(make, map_name, options):
    env = make(map_name, seed=0, **options)
    position, visible = (env.feature_index(f"enemy_{name}") for name in ("position", "visible"))
    attackable, distance = (
        env.feature_index(f"enemy_{name}") for name in ("attackable", "distance")
    )
    assert position.shape == (env.n_enemies, 2)
    assert visible.shape == (env.n_enemies,)
    seen = unseen = 0
    td = env.reset()
    while not td["done"]:
        for agent, observation in enumerate(td["agents", "observation"]):
            unit = env.agents[agent]
            for enemy, other in env.enemies.items():
                offset = torch.tensor([other.pos.x - unit.pos.x, other.pos.y - unit.pos.y]) / 9
                in_sight = offset.norm() < 1 and other.health > 0 and unit.health > 0
                expected = offset if in_sight else torch.zeros(2)
                torch.testing.assert_close(observation[position[enemy]], expected)
                torch.testing.assert_close(observation[distance[enemy]], expected.norm())
                assert (observation[visible[enemy]] > 0) == in_sight
                can_attack = td[MASK][agent, 6 + enemy]
                assert observation[attackable[enemy]] == can_attack.float()
                seen, unseen = seen + in_sight, unseen + (not in_sight)
        td = env.step(stop(td))["next"]
    assert seen
    assert unseen
    with pytest.raises(ValueError, match="name='enemy_mood' must be one of enemy_attackable"):
        env.feature_index("enemy_mood")


def assert_one_lost_episode(env, game, faulty, following):
    """``faulty`` ends with a lost connection, ``following`` is an episode like any other."""
    last = faulty[-1]
    assert last["next", "truncated"]
    assert last["next", "done"]
    assert not last["next", "terminated"]
    assert last["next", "reward"] == 0
    assert last["next", "info", "connection_lost"]
    assert not last["next", "info", "battle_won"]
    assert not last["next", "info", "episode_limit"]
    # The last observation that there was; nothing made up.
    for key in [("agents", "observation"), MASK, "state"]:
        assert (last["next", key] == last[key]).all()
    assert not faulty["next", "done"][:-1].any()
    assert env.lost_connections == 1
    assert following["next", "terminated"][-1]
    assert not following["next", "info", "connection_lost"].any()
    for td in (faulty, following):
        assert (td["next", "state"][:-1] == td["state"][1:]).all()
        assert chosen_are_available(td)
    assert not any(map(alive, game.pids()[:-1]))
    assert alive(game.pids()[-1])


@pytest.mark.parametrize("request_name", ["step", "observation", "action"])
def test_a_killed_game_costs_one_truncated_episode(game, make, request_name):
    game.control(faults=[{"kind": "die", "request": request_name, "after": 6}])
    env = make(seed=0)
    faulty, following = (env.rollout(100, policy=stop) for _ in range(2))
    assert len(faulty) in (6, 7)
    assert_one_lost_episode(env, game, faulty, following)
    assert env.max_reward == 3 * 10 + 200 + 3 * 45  # rewards keep their scale
    assert len(game.pids()) == 2


def test_a_game_killed_from_outside_in_a_later_episode(game, make):
    env = make(seed=0)
    whole = env.rollout(100, policy=stop)

    def kill_once(td):
        if len(game.pids()) == 1 and env._env._episode_steps == 4:
            os.kill(game.pids()[0], signal.SIGKILL)
        return stop(td)

    faulty, following = env.rollout(100, policy=kill_once), env.rollout(100, policy=stop)
    assert len(faulty) == 5
    assert_one_lost_episode(env, game, faulty, following)
    assert abs(len(whole) - len(following)) <= 2


@pytest.mark.parametrize("form", ["garbage", "no_status", "wrong_id", "bad_frame"])
@pytest.mark.parametrize("request_name", ["observation", "step"])
def test_a_malformed_reply_costs_one_truncated_episode(game, make, form, request_name):
    fault = {"kind": "malformed", "request": request_name, "after": 4, "form": form}
    game.control(faults=[fault])
    env = make(seed=0)
    faulty, following = (env.rollout(100, policy=stop) for _ in range(2))
    assert_one_lost_episode(env, game, faulty, following)


def test_a_short_delay_changes_nothing(game, make):
    game.control(faults=[{"kind": "delay", "request": "step", "after": 2, "seconds": 1}])
    env = make(seed=0)
    td = env.rollout(100, policy=stop)
    assert td["next", "terminated"][-1]
    assert env.lost_connections == 0


def test_no_reply_in_time_costs_one_truncated_episode(game, make, monkeypatch):
    from absl import flags

    monkeypatch.setattr(flags.FLAGS, "sc2_timeout", 5)
    game.control(faults=[{"kind": "delay", "request": "step", "after": 2, "seconds": 60}])
    env = make(seed=0)
    faulty, following = (env.rollout(100, policy=stop) for _ in range(2))
    assert len(faulty) == 3
    assert_one_lost_episode(env, game, faulty, following)


@pytest.mark.parametrize("request_name", ["create_game", "join_game", "observation"])
@pytest.mark.parametrize("kind", ["die", "malformed"])
def test_a_game_lost_at_its_start_is_started_again(game, make, request_name, kind):
    game.control(faults=[{"kind": kind, "request": request_name, "form": "garbage"}])
    env = make(seed=0)
    td = env.rollout(100, policy=stop)
    assert td["next", "terminated"][-1]
    assert env.max_reward == 3 * 10 + 200 + 3 * 45
    assert env.lost_connections == 0
    assert sum(map(alive, game.pids())) == 1


@pytest.mark.parametrize("request_name", ["debug", "observation"])
def test_a_game_lost_at_a_later_reset_is_started_again(game, make, request_name):
    env = make(seed=0)
    game.control(faults=[{"kind": "die", "request": "debug"}])
    if request_name == "observation":
        # 1 + 3 observations up to here; the fifth is the second reset's.
        game.control(faults=[{"kind": "die", "request": "observation", "after": 4}])
    first = env.rollout(3, policy=stop)
    td = env.rollout(100, policy=stop)
    assert not first["next", "done"].any()
    # No unit of the old game is left over: everyone lives, and the battle ends by itself.
    assert not td[0][MASK][..., 0].any()
    assert td["next", "terminated"][-1]
    assert env.lost_connections == 0
    assert sum(map(alive, game.pids())) == 1


def test_a_taken_port_is_tried_again(game, make):
    game.control(faults=[{"kind": "port_taken"}])
    env = make(seed=0)
    env.rollout(3)
    first, second = game.pids()
    assert not alive(first)
    assert alive(second)


def test_a_game_that_never_starts(game, make, monkeypatch):
    # Held for real, by a socket that does not listen.
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        monkeypatch.setattr("portpicker.pick_unused_port", lambda: port)
        monkeypatch.setattr("portpicker.return_port", lambda port: None)
        env = make(seed=0)
        with pytest.raises(ConnectionError, match=r"did not start in 3 attempts"):
            env.reset()
    assert len(game.pids()) == 3
    assert not any(map(alive, game.pids()))


def test_a_game_lost_for_good_ends_with_an_error(game, make):
    game.control(
        faults=[
            {"kind": "die", "request": "step", "after": 3},
            {"kind": "die", "request": "join_game", "times": 9},
        ]
    )
    game_faults = [{"kind": "die", "request": "step", "after": 3}]
    game.control(faults=game_faults)
    env = make(seed=0)
    env.reset()
    game.control(faults=[{"kind": "die", "request": "join_game", "times": 9}])
    td = env.reset()
    while not td["done"]:
        td = env.step(stop(td))["next"]
    assert td["truncated"]
    with pytest.raises(ConnectionError, match=r"did not start in 3 attempts"):
        env.reset()
    assert not any(map(alive, game.pids()))


def test_an_exception_in_smac_ends_the_game(game, make, monkeypatch):
    env = make(seed=0)
    td = env.reset()
    with monkeypatch.context() as patch:
        patch.setattr(env._env, "get_agent_action", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            env.step(stop(td))
    assert not any(map(alive, game.pids()))
    assert env.rollout(100, policy=stop)["next", "terminated"][-1]  # a reset starts another
    assert env.lost_connections == 0


def test_close_and_collection_end_the_game(game):
    env = SMACEnv("3m")
    env.reset()
    env.close()
    env.close()
    assert not alive(game.pids()[-1])
    env = SMACEnv("3m")
    env.reset()
    assert alive(game.pids()[-1])
    del env
    assert not alive(game.pids()[-1])


@pytest.mark.parametrize("end", ["raise ValueError('ours')", "sys.exit(3)", "pass"])
def test_the_end_of_the_interpreter_ends_the_game(game, end):
    script = textwrap.dedent(f"""
        import sys
        from torchrl_drigm.envs.libs.smac import SMACEnv
        env = SMACEnv("3m")
        env.reset()
        keep = [env]
        keep.append(keep)
        {end}
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert len(game.pids()) == 1, done.stderr
    assert not alive(game.pids()[0])
    assert ("ours" in done.stderr) == ("ours" in end)
    assert "This is NOT StarCraft II" in done.stdout


def play_and_wait(ready):
    env = SMACEnv("3m")
    env.reset()
    ready.set()
    time.sleep(60)


def test_a_terminated_worker_ends_its_game(game):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    worker = context.Process(target=play_and_wait, args=(ready,))
    worker.start()
    assert ready.wait(60)
    assert alive(game.pids()[0])
    worker.terminate()
    worker.join(20)
    assert worker.exitcode == -signal.SIGTERM
    assert not alive(game.pids()[0])


@pytest.mark.parametrize("batched", [SerialEnv, ParallelEnv])
def test_several_games_at_once(game, batched):
    # 3m against standing-still agents ends after some 20 steps; one of the games dies before.
    game.control(faults=[{"kind": "die", "request": "step", "after": 6}])
    makers = [EnvCreator(functools.partial(SMACEnv, "3m", seed=seed)) for seed in (0, 1)]
    env = TransformedEnv(batched(2, makers), ActionMask(action_key=ACTION, mask_key=MASK))
    torch.manual_seed(0)
    try:
        td = env.rollout(60, break_when_any_done=False)
        assert td.shape == (2, 60)
        assert chosen_are_available(td)
        assert td["next", "info", "connection_lost"].sum() == 1
        lost = td["next", "info", "connection_lost"]
        assert (td["next", "truncated"] == lost).all()
        assert td["next", "terminated"].sum() >= 2
        assert sum(map(alive, game.pids())) == 2
    finally:
        env.close()
    assert not await_end(game.pids())


def test_training_data_across_a_lost_game(game):
    game.control(faults=[{"kind": "die", "request": "observation", "after": 9}])
    env = SMACEnv("3m", seed=0)
    policy = TensorDictModule(
        lambda mask: fight(TensorDict({MASK: mask}))[ACTION], in_keys=[MASK], out_keys=[ACTION]
    )
    collector = Collector(env, policy, frames_per_batch=40, total_frames=80)
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


def test_replay(game, make):
    from tests.sc2_server.protocol import REPLAY

    env = make(seed=0)
    env.rollout(2)
    env.save_replay()
    (replay,) = (game.path / "Replays").glob("3m_*.SC2Replay")
    assert replay.read_bytes() == REPLAY


def test_what_the_stand_in_does_not_know_is_an_error(game, make):
    from pysc2.lib.protocol import ProtocolError

    env = make(seed=0)
    env.reset()
    with pytest.raises(ProtocolError, match="the stand-in does not know the request"):
        env._controller.available_maps()
    assert env._controller.data_raw().units
    env._controller.restart()
    assert len(env._controller.observe().observation.raw_data.units) == 6
    assert REPOSITORY.is_dir()
