"""Recurrences with a gradient by hand against the plain loop, which autograd differentiates."""

import pytest
import torch

from torchrl_drigm.modules import MultiAgentGRU, MultiAgentLSTM
from torchrl_drigm.modules._kernels.gru import gru_recurrence
from torchrl_drigm.modules._kernels.lstm import lstm_recurrence
from torchrl_drigm.modules.models._multiagent_rnn import MultiAgentRNN

N_AGENTS, F, H, T = 3, 5, 4, 6


def draw(*shapes):
    """Numbers that gradients are asked for, 2 networks, 3 steps, 2 rows, 4 features, 3 units."""
    generator = torch.Generator().manual_seed(0)
    for shape in shapes:
        drawn = torch.randn(*shape, dtype=torch.float64, generator=generator)
        yield drawn.mul_(0.5).requires_grad_()


def lstm_states(*operands):
    *operands, starts = operands
    sequences, final = lstm_recurrence(*operands, n_sequences=2, starts=starts)
    return *sequences, *final


def gru_states(*operands):
    *operands, start = operands
    return gru_recurrence(*operands, every_step=True, start=start)


STATE = (2, 3, 2)
RECURRENCES = {
    "lstm": (lstm_states, [(2, 3, 2, 4), (2, 12, 4), (2, 12, 3), (2, 12)], [STATE, STATE]),
    "gru": (gru_states, [(2, 3, 2, 4), (2, 9, 4), (2, 9, 3), (2, 9), (2, 9)], [STATE]),
}


@pytest.fixture(params=[False, True], ids=["unshared", "shared"])
def share_params(request):
    return request.param


@pytest.fixture(params=[MultiAgentLSTM, MultiAgentGRU])
def module(request, share_params):
    torch.manual_seed(0)
    return request.param(F, H, N_AGENTS, share_params=share_params)


def run(module, x, hx=None, is_init=None):
    """Whatever it returns: outputs, states of every step, the last one."""
    output, final = module.unroll(x, hx, is_init)
    final = final if isinstance(final, tuple) else (final,)
    return output, *module.states(x, hx, is_init), *final


@pytest.fixture
def plain(monkeypatch):
    """A call that runs the plain loop."""

    def call(*args):
        with monkeypatch.context() as patch:
            patch.setattr(MultiAgentRNN, "_plain", lambda self, x: True)
            return run(*args)

    return call


def arguments(module, state, resets, batch=(2, 3)):
    x = torch.randn(*batch, T, N_AGENTS, F)
    steps = (T,) if state == "every" else ()
    shape = (module.n_states, *batch, *steps, N_AGENTS, H)
    hx = tuple(torch.randn(shape).unbind()) if state else None
    if state and module.n_states == 1:
        hx = hx[0]
    return x, hx, torch.rand(*batch, T) < 0.3 if resets else None


@pytest.mark.parametrize("state", [None, "first", "every"])
@pytest.mark.parametrize("resets", [False, True], ids=["no resets", "resets"])
class TestRecurrence:
    @pytest.mark.parametrize("name", RECURRENCES)
    def test_gradcheck(self, name, state, resets):
        states, shapes, state_shapes = RECURRENCES[name]
        operands = list(draw(*shapes, *state_shapes))
        if not state:
            operands[len(shapes) :] = [None] * len(state_shapes)
        keep = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
        starts = None
        if state == "every" and resets:
            # only where nothing is carried over
            starts = tuple(
                (1.0 - keep).view(3, 1, 1, 2) * torch.randn(3, 2, 3, 2, dtype=torch.float64)
                for _ in state_shapes
            )
            starts = starts if name == "lstm" else starts[0]

        def run(*operands):
            return states(*operands, starts)

        assert torch.autograd.gradcheck(run, (*operands, keep if resets else None))

    def test_equals_the_plain_loop(self, module, plain, state, resets):
        args = arguments(module, state, resets)
        parameters = list(module.parameters())
        received, expected = run(module, *args), plain(module, *args)
        torch.testing.assert_close(received, expected)
        weights = [torch.randn_like(value) for value in received]

        def gradient(values):
            return torch.autograd.grad(
                sum((v * w).sum() for v, w in zip(values, weights, strict=True)), parameters
            )

        torch.testing.assert_close(gradient(received), gradient(expected), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("batch", [(2, 3), (4, 10)], ids=["few", "many"])
    def test_without_gradient(self, module, state, resets, batch):
        """Where nothing learns, memory is used again, or with few rows the plain loop runs."""
        args = arguments(module, state, resets, batch)
        expected = run(module, *args)
        with torch.no_grad():
            received = run(module, *args)
        torch.testing.assert_close(received, expected)
        if not state and not resets:
            last = module.final_state(args[0])
            with torch.no_grad():
                torch.testing.assert_close(module.final_state(args[0]), last)


def test_stored_states_count_if_one_of_them_is_zero():
    """Zeros are left out as a whole: almost zero must be almost the same."""
    torch.manual_seed(0)
    module = MultiAgentLSTM(F, H, N_AGENTS)
    x, (h, c), is_init = arguments(module, "every", True)
    for zero, almost in (((h * 0, c), (h * 1e-9, c)), ((h, c * 0), (h, c * 1e-9))):
        received, expected = (module.unroll(x, state, is_init) for state in (zero, almost))
        torch.testing.assert_close(received, expected)


def test_stored_zeros_have_a_gradient(module, plain):
    x, hx, is_init = arguments(module, "every", True)
    leaves = tuple(torch.zeros_like(h) for h in (hx if isinstance(hx, tuple) else (hx,)))
    for leaf in leaves:
        leaf.requires_grad_()
    hx = leaves if len(leaves) > 1 else leaves[0]
    received, expected = (
        torch.autograd.grad(call(module, x, hx, is_init)[0].square().sum(), leaves)
        for call in (run, plain)
    )
    torch.testing.assert_close(received, expected, rtol=1e-4, atol=1e-5)
    used = is_init.clone()
    used[..., 0] = True
    assert torch.equal(received[0].abs().sum((-1, -2)) > 0, used)


@pytest.mark.parametrize("state", ["first", "every"])
@pytest.mark.parametrize("resets", [False, True], ids=["no resets", "resets"])
def test_gradient_of_the_states(module, plain, state, resets):
    x, hx, is_init = arguments(module, state, resets)
    leaves = hx if isinstance(hx, tuple) else (hx,)
    for leaf in leaves:
        leaf.requires_grad_()
    received, expected = (
        torch.autograd.grad(call(module, x, hx, is_init)[0].square().sum(), leaves)
        for call in (run, plain)
    )
    torch.testing.assert_close(received, expected, rtol=1e-4, atol=1e-5)
    if state == "every":
        used = torch.zeros(2, 3, T, dtype=torch.bool) if is_init is None else is_init.clone()
        used[..., 0] = True
        assert torch.equal(received[0].abs().sum((-1, -2)) > 0, used)


def test_last_state_alone_has_the_gradient_of_the_last_output(module):
    x = torch.randn(2, T, N_AGENTS, F)
    parameters = list(module.parameters())
    output, *_ = module.unroll(x)
    h, *_ = module.final_state(x)
    torch.testing.assert_close(
        torch.autograd.grad(h.square().sum(), parameters, retain_graph=True),
        torch.autograd.grad(output[:, -1].square().sum(), parameters),
    )


def test_final_state(module):
    x = torch.randn(2, 3, T, N_AGENTS, F)
    _, final = module.unroll(x)
    final = final if isinstance(final, tuple) else (final,)
    torch.testing.assert_close(module.final_state(x), final)


def test_twice_differentiated(module):
    loss = module(torch.randn(2, T, N_AGENTS, F)).square().sum()
    (gradient,) = torch.autograd.grad(loss, [module.bias_ih], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_autocast_runs_the_plain_loop(module, plain):
    x = torch.randn(2, T, N_AGENTS, F)
    with torch.autocast("cpu", torch.bfloat16):
        received, expected = module(x), plain(module, x)[0]
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
