import pytest
import torch
from tensordict import TensorDict
from torch import nn

from torchrl_drigm.modules import MultiAgentGRU, MultiAgentLSTM

N_AGENTS, T, F, H = 3, 5, 4, 6
CORES = [(MultiAgentLSTM, nn.LSTM), (MultiAgentGRU, nn.GRU)]
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def torch_copies(module, torch_cls):
    """The same network as one torch module per agent, or one for all where shared."""
    copies = []
    for agent in range(1 if module.share_params else N_AGENTS):
        copy = torch_cls(F, H, batch_first=True)
        for name in NAMES:
            parameter = getattr(module, name)
            value = parameter if module.share_params else parameter[agent]
            getattr(copy, f"{name}_l0").data.copy_(value.detach())
        copies.append(copy)
    return copies * N_AGENTS if module.share_params else copies


def random_state(module, *batch):
    states = [torch.randn(*batch, N_AGENTS, H) for _ in range(module.n_states)]
    return tuple(states) if module.n_states > 1 else states[0]


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def reference(copies, x, hx):
    """Runs the per-agent copies on ``[N, T, A, F]``."""
    outputs, finals = [], []
    for agent, copy in enumerate(copies):
        state = None
        if hx is not None:
            # [N, A, H] -> [1, N, H]
            state = tuple(s[:, agent].unsqueeze(0).contiguous() for s in as_tuple(hx))
            state = state if isinstance(copy, nn.LSTM) else state[0]
        output, final = copy(x[:, :, agent], state)
        outputs.append(output)
        finals.append(torch.stack([s[0] for s in as_tuple(final)]))
    # [n_states, N, A, H]
    return torch.stack(outputs, 2), torch.stack(finals, 2)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(("cls", "torch_cls"), CORES)
@pytest.mark.parametrize("share_params", [False, True], ids=["unshared", "shared"])
class TestAgainstTorch:
    @pytest.mark.parametrize("with_state", [False, True], ids=["zero state", "given state"])
    def test_values_and_gradients(self, cls, torch_cls, share_params, with_state):
        module = cls(F, H, N_AGENTS, share_params=share_params)
        copies = torch_copies(module, torch_cls)
        x = torch.randn(7, T, N_AGENTS, F, requires_grad=True)
        x_reference = x.detach().clone().requires_grad_()
        hx = random_state(module, 7) if with_state else None
        output, final = module.unroll(x, hx)
        expected, expected_final = reference(copies, x_reference, hx)
        torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(torch.stack(as_tuple(final)), expected_final, atol=1e-5, rtol=0)
        torch.testing.assert_close(module(x, hx), output)

        weight = torch.randn_like(output)
        (output * weight).sum().backward()
        (expected * weight).sum().backward()
        torch.testing.assert_close(x.grad, x_reference.grad, atol=1e-5, rtol=1e-5)
        for name in NAMES:
            gradient = getattr(module, name).grad
            if share_params:
                wanted = getattr(copies[0], f"{name}_l0").grad
            else:
                wanted = torch.stack([getattr(copy, f"{name}_l0").grad for copy in copies])
            torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-5)

    def test_resets_split_the_sequence(self, cls, torch_cls, share_params):
        module = cls(F, H, N_AGENTS, share_params=share_params)
        copies = torch_copies(module, torch_cls)
        x = torch.randn(2, T, N_AGENTS, F)
        is_init = torch.zeros(2, T, dtype=torch.bool)
        is_init[0, 2] = True
        is_init[1, 0] = True
        is_init[1, 4] = True
        hx = random_state(module, 2)
        output, final = module.unroll(x, hx, is_init)

        first = tuple(s[:1] for s in as_tuple(hx))
        parts = [
            [reference(copies, x[:1, :2], first)[0], reference(copies, x[:1, 2:], None)[0]],
            [reference(copies, x[1:, :4], None)[0], reference(copies, x[1:, 4:], None)[0]],
        ]
        rows = [torch.cat(row, 1) for row in parts]
        torch.testing.assert_close(output, torch.cat(rows), atol=1e-5, rtol=0)
        torch.testing.assert_close(as_tuple(final)[0], output[:, -1])
        torch.testing.assert_close(module(x, hx, is_init.unsqueeze(-1)), output)

    @pytest.mark.parametrize("n_rows", [2, 20], ids=["few", "many"])
    @pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
    def test_pieces_start_from_their_own_state(self, cls, torch_cls, share_params, n_rows, dtype):
        """With a state of every step, wherever something starts; nobody looks at the others."""
        module = cls(F, H, N_AGENTS, share_params=share_params)
        copies = torch_copies(module, torch_cls)
        x = torch.randn(n_rows, T, N_AGENTS, F)
        starts = [(row, step) for row in range(n_rows) for step in (0, 1 + row % (T - 1))]
        is_init = torch.zeros(n_rows, T, 1)
        for row, step in starts:
            is_init[row, step] = row % 2 if step == 0 else 1  # a flag more or less
        hx = as_tuple(random_state(module, n_rows, T))
        used = is_init.bool().squeeze(-1)
        used[:, 0] = True
        for state in hx:
            state[~used] = torch.nan
        with torch.no_grad():
            output, final = module.unroll(
                x, hx if module.n_states > 1 else hx[0], is_init.to(dtype)
            )
            for row, first in starts:
                last = starts[2 * row + 1][1] if first == 0 else T
                state = tuple(s[row : row + 1, first] for s in hx)
                expected, _ = reference(copies, x[row : row + 1, first:last], state)
                torch.testing.assert_close(
                    output[row : row + 1, first:last], expected, atol=1e-5, rtol=0
                )
        torch.testing.assert_close(as_tuple(final)[0], output[:, -1])

    @pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
    def test_any_batch(self, cls, torch_cls, share_params, batch):
        module = cls(F, H, N_AGENTS, share_params=share_params)
        x = torch.randn(*batch, T, N_AGENTS, F)
        hx = random_state(module, *batch)
        is_init = torch.rand(*batch, T) < 0.4
        output, final = module.unroll(x, hx, is_init)
        flat = tuple(s.reshape(-1, N_AGENTS, H) for s in as_tuple(hx))
        expected, expected_final = module.unroll(
            x.reshape(-1, T, N_AGENTS, F),
            flat if isinstance(hx, tuple) else flat[0],
            is_init.reshape(-1, T),
        )
        torch.testing.assert_close(output, expected.reshape(*batch, T, N_AGENTS, H))
        for ours, wanted in zip(as_tuple(final), as_tuple(expected_final), strict=True):
            torch.testing.assert_close(ours, wanted.reshape(*batch, N_AGENTS, H))

    def test_carrying_the_state_equals_one_pass(self, cls, torch_cls, share_params):
        module = cls(F, H, N_AGENTS, share_params=share_params)
        x = torch.randn(2, T, N_AGENTS, F)
        first, state = module.unroll(x[:, :3])
        torch.testing.assert_close(torch.cat([first, module(x[:, 3:], state)], 1), module(x))

    def test_gradcheck(self, cls, torch_cls, share_params):
        module = cls(2, 3, 2, share_params=share_params, dtype=torch.float64)
        x = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
        is_init = torch.tensor([[True, False, False], [False, True, False]])

        def run(x, *parameters):
            params = dict(zip(NAMES, parameters, strict=True))
            return torch.func.functional_call(module, params, (x, None, is_init))

        inputs = (x, *(getattr(module, name) for name in NAMES))
        assert torch.autograd.gradcheck(run, inputs)

    def test_initialisation(self, cls, torch_cls, share_params):
        module = cls(F, H, N_AGENTS, share_params=share_params)
        shape = torch_cls(F, H).weight_ih_l0.shape
        assert module.weight_ih.shape == (shape if share_params else (N_AGENTS, *shape))
        for parameter in module.parameters():
            bound = H**-0.5
            assert parameter.abs().max() <= bound
            assert parameter.abs().max() > 0.7 * bound

    def test_functional_parameters(self, cls, torch_cls, share_params):
        module = cls(F, H, N_AGENTS, share_params=share_params)
        x = torch.randn(2, T, N_AGENTS, F)
        doubled = TensorDict.from_module(module).data * 2
        with doubled.to_module(module):
            changed = module(x)
        for parameter in module.parameters():
            parameter.data.mul_(2)
        torch.testing.assert_close(changed, module(x))


@pytest.mark.parametrize("cls", [MultiAgentLSTM, MultiAgentGRU])
class TestErrors:
    @pytest.mark.parametrize(
        "shape", [(2, T, N_AGENTS + 1, F), (2, T, N_AGENTS, F + 1), (N_AGENTS, F)]
    )
    def test_input(self, cls, shape):
        with pytest.raises(ValueError, match=r"expected input of shape .* received \["):
            cls(F, H, N_AGENTS)(torch.zeros(shape))

    def test_state(self, cls):
        module = cls(F, H, N_AGENTS)
        state = torch.zeros(1, N_AGENTS, H)
        state = (state, state) if cls is MultiAgentLSTM else state
        with pytest.raises(ValueError, match=r"expected hx of \d tensor"):
            module(torch.zeros(2, T, N_AGENTS, F), state)

    @pytest.mark.parametrize("shape", [(2, T, N_AGENTS), (T,), (2, T + 1)])
    def test_is_init(self, cls, shape):
        is_init = torch.zeros(shape, dtype=torch.bool)
        with pytest.raises(ValueError, match="expected is_init of shape"):
            cls(F, H, N_AGENTS)(torch.zeros(2, T, N_AGENTS, F), is_init=is_init)


def test_repr():
    assert repr(MultiAgentGRU(4, 6, 3)) == "MultiAgentGRU(4, 6, n_agents=3, share_params=False)"
