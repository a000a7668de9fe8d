"""The unmodified smac and pysc2 through our wrapper, against the stand-in of ``tests/sc2_server``.

The stand-in is not the game: these tests are about keys, flags and masks, not about win rates.
Failures of the game are in ``test_smac_faults.py``, its processes in ``test_smac_processes.py``.
"""

import sys

import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import ActionMask, TransformedEnv, check_env_specs
from torchrl.modules import EGreedyModule

from tests.envs.smac_policies import ACTION, MASK, chosen_are_available, fight, stop
from torchrl_drigm.envs import SMACEnv, SMACWrapper
from torchrl_drigm.envs.transforms import ObservationNoise

pytest_plugins = ["tests.sc2_server.fixtures"]
pytestmark = [
    pytest.mark.smac,
    # protobuf 3.20, the newest that pysc2 works with, warns of StarCraft's own protocol files.
    pytest.mark.filterwarnings("ignore:Call to deprecated create function:DeprecationWarning"),
]


@pytest.fixture
def forget_smac(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "smac"]:
        monkeypatch.delitem(sys.modules, name)


def test_missing_package_says_what_to_install(forget_smac, monkeypatch):
    monkeypatch.setitem(sys.modules, "smac", None)
    for build in (SMACEnv, lambda: SMACWrapper(object())):
        with pytest.raises(ImportError, match=r"git\+https://github.com/oxwhirl/smac") as raised:
            build()
        assert "another one" in str(raised.value)


@pytest.mark.parametrize("found", ["", 'raise TypeError("Descriptors cannot be created")'])
def test_another_smac_or_a_wrong_protobuf_says_what_to_install(
    tmp_path, forget_smac, monkeypatch, found
):
    # Another project of that name has no smac.env; a newer protobuf fails while it is imported.
    (tmp_path / "smac").mkdir()
    (tmp_path / "smac" / "__init__.py").write_text(found)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"SMACEnv needs StarCraft's smac.*\[smac\].*github"):
        SMACEnv()
    sys.modules.pop("smac", None)


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
    assert not game.running()


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
    assert len(game.running()) == 1


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


@pytest.mark.parametrize(
    "continuing_episode", [False, True], ids=["in a new game", "in the same game"]
)
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
@pytest.mark.parametrize("steps", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_unavailable_action_is_chosen(make, steps, epsilon):
    env = make("3s_vs_5z", seed=0)
    policy = None
    if epsilon is not None:
        explore = EGreedyModule(
            env.action_spec, epsilon, epsilon, action_key=ACTION, action_mask_key=MASK
        )
        policy = lambda td: explore(fight(td))  # noqa: E731
    torch.manual_seed(0)
    td = env.rollout(steps, policy=policy, break_when_any_done=False)
    assert td.shape == (steps,)
    assert chosen_are_available(td)
    assert td["next", "done"].sum() > 5
    dead = td[MASK][..., 0]
    assert dead.any()
    assert (td[MASK].sum(-1)[dead] == 1).all()  # dead agents have one action


def test_spec_mask_follows_the_battle(make):
    env = make(seed=0)
    td = env.reset()
    for _ in range(40):
        assert (env.full_action_spec[ACTION].mask == td[MASK]).all()
        td = env.step(stop(td))["next"]
        if td["done"]:
            break
    assert td["done"]


def test_mask_of_a_transformed_env(make):
    env = TransformedEnv(make(seed=0), ActionMask(action_key=ACTION, mask_key=MASK))
    torch.manual_seed(0)
    td = env.rollout(200, break_when_any_done=False)
    assert chosen_are_available(td)
    assert td["next", "done"].sum() > 1


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
    index = env.feature_index("enemy_position")
    position, visible = index["position"], index["visible"]
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
                assert (observation[visible[enemy]] > 0) == in_sight
                seen, unseen = seen + in_sight, unseen + (not in_sight)
        td = env.step(stop(td))["next"]
    assert seen
    assert unseen
    with pytest.raises(ValueError, match="name='enemy_mood' is unknown; valid names: enemy_pos"):
        env.feature_index("enemy_mood")


def test_feature_index_by_hand(make):
    # 4 moves; then for each enemy: attackable, distance, x, y, health, shield.
    index = make("3s_vs_5z").feature_index("enemy_position")
    assert index["position"].tolist() == [[6, 7], [12, 13], [18, 19], [24, 25], [30, 31]]
    assert index["visible"].tolist() == [8, 14, 20, 26, 32]


def test_observation_noise_changes_exactly_the_positions_of_visible_enemies(make):
    env = make("3s_vs_5z", seed=0)
    index = env.feature_index("enemy_position")
    clean = env.rollout(300, policy=stop)
    env.set_seed(0)
    noisy = TransformedEnv(env, ObservationNoise("enemy_position", std=0.75, seed=1))
    td = noisy.rollout(300, policy=stop)
    expected = torch.zeros_like(clean["agents", "observation"], dtype=torch.bool)
    expected[..., index["position"]] = clean["agents", "observation"][
        ..., index["visible"], None
    ].gt(0)
    assert expected.any()
    assert not expected[..., index["position"]].all()
    changed = td["agents", "observation"] != clean["agents", "observation"]
    assert (changed == expected).all()
    difference = (td["agents", "observation"] - clean["agents", "observation"])[expected]
    assert abs(difference.std() - 0.75) < 0.05
    for key in [MASK, "state", ("next", "reward"), ("next", "terminated")]:
        assert (td[key] == clean[key]).all()


def test_replay(game, make):
    from tests.sc2_server.protocol import REPLAY

    env = make(seed=0)
    env.rollout(2)
    env.save_replay()
    (replay,) = (game.path / "Replays").glob("3m_*.SC2Replay")
    assert replay.read_bytes() == REPLAY
