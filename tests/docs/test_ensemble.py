"""The ensemble of the page on losses is as many losses alone."""

import torch


def test_losses_and_gradients_are_those_of_each_loss(users_folder):
    users_folder("ensemble.py")
    torch.manual_seed(0)
    import ensemble

    gradients = 0
    for index, loss in enumerate(ensemble.losses):
        own = loss(ensemble.batch)["loss"]
        torch.testing.assert_close(ensemble.each[index], own)
        own.backward()
        for key, parameter in loss.local_value_network_params.items(True, True):
            if parameter.requires_grad:
                stacked = ensemble.stacked["local_value_network_params"].get(key)
                torch.testing.assert_close(stacked.grad[index], parameter.grad)
                gradients += 1
    assert gradients >= 4 * 5
