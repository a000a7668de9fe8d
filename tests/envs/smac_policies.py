"""Scripted teams for SMAC's tests."""

import torch

ACTION, MASK = ("agents", "action"), ("agents", "action_mask")


def stop(td):
    """Alive agents stand still, dead ones do nothing."""
    return td.set(ACTION, td[MASK][..., 1].long())


def fight(td):
    """Attack the first enemy in reach; else go east, where the enemies are."""
    mask = td[MASK]
    attack = mask[..., 6:].long().argmax(-1) + 6
    move = torch.where(mask[..., 4], 4, mask[..., 1].long())
    return td.set(ACTION, torch.where(mask[..., 6:].any(-1), attack, move))


def chosen_are_available(td):
    """Whether the mask allows every action of ``td``."""
    return td[MASK].gather(-1, td[ACTION].unsqueeze(-1)).all()
