from collections import deque

import pytest
import torch
from tensordict import TensorDict
from torchrl.collectors import Collector
from torchrl.data import (
    Categorical,
    LazyTensorStorage,
    MultiCategorical,
    OneHot,
    ReplayBuffer,
    TensorDictReplayBuffer,
)
from torchrl.envs import SerialEnv, TransformedEnv, check_env_specs
from torchrl.envs.transforms import Compose, ExcludeTransform

from tests.envs.counting import N_ACTIONS, N_AGENTS, CountingEnv, F, parallel
from torchrl_drigm.envs.transforms import HistoryWindow, NextHistory

W = 4
OBSERVATION, ACTION = ("agents", "history", "observation"), ("agents", "history", "action")


def assert_windows(data, native_autoreset=False):
    """Compares every window in ``[*B, T]`` data with a deque that is fed step by step."""
    data = data.reshape(-1, data.shape[-1])
    n_checked = 0
    for row in data:
        window = None
        for t, step in enumerate(row):
            if t == 0 or row[t - 1]["next", "done"].item():
                padding = (torch.zeros(N_AGENTS, F), torch.zeros(N_AGENTS, dtype=torch.int64))
                window = deque([padding] * W, maxlen=W)
                previous = padding[1]
                n_checked += 1
            window.append((step["agents", "observation"], previous))
            assert_window(step, window)
            previous = step["agents", "action"]
            after = window.copy()
            after.append((step["next", "agents", "observation"], previous))
            # an environment that resets itself has no last observation to show
            if not (native_autoreset and step["next", "done"].item()):
                assert_window(step["next"], after)
    assert n_checked > len(data), "the data should hold episode ends"


def assert_window(step, window):
    observations, actions = zip(*window, strict=True)
    torch.testing.assert_close(step[OBSERVATION], torch.stack(observations, -2))
    torch.testing.assert_close(step[ACTION], torch.stack(actions, -1))


def make(**kwargs):
    return TransformedEnv(CountingEnv(**kwargs), HistoryWindow(window=W))


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


BATCHES = [{"batch": ()}, {"batch": (3,)}, {"batch": (3,), "agent_dim": True}, {"batch": (2, 2)}]


@pytest.mark.parametrize("kwargs", BATCHES)
class TestWindows:
    def test_specs(self, kwargs):
        env = make(**kwargs)
        check_env_specs(env)
        batch = kwargs["batch"]
        spec = env.full_observation_spec
        assert spec[OBSERVATION].shape == (*batch, N_AGENTS, W, F)
        assert spec[ACTION].shape == (*batch, N_AGENTS, W)
        assert spec[ACTION].dtype == torch.int64

    def test_rollout(self, kwargs):
        assert_windows(make(**kwargs).rollout(25, break_when_any_done=False))

    def test_collector_resets_rows_one_by_one(self, kwargs):
        collector = Collector(make(**kwargs), None, frames_per_batch=24, total_frames=72)
        batches = [batch.clone() for batch in collector]
        collector.shutdown()
        assert_windows(torch.cat(batches, -1))


def test_first_steps_by_hand():
    env = make(batch=())
    rollout = env.rollout(3)
    assert not rollout[0][OBSERVATION][:, :-1].any()
    assert not rollout[0][ACTION].any()
    torch.testing.assert_close(rollout[2][ACTION][:, :2], torch.zeros(2, 2, dtype=torch.int64))
    torch.testing.assert_close(rollout[2][ACTION][:, 2], rollout[0]["agents", "action"])
    torch.testing.assert_close(rollout[2][ACTION][:, 3], rollout[1]["agents", "action"])


@pytest.mark.parametrize("batched", [SerialEnv, pytest.param(parallel, marks=pytest.mark.slow)])
def test_inside_workers(batched):
    env = batched(2, make)
    try:
        check_env_specs(env)
        assert_windows(env.rollout(15, break_when_any_done=False))
    finally:
        env.close()


def test_around_workers():
    env = TransformedEnv(SerialEnv(2, CountingEnv), HistoryWindow(window=W))
    assert_windows(env.rollout(15, break_when_any_done=False))


@pytest.mark.parametrize("agent_dim", [False, True], ids=["flat", "with agents"])
def test_native_autoreset(agent_dim):
    env = make(agent_dim=agent_dim, native_autoreset=True)
    env._torchrl_native_autoreset = True
    rollout = env.rollout(15, break_when_any_done=False)
    assert_windows(rollout, native_autoreset=True)


def test_window_of_one_step():
    env = TransformedEnv(CountingEnv(), HistoryWindow(window=1))
    rollout = env.rollout(3)
    torch.testing.assert_close(rollout[OBSERVATION].squeeze(-2), rollout["agents", "observation"])


@pytest.mark.parametrize(
    "out_keys", [("windows", "actions"), (("agents", "w"), ("elsewhere", "deep", "a"))]
)
def test_out_keys_can_be_renamed(out_keys):
    env = TransformedEnv(CountingEnv(), HistoryWindow(window=W, out_keys=out_keys))
    check_env_specs(env)
    rollout = env.rollout(10, break_when_any_done=False)
    for ours, theirs in zip((OBSERVATION, ACTION), out_keys, strict=True):
        rollout.set(ours, rollout.get(theirs))
        rollout.set(("next", ours), rollout.get(("next", theirs)))
    assert_windows(rollout)


def test_in_keys_can_be_renamed():
    transform = HistoryWindow(W, ("team", "observation"), ("team", "action"))
    env = TransformedEnv(CountingEnv(group="team"), transform)
    check_env_specs(env)
    rollout = env.rollout(10, break_when_any_done=False)
    rollout["agents", "action"] = rollout["team", "action"]
    rollout["agents", "observation"] = rollout["team", "observation"]
    rollout["next", "agents", "observation"] = rollout["next", "team", "observation"]
    assert_windows(rollout)


WRAPPED = {
    "alone": lambda transform: transform,
    "in a Compose": Compose,
    "in a Compose of a Compose": lambda transform: Compose(
        ExcludeTransform("done", inverse=True), Compose(transform)
    ),
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("cls", [ReplayBuffer, TensorDictReplayBuffer])
class TestNextHistory:
    def test_stores_each_window_once_and_samples_both(self, cls, wrap):
        steps = make().rollout(12, break_when_any_done=False).flatten()
        transform = wrap(NextHistory())
        buffer = cls(storage=LazyTensorStorage(len(steps)), transform=transform, batch_size=8)
        buffer.extend(steps)
        stored = buffer.storage[:].keys(True)
        assert OBSERVATION in stored and ACTION in stored
        assert ("next", *OBSERVATION) not in stored and ("next", *ACTION) not in stored
        for key in (OBSERVATION, ACTION):
            torch.testing.assert_close(buffer[:]["next", *key], steps["next", *key])
        buffer.add(steps[3])
        assert ("next", *OBSERVATION) not in buffer.storage[:].keys(True)
        assert ("next", *ACTION) in buffer.sample().keys(True)

    def test_keys_can_be_renamed(self, cls, wrap):
        keys = (("team", "w"), ("elsewhere", "a"))
        window = HistoryWindow(W, ("team", "observation"), ("team", "action"), keys)
        env = TransformedEnv(CountingEnv(group="team"), window)
        steps = env.rollout(6, break_when_any_done=False).flatten()
        transform = wrap(NextHistory(*window.in_keys, keys))
        buffer = cls(storage=LazyTensorStorage(len(steps)), transform=transform, batch_size=8)
        buffer.extend(steps)
        for key in keys:
            assert ("next", *key) not in buffer.storage[:].keys(True)
            torch.testing.assert_close(buffer[:]["next", *key], steps["next", *key])


class TestErrors:
    def test_window(self):
        with pytest.raises(ValueError, match="window must be at least 1 step, received 0"):
            HistoryWindow(window=0)

    def test_out_keys(self):
        with pytest.raises(ValueError, match="out_keys must name two entries"):
            HistoryWindow(out_keys=("history",))

    @pytest.mark.parametrize(
        "action_spec",
        [
            OneHot(N_ACTIONS, (3, N_AGENTS, N_ACTIONS)),
            Categorical(N_ACTIONS, (3, N_AGENTS, 1)),
            MultiCategorical([N_ACTIONS] * N_AGENTS, (3, N_AGENTS)),
        ],
    )
    def test_action_spec(self, action_spec):
        env = make(action_spec=action_spec)
        with pytest.raises(ValueError, match="expected a Categorical action spec of shape"):
            env.observation_spec  # noqa: B018

    def test_step_without_a_window(self):
        env = make()
        action = env.rand_action(TensorDict(batch_size=env.batch_size))
        with pytest.raises(KeyError, match=r"has no .* Step what reset"):
            env.step(action)

    def test_replay_buffer(self):
        with pytest.raises(NotImplementedError, match="only runs in an environment"):
            HistoryWindow()(TensorDict())
