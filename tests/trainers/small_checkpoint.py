"""A component with values of every kind that a checkpoint keeps, and how it is loaded."""

import torch

from torchrl_drigm.trainers import RunCheckpoint


class Numbers:
    """A component of every kind of value that a run's components have."""

    def __init__(self, value):
        self.value = torch.full((3,), float(value))

    def state_dict(self):
        nested = {"none": torch.empty(0, 2), "list": [1, (2.0, None)], "size": torch.Size([4])}
        return {"value": self.value, "text": "ä", **nested}

    def load_state_dict(self, state_dict):
        self.value = state_dict["value"]


def load(path):
    component = Numbers(-1)
    RunCheckpoint(numbers=component).load(path)
    return component.value[0].item()
