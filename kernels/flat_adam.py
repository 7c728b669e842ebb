"""Adam over flat buffers: the gradients' norm in one pass, clipping and the step in another.

For each parameter with a gradient g, step t:

    c = min(1, max_norm / (‖all gradients‖₂ + 1e-6)),   g' = c·g
    m = β₁·m + (1 - β₁)·g',   v = β₂·v + (1 - β₂)·g'²
    p = p - lr · (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + eps)

All parameters of a group are views of one buffer, so are their moments; gradients, which autograd
hands out one by one, are gathered into a third. What has no gradient stays as it is, moments and
step count included. Parameters that work in half precision are roundings of float32 masters, which
are what the step moves: most steps are smaller than a bfloat16's last digit. Whether a step counts
at all is a number on the device (``alive``): a step that is called off changes nothing, and nobody
waits to learn it.

Sources: Kingma and Ba 2015, algorithm 1; the clipping is torch.nn.utils.clip_grad_norm_'s.
"""

# mypy: disable-error-code="no-untyped-def"

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from flare.kernels._launch import Config, cdiv, jit, launch, tl, uses_triton

_BLOCK = 4096
_NORM_CONFIG = Config(num_warps=8, num_stages=1, blocks={"BLOCK": _BLOCK})
_STEP_CONFIG = Config(num_warps=4, num_stages=1, blocks={"BLOCK": 1024})


@jit
def square_sum_kernel(grads, partial, count, BLOCK: tl.constexpr):
    """Sums of squares of BLOCK numbers each."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    g = tl.load(grads + i, mask=i < count, other=0.0).to(tl.float32)
    tl.store(partial + tl.program_id(0), tl.sum(g * g, 0))


@jit
def adam_kernel(
    values, grads, first, second, steps, norm, alive, count, lr, beta1, beta2, log_beta1,
    log_beta2, eps, max_norm,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """One program per BLOCK numbers; steps [1] counts the steps so far, this one included."""
    if tl.load(alive) != 0.0:
        i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        mask = i < count
        clip = tl.minimum(max_norm / (tl.load(norm) + 1e-6), 1.0)
        step = tl.load(steps).to(tl.float64)
        g = tl.load(grads + i, mask=mask, other=0.0).to(tl.float32) * clip
        m = tl.load(first + i, mask=mask, other=0.0)
        v = tl.load(second + i, mask=mask, other=0.0)
        m = beta1 * m + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * g * g
        # 1 - βᵗ loses its digits in float32 while t is small.
        scale1 = (1.0 - tl.exp(step * log_beta1)).to(tl.float32)
        scale2 = (1.0 - tl.exp(step * log_beta2)).to(tl.float32)
        p = tl.load(values + i, mask=mask, other=0.0).to(tl.float32)
        p -= lr / scale1 * m / (tl.sqrt(v) / tl.sqrt(scale2) + eps)
        tl.store(first + i, m, mask=mask)
        tl.store(second + i, v, mask=mask)
        tl.store(values + i, p.to(values.dtype.element_ty), mask=mask)


class _Flat:
    """One group's buffers."""

    def __init__(self, parameters: list[nn.Parameter], working: torch.dtype | None) -> None:
        first = parameters[0]
        self.parameters = parameters
        # Each parameter begins at a multiple of 16 numbers, so that views stay aligned.
        sizes = [cdiv(p.numel(), 16) * 16 for p in parameters]
        self.offsets = [sum(sizes[:i]) for i in range(len(sizes))]
        self.size = sum(sizes)
        self.masters = torch.zeros(self.size, dtype=first.dtype, device=first.device)
        self.grads = torch.zeros_like(self.masters)
        self.first, self.second = (
            torch.zeros(self.size, dtype=torch.float32, device=first.device) for _ in range(2)
        )
        self.steps = torch.zeros(len(sizes), dtype=torch.float32, device=first.device)
        # Which steps each parameter took part in: those with one history share a step count.
        self.history = [0] * len(sizes)
        with torch.no_grad():
            for index, parameter in enumerate(parameters):
                self.view(self.masters, index).copy_(parameter)
            is_rounded = working is not None and working != first.dtype
            self.values = self.masters.to(working) if is_rounded else self.masters
            for index, parameter in enumerate(parameters):
                parameter.data = self.view(self.values, index)

    def view(self, buffer: Tensor, index: int) -> Tensor:
        """The part of a buffer that belongs to a parameter, in its shape."""
        parameter, offset = self.parameters[index], self.offsets[index]
        return buffer[offset : offset + parameter.numel()].view(parameter.shape)

    def runs(self) -> list[tuple[int, int]]:
        """First and past-last of neighbouring parameters that have gradients and one history."""
        found: list[tuple[int, int]] = []
        for index, parameter in enumerate(self.parameters):
            if parameter.grad is None:
                continue
            if found and found[-1][1] == index and self.history[index - 1] == self.history[index]:
                found[-1] = (found[-1][0], index + 1)
            else:
                found.append((index, index + 1))
        return found

    def span(self, run: tuple[int, int]) -> slice:
        """A run's numbers in the buffers."""
        stop = self.size if run[1] == len(self.offsets) else self.offsets[run[1]]
        return slice(self.offsets[run[0]], stop)

    def gather(self, runs: list[tuple[int, int]]) -> None:
        """Copy the gradients into their buffer."""
        chosen = [i for start, stop in runs for i in range(start, stop)]
        found = (self.parameters[i].grad for i in chosen)
        grads = [grad for grad in found if grad is not None]
        torch._foreach_copy_([self.view(self.grads, i) for i in chosen], grads)


class FlatAdam(torch.optim.Optimizer):
    """Adam with gradient clipping whose steps can be called off on the device.

    ``state_dict`` has torch.optim.Adam's form, and files of either load into the other. Parameters
    become views of flat buffers when it is made: move the model to its device before.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        *,
        max_norm: float,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        working_dtype: torch.dtype | None = None,
    ) -> None:
        """Take the parameters over.

        Args:
            params: groups with ``params`` and perhaps ``lr``.
            max_norm: of all groups' gradients together.
            lr: of groups without their own.
            betas: as in the formula.
            eps: as in the formula.
            working_dtype: what the parameters become; None: they stay what they are.
        """
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})
        self.max_norm = max_norm
        self._flats: list[_Flat | None] = []
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.requires_grad]
            self._flats.append(_Flat(trained, working_dtype) if trained else None)

    def _active(self) -> list[tuple[dict[str, Any], _Flat, list[tuple[int, int]]]]:
        pairs = zip(self.param_groups, self._flats, strict=True)
        return [(group, flat, flat.runs()) for group, flat in pairs if flat is not None]

    @torch.no_grad()
    def gather(self, add: Callable[[Tensor], None] | None = None) -> Tensor:
        """Take the gradients over; returns their norm, [] float32 on the device.

        add: replaces a part of the buffer by its sum over processes, in place.
        """
        squares = []
        for _, flat, runs in self._active():
            if not runs:
                continue
            flat.gather(runs)
            for run in runs:
                if add is not None:
                    add(flat.grads[flat.span(run)])
                squares.append(_square_sum(flat.grads[flat.span(run)]))
        return torch.stack(squares).sum().sqrt()

    @torch.no_grad()
    def step(  # type: ignore[override]  # no closure: a loss is computed once
        self, *, norm: Tensor | None = None, alive: Tensor | None = None
    ) -> None:
        """One step on what ``gather`` took over, clipped to max_norm.

        Args:
            norm: what gather returned; None: gather first.
            alive: [] float32 on the device, 0 calls the step off; None: it counts.
        """
        norm = self.gather() if norm is None else norm
        alive = torch.ones_like(norm) if alive is None else alive
        for group, flat, runs in self._active():
            for run in runs:
                flat.steps[run[0] : run[1]] += alive
                _adam(flat, run, group, norm, alive, self.max_norm)
                if flat.values is not flat.masters:
                    span = flat.span(run)
                    flat.values[span].copy_(flat.masters[span])
                self._remember(flat, run)

    def masters(self) -> dict[nn.Parameter, Tensor]:
        """The numbers that a step moves, by parameter: views; the parameter's own if not rounded.

        After writing into them call ``round_masters``.
        """
        flats = [flat for flat in self._flats if flat is not None]
        return {p: f.view(f.masters, i) for f in flats for i, p in enumerate(f.parameters)}

    @property
    def num_bytes(self) -> int:
        """Bytes of all buffers, the parameters that are trained among them."""
        buffers = [
            {id(b): b for b in (f.values, f.masters, f.grads, f.first, f.second)}.values()
            for f in self._flats
            if f is not None
        ]
        return sum(b.nbytes for flat in buffers for b in flat)

    @torch.no_grad()
    def round_masters(self) -> None:
        """Make the parameters what their masters are."""
        for flat in self._flats:
            if flat is not None and flat.values is not flat.masters:
                flat.values.copy_(flat.masters)

    def _remember(self, flat: _Flat, run: tuple[int, int]) -> None:
        for index in range(*run):
            flat.history[index] = hash((flat.history[index], "stepped"))
            parameter = flat.parameters[index]
            if parameter not in self.state:
                self.state[parameter] = {
                    "step": flat.steps[index],
                    "exp_avg": flat.view(flat.first, index),
                    "exp_avg_sq": flat.view(flat.second, index),
                }

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state of this form or of torch.optim.Adam's."""
        super().load_state_dict(state_dict)
        self.state.clear()
        # Not what the base class has made of it: that rounds moments to the parameters' type.
        numbers = [n for group in state_dict["param_groups"] for n in group["params"]]
        own = [p for group in self.param_groups for p in group["params"]]
        loaded = {p: state_dict["state"].get(n) for p, n in zip(own, numbers, strict=True)}
        for flat in self._flats:
            if flat is not None:
                self._fill(flat, loaded)

    def _fill(self, flat: _Flat, loaded: dict[nn.Parameter, dict[str, Any] | None]) -> None:
        for buffer in (flat.first, flat.second, flat.steps):
            buffer.zero_()
        flat.history = [0] * len(flat.history)
        for index, parameter in enumerate(flat.parameters):
            state = loaded[parameter]
            if state is None:
                continue
            flat.steps[index] = state["step"]
            flat.history[index] = int(state["step"])
            flat.view(flat.first, index).copy_(state["exp_avg"])
            flat.view(flat.second, index).copy_(state["exp_avg_sq"])
            self.state[parameter] = {
                "step": flat.steps[index],
                "exp_avg": flat.view(flat.first, index),
                "exp_avg_sq": flat.view(flat.second, index),
            }


def _square_sum(grads: Tensor) -> Tensor:
    if not uses_triton(grads):
        return grads.float().square().sum()
    programs = cdiv(len(grads), _BLOCK)
    partial = grads.new_empty(programs, dtype=torch.float32)
    args = {"grads": grads, "partial": partial, "count": len(grads)}
    launch(square_sum_kernel, (programs,), args, _NORM_CONFIG)
    return partial.sum()


def _adam(
    flat: _Flat, run: tuple[int, int], group: dict[str, Any], norm: Tensor, alive: Tensor,
    max_norm: float,
) -> None:  # fmt: skip
    """One step of a run of parameters, in place."""
    span, (beta1, beta2) = flat.span(run), group["betas"]
    values, grads = flat.masters[span], flat.grads[span]
    first, second = flat.first[span], flat.second[span]
    steps = flat.steps[run[0] : run[0] + 1]
    if uses_triton(values):
        args = {
            "values": values, "grads": grads, "first": first, "second": second, "steps": steps,
            "norm": norm, "alive": alive, "count": len(values), "lr": group["lr"],
            "beta1": beta1, "beta2": beta2, "log_beta1": math.log(beta1),
            "log_beta2": math.log(beta2), "eps": group["eps"], "max_norm": max_norm,
        }  # fmt: skip
        grid = (cdiv(len(values), _STEP_CONFIG.blocks["BLOCK"]),)
        launch(adam_kernel, grid, args, _STEP_CONFIG)
        return
    adam_reference(
        values, grads, first, second, steps, norm, alive, lr=group["lr"], betas=(beta1, beta2),
        eps=group["eps"], max_norm=max_norm,
    )  # fmt: skip


def adam_reference(
    values: Tensor,
    grads: Tensor,
    first: Tensor,
    second: Tensor,
    steps: Tensor,
    norm: Tensor,
    alive: Tensor,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    max_norm: float,
) -> None:
    """The formula by PyTorch's fused Adam on flat tensors, in place.

    Args:
        values: [K] floating, the parameters.
        grads: [K], unclipped.
        first: [K] float32, m.
        second: [K] float32, v.
        steps: [1] float32, t, this step included.
        norm: [] float32, of all gradients.
        alive: [] float32, 0 leaves all as it is.
        lr: learning rate.
        betas: β₁ and β₂.
        eps: added to the root.
        max_norm: of the gradients.
    """
    shrink = ((norm + 1e-6) / max_norm).clamp(min=1.0)
    called_off = (alive == 0).float()
    torch._fused_adam_(
        [values], [grads], [first], [second], [], [steps[0]], lr=lr, beta1=betas[0],
        beta2=betas[1], weight_decay=0.0, eps=eps, amsgrad=False, maximize=False,
        grad_scale=shrink, found_inf=called_off,
    )  # fmt: skip
