"""A checkpoint holds what is in the replay buffer, and that exactly."""

from pathlib import Path

import pytest
import torch
from tensordict import NonTensorData, TensorDict
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.envs import ExcludeTransform

from torchrl_drigm.trainers import ReplayState, RunCheckpoint
from torchrl_drigm.trainers.replay import StepStorage

CAPACITY = 50


def make_buffer():
    return ReplayBuffer(
        storage=LazyTensorStorage(CAPACITY),
        transform=ExcludeTransform("left_out", inverse=True),
        batch_size=8,
    )


def make_items(first, n):
    """Items ``[n, 4]`` of three agents; the number of each is in all of its entries."""
    number = torch.arange(first, first + n).reshape(-1, 1).expand(-1, 4)
    items = TensorDict({"number": number, "left_out": number}, [n, 4])
    items["agents"] = TensorDict(
        {"observation": number.reshape(n, 4, 1, 1).expand(-1, -1, 3, 5).float()}, [n, 4, 3]
    )
    items["next"] = {"done": number[..., None] % 2 == 0, "agents": TensorDict(batch_size=[n, 4, 3])}
    return items


def saved(buffer, folder):
    return RunCheckpoint(replay_buffer=ReplayState(buffer)).save(folder / "checkpoint")


def restored(path, buffer=None):
    buffer = make_buffer() if buffer is None else buffer
    RunCheckpoint(replay_buffer=ReplayState(buffer)).load(path)
    return buffer


def size(path):
    return sum(file.stat().st_size for file in Path(path).rglob("*.memmap"))


@pytest.mark.parametrize("pushes", [[], [1], [20, 20], [50], [30, 30], [50, 50, 7]])
@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_a_restored_buffer_goes_on_as_the_first_one(tmp_path, pushes, used):
    buffer, number = make_buffer(), 0
    for n in pushes:
        buffer.extend(make_items(number, n))
        number += n
    other = make_buffer()
    if used:
        other.extend(make_items(900, 33))
    restored(saved(buffer, tmp_path), other)
    buffers = [buffer, other]
    assert [len(b) for b in buffers] == [min(number, CAPACITY)] * 2
    for _ in range(3):
        for b in buffers:
            b.extend(make_items(number, 9))
        number += 9
        samples = []
        for b in buffers:
            torch.manual_seed(number)
            samples.append(b.sample())
        assert (samples[0] == samples[1]).all()
        assert samples[1].batch_size == (8, 4)
        for agents in (samples[1]["agents"], samples[1]["next", "agents"]):
            assert agents.batch_size == (8, 4, 3), "also where nothing is in it"
        assert (buffers[0][:] == buffers[1][:]).all()
        assert [b.writer._cursor for b in buffers] == [number % CAPACITY] * 2
        assert buffers[0].write_count == buffers[1].write_count == number


@pytest.mark.parametrize("filled", [1, 10, 50, 120])
def test_what_is_saved_is_what_is_filled(tmp_path, filled):
    buffer = make_buffer()
    buffer.extend(make_items(0, filled))
    path = saved(buffer, tmp_path)
    item = 4 * (8 + 3 * 5 * 4 + 1)
    assert size(path) == min(filled, CAPACITY) * item


def test_no_pickle(tmp_path):
    buffer = make_buffer()
    buffer.extend(make_items(0, 3))
    kinds = {file.suffix for file in saved(buffer, tmp_path).rglob("*") if file.is_file()}
    assert kinds == {".json", ".memmap"}


def test_more_than_fits_is_an_error(tmp_path):
    large = ReplayBuffer(storage=LazyTensorStorage(2 * CAPACITY))
    large.extend(make_items(0, CAPACITY + 1))
    with pytest.raises(RuntimeError, match="Failed to load checkpoint component 'replay_buffer'"):
        restored(saved(large, tmp_path))


class TestStepStorage:
    """It is TorchRL's, faster."""

    @staticmethod
    def pair():
        return [
            ReplayBuffer(storage=kind(7), batch_size=4) for kind in (StepStorage, LazyTensorStorage)
        ]

    @pytest.mark.parametrize("keep", ["all", "a name"])
    def test_items_come_back(self, keep):
        own, torchrls = self.pair()
        for first in (0, 3, 6, 9):
            items = make_items(first, 3)
            if keep == "a name":
                items["name"] = NonTensorData("x", batch_size=[3, 4])
            for buffer in (own, torchrls):
                buffer.extend(items)
        for index in (slice(None), 2, torch.tensor([5, 0, 5]), torch.tensor([-1])):
            found, expected = own[index], torchrls[index]
            assert set(found.keys(True, True)) == set(expected.keys(True, True))
            assert (found.select("number", "agents") == expected.select("number", "agents")).all()
            assert found.batch_size == expected.batch_size

    def test_no_graph_is_kept(self):
        own, _ = self.pair()
        items = TensorDict({"x": torch.ones(3, requires_grad=True) * 2}, [3])
        for _ in range(2):
            own.extend(items.detach() if not len(own) else items)
        assert not own[:]["x"].requires_grad

    def test_tensors_alone(self):
        own, _ = self.pair()
        for first in (0, 3):
            own.extend(torch.arange(first, first + 3))
        assert own[:].tolist() == [0, 1, 2, 3, 4, 5]
