import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import TransformedEnv, check_env_specs
from torchrl.envs.transforms import ActionMask, Compose

from tests.envs._smax import B, attack, change_units, jaxmarl, make_env
from torchrl_drigm.envs.libs import _smax_wrapper
from torchrl_drigm.envs.libs.smax import SMAXEnv, SMAXWrapper
from torchrl_drigm.envs.transforms.observation_noise import ObservationNoise

pytestmark = pytest.mark.smax

import jax.numpy as jnp  # noqa: E402
from jaxmarl.environments.smax.smax_env import map_name_to_scenario  # noqa: E402


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.manual_seed(0)


class TestSpecs:
    def test_check_env_specs(self):
        check_env_specs(make_env())

    def test_shapes(self):
        env = make_env()
        assert (env.n_agents, env.n_enemies, env.n_actions) == (3, 5, 10)
        td = env.rollout(2)
        assert td["agents", "observation"].shape == (B, 2, 3, 101)
        assert td["agents", "action_mask"].shape == (B, 2, 3, 10)
        assert td["agents", "action_mask"].dtype == torch.bool
        assert td["agents", "action"].shape == (B, 2, 3)
        assert td["agents", "action"].dtype == torch.int64
        assert td["state"].shape == (B, 2, 96)
        for key in ("reward", "done", "terminated", "truncated", ("info", "battle_won")):
            assert td["next"][key].shape == (B, 2, 1)
            assert td["next"][key].dtype == (torch.float32 if key == "reward" else torch.bool)

    def test_wrapper(self):
        battle = jaxmarl.make("HeuristicEnemySMAX", scenario=map_name_to_scenario("3m"))
        env = SMAXWrapper(battle, num_envs=2, seed=0, device="cpu")
        td = env.reset()
        assert td["agents", "observation"].shape == (2, 3, battle.obs_size)
        assert td.device == torch.device("cpu")
        assert env.lib is jaxmarl

    def test_compiles_once(self):
        # a dtype that changes between reset and step would compile everything twice
        first, second = make_env(), make_env()
        assert first._programs is second._programs
        programs = (first._programs.step, first._programs.reset)
        before = [program._cache_size() for program in programs]  # of other numbers of battles
        first.rollout(3)
        second.rollout(300, break_when_any_done=False)
        assert all(p._cache_size() <= n + 1 for p, n in zip(programs, before, strict=True))

    def test_no_copy_on_cpu(self):
        env = make_env()
        array = jnp.arange(64.0)
        assert env._to_torch(array).data_ptr() == array.unsafe_buffer_pointer()

    def test_writing_in_place_does_not_reach_the_battles(self):
        env, other = make_env(), make_env()
        td, expected = attack(env.reset()), attack(other.reset())
        for _ in range(30):
            td, expected = env.step(td)["next"], other.step(expected)["next"]
            assert torch.equal(td["agents", "observation"], expected["agents", "observation"])
            assert torch.equal(td["state"], expected["state"])
            assert torch.equal(td["reward"], expected["reward"])
            assert torch.equal(td["done"], expected["done"])
            attack(expected)
            attack(td)
            actions = td["agents", "action"].clone()
            for value in td.values(True, True):
                value.fill_(1)
            td["agents", "action"] = actions


class TestSeed:
    def test_seed(self):
        def rollout(env):
            torch.manual_seed(1)
            return env.rollout(30, break_when_any_done=False)

        first, same, other = rollout(make_env(3)), rollout(make_env(3)), rollout(make_env(4))
        assert (first == same).all()
        assert not torch.equal(first["state"], other["state"])
        env = make_env(4)
        env.set_seed(3)
        assert (rollout(env) == first).all()

    def test_copies_differ(self):
        state = make_env().reset()["state"]
        assert len(state.unique(dim=0)) == B

    def test_episodes_differ(self):
        env = make_env()
        assert not torch.equal(env.reset()["state"], env.reset()["state"])

    def test_no_seed_draws_one(self):
        torch.manual_seed(0)
        first = make_env(None).reset()["state"]
        assert not torch.equal(first, make_env(None).reset()["state"])
        torch.manual_seed(0)
        assert torch.equal(first, make_env(None).reset()["state"])

    def test_state_dict(self):
        env = make_env()
        td = env.rollout(20, attack, auto_reset=True, break_when_any_done=False)[:, -1]["next"]
        saved = env.state_dict()
        expected = env.rollout(
            60, attack, auto_reset=False, tensordict=td.clone(), break_when_any_done=False
        )
        other = make_env(7)
        other.load_state_dict(saved)
        resumed = other.rollout(
            60, attack, auto_reset=False, tensordict=td.clone(), break_when_any_done=False
        )
        assert (resumed == expected).all()
        assert expected["next", "done"].any()  # random resets included

    def test_state_dict_restores_the_mask(self):
        env, other = make_env(), make_env(1)
        mask = env.rollout(10, attack)[:, -1]["next", "agents", "action_mask"]
        other.load_state_dict(env.state_dict())
        assert torch.equal(other.full_action_spec["agents", "action"].mask, mask)

    def test_state_dict_of_another_size(self):
        saved = make_env().state_dict()
        with pytest.raises(ValueError, match="same scenario and num_envs"):
            SMAXEnv("3s_vs_5z", num_envs=2, seed=0).load_state_dict(saved)


class TestMask:
    def test_random_actions_are_available(self):
        env = make_env()
        td = env.reset()
        attacks = 0
        for _ in range(10_000 // B):
            mask = td["agents", "action_mask"]
            assert torch.equal(env.full_action_spec["agents", "action"].mask, mask)
            actions = env.rand_action(td)["agents", "action"]
            assert mask.gather(-1, actions.unsqueeze(-1)).all()
            attacks += (actions >= 5).sum().item()
            _, td = env.step_and_maybe_reset(td)
        assert attacks > 100

    def test_random_actions_are_available_through_a_transform(self):
        transform = Compose(
            ActionMask(("agents", "action"), ("agents", "action_mask")), ObservationNoise(seed=0)
        )
        td = TransformedEnv(make_env(), transform).rollout(200, break_when_any_done=False)
        actions = td["agents", "action"].unsqueeze(-1)
        assert td["agents", "action_mask"].gather(-1, actions).all()

    def test_dead_agents_can_only_stop(self):
        env = make_env()
        td = attack(env.reset())
        change_units(env, unit_health=lambda health: health[:, 0].fill(0))
        mask = env.step(td)["next", "agents", "action_mask"]
        stop = torch.zeros(10, dtype=torch.bool)
        stop[4] = True
        assert torch.equal(mask[:, 0], stop.expand(B, -1))
        assert mask[:, 1:, :5].all()


class TestEnd:
    def test_victory_defeat_and_draw(self):
        env = make_env()
        td = attack(env.reset())

        def kill(health):
            health[[0, 2], 3:] = 0  # the enemies
            health[[1, 2], :3] = 0  # the allies

        change_units(env, unit_health=kill)
        td = env.step(td)["next"]
        assert td["terminated"].flatten().tolist() == [True] * 3 + [False] * (B - 3)
        assert torch.equal(td["done"], td["terminated"])
        assert not td["truncated"].any()
        assert td["info", "battle_won"].flatten().tolist() == [True] + [False] * (B - 1)
        # JaxMARL's bonus of 1 for a victory, given once to the team
        assert td["reward"].flatten()[:4].tolist() == [1, 0, 0, 0]

    def test_step_limit_truncates(self):
        env = SMAXEnv("3s_vs_5z", num_envs=2, max_steps=3, seed=0)
        td = env.rollout(9, break_when_any_done=False)
        # JaxMARL's limit of 3 cuts the fourth step
        cut = [False, False, False, True] * 2 + [False]
        for key in ("done", "truncated"):
            assert td["next", key].squeeze(-1).tolist() == [cut] * 2
        assert not td["next", "terminated"].any()
        assert not td["next", "info", "battle_won"].any()

    def test_end_at_the_limit_is_no_truncation(self):
        env = make_env()
        td = attack(env.reset())
        change_units(
            env,
            step=lambda step: step.fill(100),
            unit_health=lambda health: health[0, 3:].fill(0),
        )
        td = env.step(td)["next"]
        assert td["done"].all()
        assert td["terminated"].flatten().tolist() == [True] + [False] * (B - 1)
        assert torch.equal(td["truncated"], ~td["terminated"])

    def test_terminal_observation_is_kept(self):
        td = make_env().rollout(200, attack, break_when_any_done=False)
        over = td["next", "terminated"][:, :-1].squeeze(-1)
        assert over.any()
        last = td["next"][:, :-1][over]
        first = td[:, 1:][over]
        # health and position of 8 units: one side is dead at the end, everyone lives after it
        health, first_health = (x["state"][:, :80].view(-1, 8, 10)[..., 0] for x in (last, first))
        dead = (health[:, :3] == 0).all(1) | (health[:, 3:] == 0).all(1)
        assert dead.all()
        assert (first_health == 1).all()
        assert torch.equal(last["info", "battle_won"].squeeze(-1), (health[:, :3] > 0).any(1))
        assert not first["info", "battle_won"].any()


class TestPartialReset:
    def test_others_go_on(self):
        env, other = make_env(), make_env()
        td = env.rollout(10, attack)[:, -1]["next"]
        expected = other.rollout(10, attack)[:, -1]["next"]
        reset = torch.zeros(B, 1, dtype=torch.bool)
        reset[[1, 5]] = True
        kept = ~reset.squeeze(-1)
        fresh = env.reset(td.clone().set("_reset", reset))
        for key in (("agents", "observation"), ("agents", "action_mask"), "state"):
            assert torch.equal(fresh[key][kept], expected[key][kept])
            assert torch.equal(td[key], expected[key])
        health = fresh["state"][:, :80].view(B, 8, 10)[..., 0]
        assert (health[~kept] == 1).all()
        assert (health[kept] < 1).any()
        spec = env.full_action_spec["agents", "action"]
        assert torch.equal(spec.mask, fresh["agents", "action_mask"])

        td = env.rollout(20, attack, auto_reset=False, tensordict=fresh, break_when_any_done=False)
        expected = other.rollout(
            20, attack, auto_reset=False, tensordict=expected, break_when_any_done=False
        )
        assert torch.equal(td["next", "state"][kept], expected["next", "state"][kept])
        assert not torch.equal(td["next", "state"][~kept], expected["next", "state"][~kept])

    @pytest.mark.parametrize("change", ["mask", "seed", "state"])
    def test_reset_begun_ahead_is_void_after_a_change(self, change):
        """A step begins to reset what ended; another reset than that must not be given it."""
        env, other = make_env(), make_env()
        td = attack(env.reset())
        change_units(env, unit_health=lambda health: health[0, 3:].fill(0))
        td = env.step(td)["next"]
        assert td["done"][0]
        if change == "mask":
            td["_reset"] = torch.ones(B, 1, dtype=torch.bool)
            fresh = env.reset(td)
            assert (fresh["state"][:, :80].view(B, 8, 10)[..., 0] == 1).all()
            return
        if change == "seed":
            env.set_seed(9)
            other.set_seed(9)
        else:
            env.load_state_dict(other.state_dict())
        td["_reset"] = td["done"].clone()
        assert torch.equal(env.reset(td)["state"][0], other.reset()["state"][0])


def test_a_partial_reset_leaves_the_other_battles_and_their_flags():
    env = make_env()
    td = env.rollout(120, policy=attack, break_when_any_done=True)[:, -1]["next"]
    ended = td["done"]
    assert ended.any() and not ended.all()
    only = torch.zeros(B, 1, dtype=torch.bool)
    only[ended.nonzero()[0, 0]] = only[(~ended).nonzero()[0, 0]] = True
    before = td.clone()
    after = env.reset(td.clone().set("_reset", only))
    kept = ~only.squeeze(-1)
    for key in [
        ("agents", "observation"),
        ("agents", "action_mask"),
        "state",
        *_smax_wrapper._FLAGS,
    ]:
        torch.testing.assert_close(after[key][kept], before[key][kept])
    for key in _smax_wrapper._FLAGS:
        assert not after[key][only.squeeze(-1)].any()
    assert (after["state"][~kept] != before["state"][~kept]).any(-1).all()
    assert after.get("_reset", None) is None


def test_reset_entry_of_any_shape():
    env = make_env()
    td = env.reset(TensorDict({"_reset": torch.ones(B, 1, dtype=torch.bool)}, [B]))
    assert not td["done"].any()
