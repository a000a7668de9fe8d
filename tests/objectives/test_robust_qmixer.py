"""RobustQMixerLoss: equal to TorchRL's where nominal; sequences, target updates, devices."""

import pytest
import torch
from torchrl.objectives import HardUpdate, SoftUpdate, ValueEstimators
from torchrl.objectives.multiagent import QMixerLoss
from torchrl.objectives.value import TD0Estimator

from tests.objectives.conftest import (
    gradients,
    make_data,
    make_dual,
    make_loss,
    make_mixer,
    make_qnet,
)
from torchrl_drigm.objectives import RobustQMixerLoss
from torchrl_drigm.uncertainty import Nominal


class TestNominal:
    """rho = 0 is TorchRL's own result, to the last bit."""

    @pytest.mark.parametrize("estimator", ["td0", "tdlambda"])
    @pytest.mark.parametrize("delay_value", [True, False], ids=["delayed", "not delayed"])
    @pytest.mark.parametrize("action_space", ["categorical", "one-hot"])
    @pytest.mark.parametrize("mixer", ["vdn", "qmix"])
    def test_bit_for_bit(self, mixer, action_space, delay_value, estimator):
        kwargs = {"mixer": mixer, "action_space": action_space, "delay_value": delay_value}
        ours, theirs = make_loss(**kwargs), make_loss(QMixerLoss, **kwargs)
        hyper = {"gamma": 0.93} | ({"lmbda": 0.8} if estimator == "tdlambda" else {})
        ours.make_value_estimator(f"contamination_{estimator}", rho=0.0, **hyper)
        theirs.make_value_estimator(estimator, **hyper)
        for seed in range(5):
            data = make_data(8, 6, action_space=action_space, seed=seed)
            ours_data, theirs_data = data.clone(), data.clone()
            ours_out, theirs_out = ours(ours_data), theirs(theirs_data)
            assert list(ours_out.keys()) == list(theirs_out.keys()) == ["loss"]
            assert torch.equal(ours_out["loss"], theirs_out["loss"])
            assert torch.equal(ours_data["td_error"], theirs_data["td_error"])
            ours_grad = gradients(ours, ours_out["loss"])
            theirs_grad = gradients(theirs, theirs_out["loss"])
            assert ours_grad.keys() == theirs_grad.keys()
            for name, grad in theirs_grad.items():
                assert torch.equal(ours_grad[name], grad), name
        assert set(ours.in_keys) == set(theirs.in_keys)
        assert ours.out_keys == theirs.out_keys

    @pytest.mark.parametrize("estimator, hyper", [("td0", {}), ("tdlambda", {"lmbda": 0.8})])
    def test_the_nominal_set_is_torchrls_own(self, estimator, hyper):
        ours, theirs = make_loss(), make_loss(QMixerLoss)
        ours.make_value_estimator(Nominal(), gamma=0.93, **hyper)
        theirs.make_value_estimator(estimator, gamma=0.93, **hyper)
        data = make_data(8, 6)
        assert torch.equal(ours(data.clone())["loss"], theirs(data.clone())["loss"])

    def test_default_estimator(self):
        ours, theirs = make_loss(), make_loss(QMixerLoss)
        data = make_data(32)
        assert torch.equal(ours(data.clone())["loss"], theirs(data.clone())["loss"])

    @pytest.mark.parametrize("value_type", list(ValueEstimators)[:3])
    def test_torchrl_estimators_still_work(self, value_type):
        ours, theirs = make_loss(), make_loss(QMixerLoss)
        ours.make_value_estimator(value_type, gamma=0.9)
        theirs.make_value_estimator(value_type, gamma=0.9)
        data = make_data(4, 5)
        assert torch.equal(ours(data.clone())["loss"], theirs(data.clone())["loss"])

    def test_torchrl_estimator_instance(self):
        loss = make_loss()
        estimator = TD0Estimator(gamma=0.9, value_network=loss.global_value_network)
        estimator.set_keys(value="chosen_action_value")
        loss.make_value_estimator(estimator)
        other = make_loss(QMixerLoss)
        other.make_value_estimator("td0", gamma=0.9)
        data = make_data(8)
        assert torch.equal(loss(data.clone())["loss"], other(data.clone())["loss"])

    @pytest.mark.parametrize("mixer", ["vdn", "qmix"])
    @pytest.mark.parametrize(("gamma", "rho"), [(0.997, 0.02), (0.99, 0.3), (0.9, 1.0)])
    def test_contamination_is_a_smaller_discount(self, mixer, gamma, rho):
        """With worst value 0: TorchRL's loss with discount gamma (1 - rho)."""
        ours, theirs = make_loss(mixer=mixer), make_loss(QMixerLoss, mixer=mixer)
        ours.make_value_estimator("contamination_td0", gamma=gamma, rho=rho, worst_value=0.0)
        theirs.make_value_estimator("td0", gamma=gamma * (1 - rho))
        for seed in range(10):
            data = make_data(64, seed=seed)
            ours_out, theirs_out = ours(data.clone()), theirs(data.clone())
            torch.testing.assert_close(ours_out["loss"], theirs_out["loss"], atol=1e-6, rtol=1e-6)

    def test_multi_step_contamination_is_a_smaller_discount(self):
        ours, theirs = make_loss(), make_loss(QMixerLoss)
        ours.make_value_estimator("contamination_td0", gamma=0.9, rho=0.3)
        theirs.make_value_estimator("td0", gamma=0.9 * 0.7)
        data = make_data(16)
        data["steps_to_next_obs"] = torch.randint(1, 5, (16, 1))
        ours_out, theirs_out = ours(data.clone()), theirs(data.clone())
        torch.testing.assert_close(ours_out["loss"], theirs_out["loss"], atol=1e-6, rtol=1e-6)


class TestSequences:
    def test_burn_in_counts_only_later_steps(self):
        data = make_data(4, 6)
        loss, all_steps = make_loss(burn_in=2), make_loss()
        out = loss(data)["loss"]
        error = data["td_error"].squeeze(-1)
        torch.testing.assert_close(out, error[:, 2:].mean())
        assert not torch.isclose(out, all_steps(data.clone())["loss"])

    def test_padding_mask(self):
        """A padded batch gives the mean over its valid steps, whatever the padding holds."""
        lengths = torch.tensor([6, 3, 1, 4])
        valid = torch.arange(6) < lengths[:, None]
        data = make_data(4, 6)
        for dual in (None, make_dual()):
            loss = make_loss(dual_network=dual, burn_in=1)
            loss.make_value_estimator("tv_td0" if dual else "contamination_td0", rho=0.1)
            padded = data.clone()
            padded["collector", "mask"] = valid
            out = loss(padded)
            counted = valid & (torch.arange(6) >= 1)
            torch.testing.assert_close(out["loss"], padded["td_error"].squeeze(-1)[counted].mean())
            scrambled = padded.clone()
            scrambled["next", "reward"][~valid] = 1e6
            scrambled["next", "agents", "observation"][~valid] = 1e6
            other = loss(scrambled)
            for key in out.keys():  # noqa: SIM118
                torch.testing.assert_close(out[key], other[key])

    def test_named_mask(self):
        loss = make_loss()
        loss.loss_mask_key = "valid"
        data = make_data(4, 6)
        data["valid"] = torch.rand(4, 6, 1) > 0.5
        out = loss(data)["loss"]
        torch.testing.assert_close(out, data["td_error"][data["valid"]].mean())

    def test_burn_in_needs_sequences(self):
        with pytest.raises(ValueError, match="burn_in=3 needs sequences"):
            make_loss(burn_in=3)(make_data(8))
        with pytest.raises(ValueError, match="burn_in=3 needs sequences"):
            make_loss(burn_in=3)(make_data(8, 3))
        with pytest.raises(ValueError, match="non-negative number of steps, got -1"):
            make_loss(burn_in=-1)


@pytest.mark.parametrize("updater", [SoftUpdate, HardUpdate])
def test_target_updaters(updater):
    kwargs = {"eps": 0.5} if updater is SoftUpdate else {"value_network_update_interval": 1}
    loss = RobustQMixerLoss(
        make_qnet(), make_mixer(), dual_network=make_dual(), action_space="categorical"
    )
    loss.make_value_estimator("tv_td0", rho=0.1)
    update = updater(loss, **kwargs)
    with torch.no_grad():
        for p in loss.local_value_network_params.values(True, True):
            p.data.add_(1.0)
    for _ in range(2):  # HardUpdate copies on the call after its interval
        update.step()
    behind = 0.25 if updater is SoftUpdate else 0.0
    torch.testing.assert_close(
        loss.target_local_value_network_params.data + behind, loss.local_value_network_params.data
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu():
    loss = make_loss(dual_network=make_dual())
    loss.make_value_estimator("tv_td0", rho=0.2)
    data = make_data(16)
    expected = loss(data.clone())
    other = loss.to("cuda")(data.to("cuda"))
    for key in expected.keys():  # noqa: SIM118
        torch.testing.assert_close(other[key].cpu(), expected[key], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("exchange", ["parameters", "precision"])
def test_loss_uses_its_own_parameters_wherever_they_are(exchange):
    """The network holds them as a rule; a loss must notice when it does not any more."""
    loss, data = make_loss(), make_data(8)
    expected = loss(data.clone())["loss"]
    if exchange == "parameters":
        others = loss.local_value_network_params.data.apply(torch.randn_like)
        others.to_module(loss.local_value_network)
        torch.testing.assert_close(loss(data.clone())["loss"], expected)
        changed = loss.local_value_network_params
        changed.data.mul_(2.0)
        assert not torch.isclose(loss(data.clone())["loss"], expected)
    else:
        loss.double()
        data = data.apply(lambda x: x.double() if x.is_floating_point() else x)
        result = loss(data.clone())["loss"]
        assert result.dtype is torch.float64
        torch.testing.assert_close(result.float(), expected)
