"""Failures of the game, as the stand-in of ``tests/sc2_server`` commits them on demand."""

import os
import signal
import socket

import pytest

from tests.envs.smac_policies import MASK, chosen_are_available, stop

pytest_plugins = ["tests.sc2_server.fixtures"]
pytestmark = [
    pytest.mark.smac,
    # See test_smac.py.
    pytest.mark.filterwarnings("ignore:Call to deprecated create function:DeprecationWarning"),
]


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
    assert game.running() == game.pids()[-1:]


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


@pytest.mark.slow
def test_no_reply_in_time_costs_one_truncated_episode(game, make):
    from absl.testing import flagsaver

    game.control(faults=[{"kind": "delay", "request": "step", "after": 2, "seconds": 60}])
    env = make(seed=0)
    with flagsaver.flagsaver(sc2_timeout=5):
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
    assert len(game.running()) == 1


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
    assert len(game.running()) == 1


def test_a_taken_port_is_tried_again(game, make):
    game.control(faults=[{"kind": "port_taken"}])
    env = make(seed=0)
    env.rollout(3)
    _, second = game.pids()
    assert game.running() == [second]


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
    assert not game.running()


def test_a_game_lost_for_good_ends_with_an_error(game, make):
    game.control(faults=[{"kind": "die", "request": "step", "after": 3}])
    env = make(seed=0)
    env.reset()
    game.control(faults=[{"kind": "die", "request": "join_game", "times": 9}])
    td = env.reset()
    while not td["done"]:
        td = env.step(stop(td))["next"]
    assert td["truncated"]
    with pytest.raises(ConnectionError, match=r"did not start in 3 attempts"):
        env.reset()
    assert not game.running()


def test_what_the_stand_in_does_not_know_is_an_error(game, make):
    from pysc2.lib.protocol import ProtocolError

    env = make(seed=0)
    env.reset()
    with pytest.raises(ProtocolError, match="the stand-in does not know the request"):
        env._controller.available_maps()
    assert env._controller.data_raw().units
    env._controller.restart()
    assert len(env._controller.observe().observation.raw_data.units) == 6
