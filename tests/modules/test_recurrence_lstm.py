"""The LSTM's recurrence against the plain loop, which autograd differentiates."""

import pytest
import torch

from torchrl_drigm.modules import MultiAgentLSTM
from torchrl_drigm.modules.models._lstm_recurrence import lstm_recurrence
from torchrl_drigm.modules.models._lstm_window import lstm_window

N_AGENTS, F, H, T = 3, 5, 4, 6


def operands(dtype=torch.float64, state=True, resets=True):
    """``x [A, T, N, F]``, weights, bias, initial state and what to keep of the carried one."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        drawn = torch.randn(*shape, dtype=dtype, generator=generator)
        return drawn.mul_(0.5).requires_grad_()

    h, c = (draw(2, 3, 2), draw(2, 3, 2)) if state else (None, None)
    keep = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=dtype) if resets else None
    return draw(2, 3, 2, 4), draw(2, 12, 4), draw(2, 12, 3), draw(2, 12), h, c, keep


@pytest.fixture(params=[False, True], ids=["unshared", "shared"])
def module(request):
    torch.manual_seed(0)
    return MultiAgentLSTM(F, H, N_AGENTS, share_params=request.param)


@pytest.fixture
def plain(monkeypatch):
    """A call that runs the plain loop."""

    def call(module, *args):
        with monkeypatch.context() as patch:
            patch.setattr(MultiAgentLSTM, "_plain", lambda self, x: True)
            return module.states(*args), module.unroll(*args)

    return call


def arguments(state, resets, batch=(2, 3)):
    x = torch.randn(*batch, T, N_AGENTS, F)
    hx = tuple(torch.randn(2, *batch, N_AGENTS, H).unbind()) if state else None
    return x, hx, torch.rand(*batch, T) < 0.3 if resets else None


@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("resets", [False, True])
class TestRecurrence:
    def test_gradcheck(self, state, resets):
        def states(*inputs):
            sequences, final = lstm_recurrence(*inputs, n_sequences=2)
            return *sequences, *final

        assert torch.autograd.gradcheck(states, operands(state=state, resets=resets))

    def test_equals_the_plain_loop(self, module, plain, state, resets):
        args = arguments(state, resets)
        parameters = list(module.parameters())
        states, (output, final) = module.states(*args), module.unroll(*args)
        expected_states, (expected_output, expected_final) = plain(module, *args)
        received, expected = ((*states, output, *final), (*expected_states, expected_output))
        torch.testing.assert_close(received, (*expected, *expected_final))
        weights = [torch.randn_like(value) for value in received]

        def gradient(values):
            return torch.autograd.grad(
                sum((v * w).sum() for v, w in zip(values, weights, strict=True)), parameters
            )

        torch.testing.assert_close(
            gradient(received), gradient((*expected, *expected_final)), rtol=1e-4, atol=1e-5
        )

    @pytest.mark.parametrize("batch", [(2, 3), (4, 10)], ids=["few", "many"])
    def test_without_gradient(self, module, state, resets, batch):
        """Where nothing learns, memory is used again, or with few rows the plain loop runs."""
        args = arguments(state, resets, batch)
        expected = module.unroll(*args), module.states(*args)
        with torch.no_grad():
            received = module.unroll(*args), module.states(*args)
        torch.testing.assert_close(received, expected)
        if not state and not resets:
            last = module.final_state(args[0])
            with torch.no_grad():
                torch.testing.assert_close(module.final_state(args[0]), last)


class TestWindow:
    """The form for compilers, which computes the same when it is not compiled."""

    def test_gradcheck(self):
        x, weight_ih, weight_hh, bias, *_ = operands(state=False, resets=False)
        assert torch.autograd.gradcheck(lstm_window, (x, weight_ih, weight_hh, bias))

    def test_equals_the_recurrence(self):
        x, weight_ih, weight_hh, bias, *_ = operands(state=False, resets=False)
        _, final = lstm_recurrence(x, weight_ih, weight_hh, bias, None, None, None, 0)
        expected = tuple(state.transpose(1, 2) for state in final)
        torch.testing.assert_close(lstm_window(x, weight_ih, weight_hh, bias), expected)


def test_last_state_alone_has_the_gradient_of_the_last_output(module):
    x = torch.randn(2, T, N_AGENTS, F)
    parameters = list(module.parameters())
    output, (h, _) = module.unroll(x)
    torch.testing.assert_close(
        torch.autograd.grad(h.square().sum(), parameters, retain_graph=True),
        torch.autograd.grad(output[:, -1].square().sum(), parameters),
    )


def test_final_state(module):
    x = torch.randn(2, 3, T, N_AGENTS, F)
    torch.testing.assert_close(module.final_state(x), module.unroll(x)[1])


def test_twice_differentiated(module):
    loss = module(torch.randn(2, T, N_AGENTS, F)).square().sum()
    (gradient,) = torch.autograd.grad(loss, [module.bias_ih], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_autocast_runs_the_plain_loop(module, plain):
    x = torch.randn(2, T, N_AGENTS, F)
    with torch.autocast("cpu", torch.bfloat16):
        received = module(x)
        _, (expected, _) = plain(module, x)
    assert torch.equal(received, expected)


def test_vmap_over_parameters(module):
    x = torch.randn(2, T, N_AGENTS, F)
    single = {name: p.detach() for name, p in module.named_parameters()}
    double = {name: torch.stack([p, 2 * p]) for name, p in single.items()}
    outputs = torch.vmap(lambda p: torch.func.functional_call(module, p, (x,)))(double)
    torch.testing.assert_close(outputs[0], module(x))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_same_on_a_gpu(module):
    x = torch.randn(2, T, N_AGENTS, F)
    expected = module(x)
    torch.testing.assert_close(module.cuda()(x.cuda()).cpu(), expected, rtol=1e-4, atol=1e-5)
