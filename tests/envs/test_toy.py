"""Environments that play a known model: its kernel, its rewards, and the house's keys."""

import pytest
import torch
from torchrl.envs.utils import check_env_specs

from torchrl_drigm.envs import DecPOMDPEnv, DronesEnv, HarvestEnv, MachinesEnv
from torchrl_drigm.tabular import DecPOMDP, drones, harvest, machines, random_dec_pomdp

ENVS = [HarvestEnv, MachinesEnv, DronesEnv]


@pytest.fixture
def uneven():
    """A model whose agents differ in actions and observations, with rewards of its own each."""
    return random_dec_pomdp(5, (2, 3), seed=3, gamma=0.8)


def steps_of(env, n, policy=None):
    torch.manual_seed(0)
    return env.rollout(n, policy, break_when_any_done=False)


@pytest.mark.parametrize("make", ENVS)
def test_the_specs_are_kept(make, caplog):
    check_env_specs(make(num_envs=3, seed=0))


def test_the_specs_of_agents_that_differ_are_kept(uneven, caplog):
    env = DecPOMDPEnv(uneven, 3, max_steps=4, seed=0)
    check_env_specs(env)
    actions = steps_of(env, 200)["agents", "action"].flatten(0, 1)
    assert actions.amax(0).tolist() == [1, 2]


@pytest.mark.parametrize("make", ENVS)
def test_only_agents_that_differ_have_a_mask(make, uneven):
    assert "action_mask" not in make().reset()["agents"]
    mask = DecPOMDPEnv(uneven).reset()["agents", "action_mask"]
    assert mask.tolist() == [[[True, True, False], [True, True, True]]]


def test_next_states_are_those_of_the_kernel(uneven):
    """Frequencies at every state and joint action, of 2,000 draws each."""
    env = DecPOMDPEnv(uneven, 2000, seed=0)
    data = env.reset()
    for state in (~uneven.terminal).nonzero().flatten().tolist():
        for first in range(2):
            for second in range(3):
                env._where = torch.full((2000,), state)
                data["agents", "action"] = torch.tensor([first, second]).expand(2000, 2)
                after = env.step(data)["next"]
                row = uneven.kernel[state, first, second]
                found = after["state"].double().mean(0)
                error = (row * (1 - row) / 2000).sqrt()
                assert ((found - row).abs() <= 4.5 * error).all()
                assert (found[row == 0] == 0).all()
                paid = uneven.reward[state, first, second].item()
                assert after["reward"].flatten().tolist() == pytest.approx([paid] * 2000, abs=1e-6)
                ends = uneven.terminal[after["state"].argmax(-1)]
                assert torch.equal(after["terminated"].squeeze(-1), ends)


def test_each_agent_sees_its_own_observation():
    observation = torch.tensor([[0, 1], [1, 0], [2, 1]])
    kernel = torch.eye(3).roll(1, 1).reshape(3, 1, 1, 3)
    model = DecPOMDP(kernel, torch.zeros(3, 1, 1), 0.5, observation=observation)
    data = steps_of(DecPOMDPEnv(model), 3)
    assert data["agents", "observation"][0].argmax(-1).tolist() == observation.tolist()
    assert data["state"][0].argmax(-1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("make", "model"),
    [
        (HarvestEnv, harvest(3.0)),
        (MachinesEnv, machines(3.0)),
        (DronesEnv, drones(3.0)),
    ],
)
def test_the_severity_is_the_models(make, model):
    env = make(severity=3.0)
    assert torch.equal(env.model.kernel, model.kernel) and env.severity == 3.0
    assert torch.equal(env.model.reward, model.reward)


def test_a_reward_by_next_state_is_that_of_the_state_reached():
    env = MachinesEnv(3.0, 2000, cost_in_reward=True, seed=0)
    data = env.reset()
    env._where = torch.full((2000,), 4 * 3 + 3)  # both old
    data["agents", "action"] = torch.tensor([0, 1]).expand(2000, 2)
    after = env.step(data)["next"]
    failed = after["state"].argmax(-1) == 0
    assert 0.15 < failed.double().mean() < 0.33
    assert (after["reward"][failed] == -17.5).all() and (after["reward"][~failed] == 0.5).all()


def test_the_discounted_return_adds_up_and_starts_over():
    env = MachinesEnv(num_envs=4, max_steps=5, seed=0)
    data = steps_of(env, 10)["next"]
    weights = (0.9 ** torch.arange(5)).repeat(2)
    paid = (weights * data["reward"].squeeze(-1)).unflatten(1, (2, 5)).cumsum(-1).flatten(1)
    torch.testing.assert_close(data["info", "discounted_return"].squeeze(-1), paid)


def test_the_end_is_a_termination_and_a_limit_a_truncation():
    data = steps_of(HarvestEnv(25.0, 64, max_steps=3, seed=0), 3)["next"]
    done, terminated, truncated = (
        data[key].squeeze(-1) for key in ("done", "terminated", "truncated")
    )
    assert torch.equal(done, terminated | truncated) and not (terminated & truncated).any()
    assert terminated.any() and not truncated[:, :-1].any()
    assert steps_of(MachinesEnv(num_envs=2, seed=0), 100)["next", "truncated"].sum() == 2
    assert steps_of(DronesEnv(num_envs=2, seed=0), 300)["next", "truncated"].sum() == 2


def test_episodes_start_in_the_start_and_a_partial_reset_leaves_the_others():
    env = HarvestEnv(10.0, 32, seed=0)
    data = steps_of(env, 30)
    starts = data["next", "done"].squeeze(-1)[:, :-1]
    where = data["state"].argmax(-1)[:, 1:]
    assert starts.any() and not starts.all()
    assert (where[starts] == 0).all() and (where[~starts] != 0).all()


@pytest.mark.parametrize("make", ENVS)
def test_a_seed_gives_the_same_episodes(make):
    rollouts = [steps_of(make(num_envs=8, seed=s), 20) for s in (5, 5, 6)]
    assert (rollouts[0] == rollouts[1]).all() and not (rollouts[0] == rollouts[2]).all()


def test_episodes_go_on_from_a_state_dict():
    env = MachinesEnv(num_envs=8, seed=0)
    data = env.step_mdp(steps_of(env, 5)[:, -1])
    saved = {key: value.clone() for key, value in env.state_dict().items()}
    other = MachinesEnv(num_envs=8, seed=9)
    other.reset()
    other.load_state_dict(saved)
    data["agents", "action"] = torch.zeros(8, 2, dtype=torch.int64)
    assert (env.step(data.clone()) == other.step(data.clone())).all()


@pytest.mark.parametrize("argument", ["num_envs", "max_steps"])
@pytest.mark.parametrize("value", [0, 1.5, True])
def test_sizes_below_one_are_refused(argument, value):
    with pytest.raises(ValueError, match=rf"{argument}={value} must be an int of at least 1"):
        HarvestEnv(**{argument: value})


@pytest.mark.parametrize("start", [-1, 50, 49, 0.5])
def test_a_start_that_is_no_state_is_refused(start):
    with pytest.raises(ValueError, match=rf"start={start} must be a state, an int in \[0, 50\)"):
        DecPOMDPEnv(harvest(), start=start)


def test_an_action_that_an_agent_lacks_is_refused(uneven):
    env = DecPOMDPEnv(uneven, 2)
    data = env.reset()
    data["agents", "action"] = torch.tensor([[0, 0], [2, 1]])
    with pytest.raises(
        ValueError, match=r"in \[0, n\) for the agents' n of \[2, 3\], got \[0, 0\]"
    ):
        env.step(data)
