"""What a sampler costs beyond its network: time of a sampling loop over that of the bare network calls in it.

A Denoiser (or EnergyNet) around an MLP of about a million parameters, a batch of 64, on the CPU. Each repetition times
the loop, then as many scores as make its network calls, then as many bare calls of the network (forward, and backward
where the loop needs it), one after the other in one process, so that all see the same load; times are CPU times of the
process, so that what else runs does not count as waiting. A ratio is the median over repetitions. What a score adds to
its network is the closed-form Gaussian part and the guidance term. The bar for all of it is 15 % beyond the network.

    python -m benchmarks overhead --out runs/overhead
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from rich.table import Table
from torch import Tensor, nn
from tqdm.auto import tqdm

from sciencegen.energy import Energy, Potential
from sciencegen.exact import Gaussian
from sciencegen.guide import Tweedie
from sciencegen.mcmc import HMC
from sciencegen.nets.mlp import MLP, ScalarMLP
from sciencegen.priors import Denoiser, EnergyNet
from sciencegen.sample import Ancestral, Euler, Heun, Multistep, Sampler, karras

from .common import arguments, facts, output, write_json
from .common.record import publish

SIZE, WIDTH, DEPTH = 119, 184, 4
BAR = 0.15


@dataclass(frozen=True)
class Case:
    """A loop, and what one of its network calls costs by itself: ``bare(batch)`` runs it once."""

    name: str
    sampler: Sampler
    energy: Energy
    bare: Callable[[], object]


def cases(batch: int, steps: int) -> list[Case]:
    """Every sampler through a Denoiser; then guided, corrected, with an EnergyNet and with fuller covariances."""
    torch.manual_seed(0)
    rows, grid = torch.randn(500, SIZE), karras(steps)
    data = Gaussian(torch.zeros(SIZE), torch.linspace(0.1, 2.0, SIZE))
    denoiser, scalar = Denoiser(MLP(SIZE, WIDTH, DEPTH), data), EnergyNet(ScalarMLP(SIZE, WIDTH, DEPTH), data)
    dense, low = (Denoiser(denoiser.net, Gaussian.fit(rows, rank)) for rank in (None, 20))
    guided = Tweedie(denoiser, Potential(lambda x: x.square().sum(-1) / 2))
    inputs = (torch.randn(batch, SIZE), torch.rand(batch, 1), torch.ones(batch, SIZE))
    forward, slope = (lambda: _forward(denoiser.net, *inputs)), (lambda: _forward(scalar.net, *inputs))
    plain = [Case(kind.__name__, kind(grid), denoiser, forward) for kind in (Euler, Heun, Ancestral, Multistep)]
    return [*plain, Case("Euler, guided", Euler(grid), guided, lambda: _backward(denoiser.net, *inputs)),
            Case("Ancestral, HMC", Ancestral(grid, HMC(lambda s: 0.5 * s, adjusted=False)), denoiser, forward),
            Case("Heun, EnergyNet", Heun(grid), scalar, slope),
            Case("Heun, dense Gaussian", Heun(grid), dense, forward),
            Case("Heun, Gaussian of rank 20", Heun(grid), low, forward)]


def _forward(net: nn.Module, *inputs: Tensor) -> None:
    with torch.no_grad():
        net(*inputs)


def _score(energy: Energy, x: Tensor, sigma: Tensor) -> None:
    with torch.no_grad():
        energy.score(x, sigma)


def _backward(net: nn.Module, u: Tensor, *rest: Tensor) -> None:
    u = u.detach().requires_grad_()
    torch.autograd.grad(net(u, *rest).sum(), u)


def measure(case: Case, batch: int, repeats: int) -> dict[str, float]:
    """Medians over ``repeats``: seconds of the loop, of its bare network calls, and ratios less one."""
    x, seeds, calls = case.sampler.start(batch, SIZE, torch.arange(batch)), torch.arange(batch), _calls(case, batch)
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        case.sampler(case.energy, x, seeds)
        looped = time.process_time()
        for _ in range(calls):
            _score(case.energy, x, case.sampler.sigmas[1])
        scored = time.process_time()
        for _ in range(calls):
            case.bare()
        times.append((looped - start, scored - looped, time.process_time() - scored))
    loop, score, bare = np.array(times[1:]).T  # the first one warms up
    low, high = np.quantile(loop / bare - 1, [0.25, 0.75])
    return {"calls": calls, "loop_s": float(np.median(loop)), "network_s": float(np.median(bare)),
            "overhead": float(np.median(loop / bare) - 1), "quarter": float(low), "three_quarters": float(high),
            "score": float(np.median(score / bare) - 1), "sampler": float(np.median(loop / score) - 1)}


def _calls(case: Case, batch: int) -> int:
    count = 0

    def seen(*_: object) -> None:
        nonlocal count
        count += 1

    nets = [m for m in case.energy.modules() if isinstance(m, (MLP, ScalarMLP))]
    hook = nets[0].register_forward_hook(seen)  # the outermost: a ScalarMLP holds an MLP
    case.sampler(case.energy, case.sampler.start(batch, SIZE))
    hook.remove()
    return count


def table(measured: dict[str, dict[str, float]], title: str) -> Table:
    """One line a loop."""
    out = Table("loop", "network calls", "loop, ms", "bare network, ms", "overhead", "quartiles", "score on network",
                "loop on scores", "bar",
                title=title, title_justify="left")
    for name, m in measured.items():
        out.add_row(name, f"{m['calls']:.0f}", f"{1e3 * m['loop_s']:.1f}", f"{1e3 * m['network_s']:.1f}",
                    f"{100 * m['overhead']:.1f} %", f"{100 * m['quarter']:.1f} to {100 * m['three_quarters']:.1f} %",
                    f"{100 * m['score']:.1f} %", f"{100 * m['sampler']:.1f} %",
                    "met" if m["overhead"] <= BAR else "NOT MET")
    return out


def main() -> None:
    """Measure, print, save."""
    parser = arguments(__doc__, "overhead.json and overhead.txt")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20, help="of a loop")
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--quick", action="store_true", help="3 repeats")
    args = parser.parse_args()
    args.repeats = min(args.repeats, 3) if args.quick else args.repeats
    start = time.perf_counter()
    torch.set_num_threads(args.threads)
    try:
        out = output(args.out)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    todo = cases(args.batch, args.steps)
    measured = {case.name: measure(case, args.batch, args.repeats) for case in tqdm(todo, "overhead", disable=None)}
    size = sum(p.numel() for p in todo[0].energy.net.parameters())
    seconds = time.perf_counter() - start
    write_json(out / "overhead.json", {"settings": vars(args), "parameters": size, "facts": facts(), "bar": BAR,
                                       "seconds": seconds, "results": measured})
    title = f"{size / 1e6:.2f} M parameters, batch {args.batch}, {args.steps} steps, {args.threads} threads"
    publish(out, "overhead", __doc__, [table(measured, title), f"{seconds:.0f} s"])
