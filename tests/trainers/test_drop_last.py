"""Without the last step of each episode: it is never stored, and nothing else is missing."""

import pytest
import torch

from tests.trainers.test_stack import FRAMES, member

# episodes of one length or of two, windows of several steps, and kept next values or none
KINDS = {
    "soft": (),
    "kept": ("target.tau=null", "target.interval=500"),
    "wraps": ("replay.size=37",),
}


def collected(folder, *overrides):
    """A trained run, and all that it collected, ``[E, T]``."""
    run = member(
        *(folder, "uncertainty=none", "mixer=vdn", "agent.core=lstm", "agent.window=3"),
        *("env.max_steps=5", "replay.size=500", "seed=3", *overrides),
    )
    seen = []
    run.trainer.register_op("batch_process", lambda batch: seen.append(batch.clone()))
    run.train()
    return run, torch.cat(seen, 1)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_last_step_of_an_episode_is_never_sampled(tmp_path, kind):
    run, steps = collected(tmp_path, "replay.drop_last=true", *kind)
    buffer = run.trainer.replay_buffer
    n_ends = steps["next", "done"].sum().item()
    assert FRAMES // 5 <= n_ends < FRAMES
    assert len(buffer) == min(FRAMES - n_ends, buffer.storage.max_size)
    assert not any(buffer.sample()["next", "done"].any() for _ in range(200))
    assert run.trainer.collected_frames == steps.numel() == FRAMES  # they count as steps


def test_all_others_are_there_in_their_order_with_their_windows(tmp_path):
    run, steps = collected(tmp_path, "replay.drop_last=true")
    given = steps.reshape(steps.shape[0], -1, 2)  # batches of two steps of each copy
    order = torch.cat([given[:, i].reshape(-1) for i in range(given.shape[1])])
    order = order[~order["next", "done"].squeeze(-1)]
    stored = run.trainer.replay_buffer[:]
    assert len(stored) == len(order)
    for key in (
        ("agents", "history", "observation"),
        ("agents", "history", "action"),
        ("agents", "action"),
        ("next", "agents", "observation"),
        ("next", "agents", "history", "observation"),
        ("next", "agents", "history", "action"),
        ("next", "reward"),
        ("next", "terminated"),
    ):
        assert torch.equal(stored[key], order[key]), key
    # the first step of an episode has a window of its own, not the end of the one before
    starts = torch.cat([torch.ones(4, 1, dtype=torch.bool), steps["next", "done"][:, :-1, 0]], 1)
    assert (steps["agents", "history", "action"][starts] == 0).all()


def test_they_are_stored_otherwise(tmp_path):
    run, steps = collected(tmp_path)
    stored = run.trainer.replay_buffer[:]["next", "done"]
    assert len(stored) == FRAMES and stored.sum() == steps["next", "done"].sum() > 0
