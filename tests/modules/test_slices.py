"""What a collector and a replay buffer make of episodes, learned on as it was acted."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import (
    Categorical,
    Composite,
    LazyTensorStorage,
    SliceSampler,
    SliceSamplerWithoutReplacement,
    TensorDictReplayBuffer,
    Unbounded,
)
from torchrl.envs import EnvBase, InitTracker, TransformedEnv
from torchrl.modules import EGreedyModule, QValueModule, VDNMixer, set_recurrent_mode

from torchrl_drigm.envs.transforms import PreviousAction
from torchrl_drigm.modules import DRQN, RecurrentDRQN
from torchrl_drigm.objectives import RobustQMixerLoss

A, F, N_ACTIONS, FRAMES, SLICE, GAMMA = 2, 3, 4, 120, 5, 0.9
ACTION, VALUE = ("agents", "action"), ("agents", "action_value")
ACTED, STATE = ("agents", "acted"), ("agents", "recurrent_state")


class Episodes(EnvBase):
    """One environment with random observations and rewards; episodes of 3 to 12 steps."""

    def __init__(self):
        super().__init__()
        action, observation = Categorical(N_ACTIONS, shape=(A,)), Unbounded((A, F))
        self.action_spec = Composite(agents=Composite(action=action, shape=(A,)))
        self.observation_spec = Composite(
            agents=Composite(observation=observation, shape=(A,)),
            index=Unbounded(1, dtype=torch.int64),
        )
        self.reward_spec = Unbounded(1)
        self.index = 0

    def _observe(self, done):
        agents = TensorDict({"observation": torch.randn(A, F)}, [A])
        # which of the collected steps this is
        index = torch.tensor([self.index])
        return TensorDict({"agents": agents, "index": index, "done": done, "terminated": done}, [])

    def _reset(self, tensordict=None, **kwargs):
        self.left = torch.randint(3, 13, ()).item()
        return self._observe(torch.zeros(1, dtype=torch.bool))

    def _step(self, tensordict):
        self.left -= 1
        self.index += 1
        done = torch.tensor([self.left == 0])
        return self._observe(done).set("reward", torch.randn(1))

    def _set_seed(self, seed):
        torch.manual_seed(seed)


@pytest.fixture(params=["gru", "lstm"])
def core(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["unshared", "shared"])
def qnet(request, core):
    torch.manual_seed(0)
    shared = request.param
    drqn = DRQN(F, N_ACTIONS, A, hidden_size=6, core=core, share_params=shared, agent_id=shared)
    with torch.no_grad():
        for parameter in drqn.parameters():
            parameter *= 2  # so that it matters what the state is
    return RecurrentDRQN(drqn)


def collect(qnet, init_random_frames=0):
    """A stream of episodes ``[FRAMES]``, with the values that the agents acted on."""
    keep = TensorDictModule(lambda value: value, [VALUE], [ACTED])
    greedy = QValueModule(
        action_space="categorical", action_value_key=VALUE, out_keys=[ACTION, VALUE, "chosen"]
    )
    explore = EGreedyModule(
        Categorical(N_ACTIONS, shape=(A,)), eps_init=0.5, eps_end=0.5, action_key=ACTION
    )
    out_keys = [ACTION, ("next", *STATE)] + ([] if init_random_frames else [ACTED])
    env = TransformedEnv(Episodes())
    for transform in (InitTracker(), PreviousAction(), qnet.make_tensordict_primer()):
        env.append_transform(transform)
    collector = Collector(
        env,
        TensorDictSequential(qnet, greedy, keep, explore, selected_out_keys=out_keys),
        frames_per_batch=30,
        total_frames=FRAMES,
        init_random_frames=init_random_frames,
    )
    stream = torch.cat([batch.clone() for batch in collector])
    collector.shutdown()
    assert stream["index"].flatten().tolist() == list(range(FRAMES))
    return stream


def store(stream, sampler):
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(FRAMES), sampler=sampler, batch_size=8 * SLICE
    )
    buffer.extend(stream)
    return buffer


def in_mid_episode(sample, stream):
    """Steps flagged as first ones that no episode started at."""
    return sample["is_init"] & ~stream["is_init"][sample["index"].flatten()]


def values(qnet, sample):
    with set_recurrent_mode(True):
        return qnet(sample.clone())[VALUE]


@pytest.mark.parametrize("flat", [False, True], ids=["two dimensions", "one after the other"])
@pytest.mark.parametrize("sampler", [SliceSampler, SliceSamplerWithoutReplacement])
def test_slices_have_the_values_that_were_acted_on(qnet, sampler, flat):
    stream = collect(qnet)
    buffer = store(stream, sampler(slice_len=SLICE))
    n_mid = 0
    for _ in range(3):
        sample = buffer.sample()
        n_mid += in_mid_episode(sample, stream).sum()
        if not flat:
            sample = sample.reshape(-1, SLICE)
        torch.testing.assert_close(values(qnet, sample), sample[ACTED], atol=1e-5, rtol=0)
    assert n_mid > 5


def test_slices_of_every_length_one_after_the_other(qnet):
    stream = collect(qnet)
    buffer, n_mid = store(stream, SliceSampler(slice_len=8, strict_length=False)), 0
    for _ in range(10):
        sample = buffer.sample()
        n_mid += in_mid_episode(sample, stream).sum()
        torch.testing.assert_close(values(qnet, sample), sample[ACTED], atol=1e-5, rtol=0)
    assert n_mid > 1


def test_batches_in_which_episodes_end(qnet):
    """As a collector gives them: episodes start in the middle, no slice does."""
    stream = collect(qnet).reshape(4, -1)
    assert stream["is_init"][:, 1:].any() and not stream["is_init"][:, 0].all()
    torch.testing.assert_close(values(qnet, stream), stream[ACTED], atol=1e-5, rtol=0)


def test_slices_of_random_play(qnet):
    """There the state stays zero in mid-episode, and actions lead to observations all the same."""
    stream = collect(qnet, init_random_frames=60)
    with set_recurrent_mode(False):
        stream[ACTED] = qnet(stream.clone())[VALUE]  # each step from the state that it has
    sampler = SliceSampler(slice_len=1)
    sample = store(stream, sampler).sample().reshape(-1, 1)
    assert (in_mid_episode(sample, stream) & (sample[STATE] == 0).all(-1).all(-1)[..., None]).any()
    torch.testing.assert_close(values(qnet, sample), sample[ACTED], atol=1e-5, rtol=0)


@pytest.mark.parametrize("flat", [False, True], ids=["two dimensions", "one after the other"])
def test_loss_of_slices_is_that_of_acting(qnet, flat):
    stream = collect(qnet)
    chosen = ("agents", "chosen_action_value")
    loss = RobustQMixerLoss(
        TensorDictSequential(
            qnet,
            QValueModule(
                action_space="categorical",
                action_value_key=VALUE,
                out_keys=[ACTION, VALUE, chosen],
            ),
        ),
        TensorDictModule(VDNMixer(n_agents=A, device="cpu"), [chosen], ["chosen_action_value"]),
        action_space="categorical",
        delay_value=False,
    )
    loss.make_value_estimator("contamination_td0", gamma=GAMMA)
    team = stream[ACTED].gather(-1, stream[ACTION].unsqueeze(-1)).sum((-2, -1))
    best = stream[ACTED].amax(-1).sum(-1).roll(-1)
    best = torch.where(stream["next", "terminated"].squeeze(-1), 0.0, best)
    expected = (team - stream["next", "reward"].squeeze(-1) - GAMMA * best).square()
    sampler = SliceSampler(slice_len=SLICE)
    sample = store(stream, sampler).sample()
    assert in_mid_episode(sample, stream).any()
    expected = expected[sample["index"].flatten()]
    sample = sample if flat else sample.reshape(-1, SLICE)
    # the step after the last one was not collected
    last = (sample["index"] == FRAMES - 1).flatten()
    value = loss(sample)["loss"]
    if not last.any():
        torch.testing.assert_close(value, expected.mean())
    error = sample["td_error"].flatten()
    torch.testing.assert_close(error[~last], expected[~last], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("core", ["gru", "lstm"])
def test_pieces_in_one_graph(core):
    """What a compiler is given, without a break in it."""
    torch.manual_seed(0)
    drqn = DRQN(F, N_ACTIONS, A, hidden_size=6, core=core)
    args = (
        torch.randn(2, SLICE, A, F),
        torch.randint(N_ACTIONS + 1, (2, SLICE, A)),
        torch.randn(2, SLICE, A, drqn.state_size),
        torch.rand(2, SLICE, 1) < 0.5,
    )
    compiled = torch.compile(drqn.unroll, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*args), drqn.unroll(*args), atol=1e-5, rtol=0)
