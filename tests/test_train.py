"""Training: one result however often it is stopped and over how many processes it is spread, and the right one."""

import copy
import itertools
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn
from torch.utils.data import Dataset

import sciencegen
from oracles import Counted, close, normal
from sciencegen.calls import Plan
from sciencegen.exact import Gaussian, Mixture
from sciencegen.layout import Layout
from sciencegen.nets.mlp import MLP, ScalarMLP
from sciencegen.priors import Denoiser, EnergyNet, Prior
from sciencegen.train import Levels, Schedule, fit
from sciencegen.train.checkpoint import _line, _read
from sciencegen.train.ranks import Ranks
from sciencegen.train.state import TrainingState

NETS = {Denoiser: MLP, EnergyNet: ScalarMLP}
KINDS = pytest.mark.parametrize("kind", NETS)
DATA = normal(200, 3)
DATA[:, 0] += DATA[:, 1] ** 2
DATA = DATA.float()


class Rows(Dataset):
    """The data as a dataset, which calls ``event`` when the row of the ``at``-th reading is taken."""

    def __init__(self, data, at=None, event=None):
        self.data, self.at, self.event, self.read = data, at, event, 0

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        self.read += 1
        if self.read == self.at:
            self.event()
        return self.data[i]


def step_of(directory):
    return int(_read(directory / "checkpoint")[1]["step"])


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def energy(kind=Denoiser, marginals=((0,), (0, 1)), dtype=torch.float32, net=None):
    torch.manual_seed(0)
    data = DATA.to(dtype)
    net = net or NETS[kind](3, 16, 2)
    return kind(net.to(dtype), Gaussian(data.mean(0), torch.cov(data.T)), marginals)


def train(directory, kind=Denoiser, data=DATA, steps=30, batch=16, every=7, **settings):
    return fit(energy(kind), data, directory, steps, batch=batch, every=every, **settings)


def schedule(rows=50, size=3, batch=8, rate=1e-2, warmup=4, steady=10, window=0.1, clip=1.0, decay=0.0,
             levels=Levels(), shares=(1.0,), precision=None, seed=0, every=7):  # noqa: B008
    return Schedule(rows, size, batch, rate, warmup, steady, window, clip, decay, levels, shares, precision, seed,
                    every)


def alone():
    return Ranks(0, 1, torch.device("cpu"))


def same(a, b):
    """Bitwise the same weights and the same losses."""
    pairs = zip(a.prior.state_dict().items(), b.prior.state_dict().items(), strict=True)
    assert all(k == j and torch.equal(v, w) for (k, v), (j, w) in pairs)
    for column in ("loss", "rate", "norm"):
        np.testing.assert_array_equal(a.history[column], b.history[column])


# --- what a step sees -------------------------------------------------------------------------------------------

UNIFORM = torch.linspace(0, 1, 1001, dtype=torch.float64)[1:-1]


def test_levels_are_a_truncated_log_normal():
    levels = Levels(low=0.01, high=10.0, center=0.3, spread=1.5)
    ends = [(math.log(s) - math.log(0.3)) / 1.5 for s in (0.01, 10.0)]
    wanted = stats.truncnorm(*ends, loc=math.log(0.3), scale=1.5).ppf(UNIFORM.numpy())
    close(levels(UNIFORM).log(), torch.as_tensor(wanted))


def test_levels_of_infinite_spread_are_log_uniform():
    close(Levels(0.01, 10.0, spread=math.inf)(UNIFORM).log(), math.log(0.01) + math.log(1000) * UNIFORM)
    close(Levels(0.01, 10.0, spread=1e4)(UNIFORM), Levels(0.01, 10.0, spread=math.inf)(UNIFORM), 1e-4)


@given(st.floats(1e-4, 1), st.floats(1.1, 1e5), st.floats(1e-3, 1e2), st.floats(0.05, 20))
def test_levels_stay_in_their_range_and_in_order(low, factor, center, spread):
    sigma = Levels(low, low * factor, center, spread)(UNIFORM.float())
    assert sigma.isfinite().all()
    assert ((low <= sigma) & (sigma <= low * factor)).all()
    assert (sigma.diff() >= 0).all()


@pytest.mark.parametrize("wrong", [{"low": 0}, {"low": 90}, {"high": math.inf}, {"center": -1}, {"spread": 0}])
def test_levels_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="expected 0 < low < high, center > 0 and spread > 0"):
        Levels(**wrong)


def test_a_row_depends_on_seed_step_and_place_alone():
    whole = schedule(batch=64).draw(5, torch.arange(64))
    for places in (torch.tensor([40]), torch.arange(64).tensor_split(3)[1], torch.tensor([7, 3, 3])):
        for part, all_ in zip(schedule(batch=64).draw(5, places), whole):
            assert torch.equal(part, all_[places])
    for other in (schedule(batch=64, seed=1).draw(5, torch.arange(64)), schedule(batch=64).draw(6, torch.arange(64))):
        for name in ("sigma", "noise", "uniform"):
            assert not (getattr(other, name) == getattr(whole, name)).any()


def test_levels_of_a_batch_are_stratified():
    sigma = schedule(batch=100, levels=Levels(1.0, math.e, spread=math.inf)).draw(3, torch.arange(100)).sigma[:, 0]
    assert torch.equal((sigma.log() * 100).floor(), torch.arange(100.0).double())


def test_noise_is_normal_and_parts_have_their_shares():
    drawn = schedule(size=2, batch=20_000, shares=(2.0, 1.0, 0.0, 1.0)).draw(0, torch.arange(20_000))
    assert stats.kstest(drawn.noise.flatten(), "norm").pvalue > 0.01
    assert stats.kstest(drawn.uniform.flatten(), "uniform").pvalue > 0.01
    shares = torch.bincount(drawn.part, minlength=4) / 20_000
    assert (shares - torch.tensor([0.5, 0.25, 0.0, 0.25])).abs().max() < 0.02
    assert shares[2] == 0
    columns = torch.stack([drawn.sigma[:, 0].log(), *drawn.noise.T, drawn.part.double(), *drawn.noise.T.square(),
                           *drawn.uniform.T])
    assert (torch.corrcoef(columns) - torch.eye(len(columns))).abs().max() < 0.04


def steps(order, count):
    return list(itertools.islice(order, count))


@given(st.integers(1, 40), st.integers(1, 100), st.integers(0, 5))
def test_every_epoch_is_a_permutation(rows, batch, seed):
    order = torch.cat(steps(schedule(rows, batch=batch, seed=seed).order(torch.arange(batch)), 10))
    for epoch in order.split(rows):
        assert len(epoch.unique()) == len(epoch)
        assert int(epoch.max()) < rows


def test_epochs_and_seeds_are_in_different_orders():
    orders = [torch.cat(steps(schedule(50, batch=10, seed=s).order(torch.arange(10)), 10)).split(50) for s in (0, 1)]
    assert len({tuple(epoch.tolist()) for pair in orders for epoch in pair}) == 4


@given(st.integers(1, 30), st.integers(3, 20), st.integers(0, 9))
def test_the_order_of_rows_can_be_entered_anywhere_and_shared(rows, batch, start):
    made = schedule(rows, batch=batch)
    whole = steps(made.order(torch.arange(batch)), 10)
    thirds = [steps(made.order(places, start), 10 - start) for places in torch.arange(batch).tensor_split(3)]
    for wanted, *got in zip(whole[start:], *thirds, strict=True):
        assert torch.equal(wanted, torch.cat(got))


def test_the_rate_rises_stays_then_falls_as_the_root_of_the_step():
    rate = schedule(rate=0.5, warmup=100, steady=400).rate_at(torch.arange(10_000))
    close(rate[:100], 0.5 * (torch.arange(100.0) + 1).double() / 100)
    assert (rate[100:400] == 0.5).all()
    close(rate[400:], 0.5 * (400 / (torch.arange(400, 10_000).double() + 1)).sqrt())
    assert schedule(warmup=0).rate_at(0) == schedule().rate


@given(st.floats(0.02, 0.5), st.integers(2, 300))
def test_the_averaged_weights_are_a_mean_whose_window_grows_with_the_run(window, count):
    share = torch.zeros(count, dtype=torch.float64)
    for step in range(count):
        share *= schedule(window=window).keep_at(step)
        share[step] += 1 - schedule(window=window).keep_at(step)
    assert float(share.sum()) == pytest.approx(1)
    assert float(share.diff().min()) > 0
    age = float((share * torch.arange(count - 1, -1, -1)).sum()) / count
    assert age == pytest.approx(window / (1 + window), abs=window / count + 1e-9)


# --- one step ---------------------------------------------------------------------------------------------------

@KINDS
def test_it_is_adamw_on_the_mean_loss_with_averaged_weights(kind):
    made = schedule(len(DATA), batch=10, clip=0.5, decay=0.1, shares=(0.5, 0.2, 0.3))
    model = energy(kind)
    state = TrainingState(copy.deepcopy(model), made, alone())
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), weight_decay=0.1)
    average = [p.detach().clone() for p in model.parameters()]
    for step, rows in enumerate(steps(made.order(torch.arange(10)), 12)):
        drawn = made.draw(step, torch.arange(10))
        drawn = drawn._replace(sigma=drawn.sigma.float(), noise=drawn.noise.float())
        optimizer.zero_grad()
        loss = model.plan_loss(DATA[rows], drawn).run().mean()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.param_groups[0]["lr"] = float(made.rate_at(step))
        optimizer.step()
        average = [a.lerp(p.detach(), 1 - step / (step + 10)) for a, p in zip(average, model.parameters())]
        assert state.advance(DATA[rows], votes=(False, True)) == [False, True]
        close(torch.tensor(state.record[step][:2]).double(), torch.stack([loss, norm]).detach().double(), 1e-4)
    for wanted, raw, p, q in zip(average, model.parameters(), state.prior.parameters(), state.averages):
        close(p, raw, 1e-4)
        close(q, wanted, 1e-4)
    for wanted, p in zip(average, state.finished().parameters()):
        close(p, wanted, 1e-4)


class Pair(Prior):
    """Two networks, one optimiser each: the first learns the mean of the data, the second that of the first."""

    size = 3

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net, self.other = nn.Linear(1, 3, bias=False), nn.Linear(1, 3, bias=False)

    def forward(self, x, sigma):
        raise TypeError

    def groups(self):
        return [list(self.net.parameters()), list(self.other.parameters())]

    def plan_loss(self, clean, draw):
        first, second = self.net.weight[:, 0], self.other.weight[:, 0]
        return Plan((), lambda _: (clean - first).square().sum(-1) + (first.detach() - second).square().sum())

    def config(self):
        return {}

    def tensors(self, half=False):
        return {}

    @classmethod
    def build(cls, config, net, tensors):
        return cls()


def test_each_group_of_parameters_has_an_optimiser_and_is_resumed(tmp_path):
    settings = {"batch": 50, "rate": 0.1, "steady": 200, "every": 100}
    whole = fit(Pair(), DATA, tmp_path / "whole", 400, **settings)
    fit(Pair(), DATA, tmp_path / "parts", 170, **settings)
    same(fit(Pair(), DATA, tmp_path / "parts", 400, **settings), whole)
    close(whole.prior.net.weight[:, 0].detach(), DATA.mean(0), 0.1)
    close(whole.prior.other.weight[:, 0].detach(), whole.prior.net.weight[:, 0].detach(), 0.02)


def test_the_energy_that_is_given_stays_as_it_was_and_so_does_torchs_generator(tmp_path):
    model = energy()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    result = fit(model, DATA, tmp_path, 5, batch=8)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.training
    assert not result.prior.training
    assert not torch.equal(result.prior.net.leave.weight, model.net.leave.weight)


def test_it_trains_in_double_precision(tmp_path):
    result = fit(energy(EnergyNet, dtype=torch.float64), DATA, tmp_path, 5, batch=8)
    assert {p.dtype for p in result.prior.parameters()} == {torch.float64}


@KINDS
def test_autocast_reaches_the_network_alone(tmp_path, kind):
    seen = set()
    model = energy(kind)
    for layer in model.net.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    losses = {}
    for precision in (None, torch.bfloat16):
        seen.clear()
        result = fit(model, DATA, tmp_path / str(precision), 20, batch=64, precision=precision)
        assert seen == {precision or torch.float32}
        losses[precision] = result.history.loss
        assert "forward" not in vars(result.prior.net)
    np.testing.assert_allclose(losses[None], losses[torch.bfloat16], rtol=0.01)
    assert (losses[None] != losses[torch.bfloat16]).any()


@KINDS
def test_joint_and_marginals_are_one_call_a_step_and_the_mean_of_their_losses(kind):
    net = Counted(NETS[kind](3, 16, 2))
    model = energy(kind, dtype=torch.float64, net=net)
    state = TrainingState(model, schedule(batch=16, shares=(0.5, 0.25, 0.25)), alone())
    for p in state.parameters:
        nn.init.normal_(p, std=0.3)
    clean = DATA[:16].double()
    sigma, noise, part, _ = state.schedule.draw(0, torch.arange(16))
    assert len(part.unique()) == 3
    got = state.loss(clean)
    assert net.rows == [16]
    whole = Layout(x=(3,))["x"]
    parts = [model, *(model.marginal(whole[list(m)]) for m in model.marginals)]
    close(got, sum(parts[k].loss(clean[i], sigma[i], noise[i]) for i, k in enumerate(part)) / 16)


def test_a_dataset_and_a_tensor_train_alike(tmp_path):
    first = train(tmp_path / "tensor")
    same(train(tmp_path / "dataset", data=Rows(DATA)), first)
    same(train(tmp_path / "workers", data=Rows(DATA), workers=2), first)


def test_the_history_says_what_happened(tmp_path, capfd):
    result = train(tmp_path, steps=40, rate=0.3)
    assert dict(result.history.sizes) == {"step": 40, "look": 0}
    assert set(result.history) == {"loss", "rate", "norm", "seconds", "held_out"}
    assert bool(np.isfinite(result.history.to_array()).all())
    assert float(result.history.rate.max()) <= 0.3
    assert bool((result.history.seconds.diff("step") > 0).all())
    assert capfd.readouterr().err == "", "no bar where there is no terminal"


# --- stopped and resumed ----------------------------------------------------------------------------------------

@KINDS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_resumes_bit_by_bit(tmp_path, kind, number):
    whole = train(tmp_path / "whole", kind)
    handlers = [signal.signal(signal.SIGTERM, signal.default_int_handler), signal.getsignal(signal.SIGINT)]
    for at in (17, 216, 83):
        stop = Rows(DATA, at, lambda: os.kill(os.getpid(), number))
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", kind, data=stop)
    assert signal.getsignal(signal.SIGINT) is handlers[1], "the handlers of before are back"
    assert signal.signal(signal.SIGTERM, handlers[0]) is signal.default_int_handler
    # Each stopped after the step that it came in, and the next one's rows were read already or not.
    assert step_of(tmp_path / "parts") in range(18, 22)
    same(train(tmp_path / "parts", kind), whole)


def test_a_killed_training_resumes_from_its_last_checkpoint(tmp_path):
    def crash():
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        train(tmp_path / "parts", data=Rows(DATA, 21 * 16 - 3, crash))
    assert step_of(tmp_path / "parts") == 14
    same(train(tmp_path / "parts"), train(tmp_path / "whole", every=1000))


def test_a_network_with_dropout_resumes_bit_by_bit(tmp_path):
    class Forgetful(MLP):
        def forward(self, u, c, keep):
            return super().forward(nn.functional.dropout(u, 0.5, self.training), c, keep)

    results = []
    for name, data in (("parts", Rows(DATA, 166, interrupt)), ("parts", DATA), ("whole", DATA)):
        torch.manual_seed(0)
        net = Forgetful(3, 16, 2)
        try:
            results.append(fit(energy(net=net), data, tmp_path / name, 20, batch=16))
        except KeyboardInterrupt:
            torch.rand(7)  # whatever else was drawn in between
    same(*results)


def test_what_is_finished_is_not_trained_again(tmp_path):
    first = train(tmp_path, held_out=DATA[:20])
    checkpoint = (tmp_path / "checkpoint").read_bytes()
    again = train(tmp_path, data=Rows(DATA, 17, lambda: pytest.fail("read more than a sample")), held_out=DATA[:20])
    same(again, first)
    np.testing.assert_array_equal(again.history.seconds, first.history.seconds)
    np.testing.assert_array_equal(again.history.held_out, first.history.held_out)
    assert (tmp_path / "checkpoint").read_bytes() == checkpoint


@KINDS
def test_a_longer_training_goes_on_from_a_finished_one_bit_by_bit(tmp_path, kind):
    whole = train(tmp_path / "whole", kind, steps=60, held_out=DATA[:20])
    for steps in (10, 31, 60):
        result = train(tmp_path / "parts", kind, steps=steps, held_out=DATA[:20])
        assert dict(result.history.sizes)["step"] == steps
    same(result, whole)
    np.testing.assert_array_equal(result.history.look, [*range(0, 60, 7), 60])
    np.testing.assert_array_equal(result.history.held_out, whole.history.held_out)
    with pytest.raises(ValueError, match="got steps=50 for .*, which has 60; expected as many or more"):
        train(tmp_path / "parts", kind, steps=50, held_out=DATA[:20])


def test_the_best_weights_on_held_out_rows_are_kept_those_of_the_start_among_them(tmp_path):
    few = DATA[:4]
    result = train(tmp_path / "few", data=few, steps=120, rate=0.02, held_out=DATA[4:])
    scores = result.history.held_out.values
    assert scores[-1] > scores.min(), "four rows are learned by heart"
    assert result.best == int(result.history.look[scores.argmin()])
    drawn = schedule(4, batch=16).draw(3, torch.arange(16))
    drawn = drawn._replace(sigma=drawn.sigma.float(), noise=drawn.noise.float(), part=torch.zeros(16, dtype=torch.long))
    other = train(tmp_path / "other", data=few, steps=max(result.best, 1), rate=0.02)
    if result.best:
        assert torch.equal(*(r.prior.plan_loss(DATA[4:20], drawn).run() for r in (result, other)))
    away = train(tmp_path / "away", data=few, steps=20, rate=0.5, warmup=0, held_out=DATA[4:])
    assert away.best == 0
    for p, q in zip(away.prior.parameters(), energy().parameters()):
        assert torch.equal(p, q), "the untrained network is the Gaussian"


def test_a_training_ends_by_the_clock_and_goes_on_with_more_of_it(tmp_path, monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    first = fit(energy(), DATA, tmp_path, minutes=1, batch=16, every=1000)
    taken = first.history.sizes["step"]
    assert 0 < taken < 61
    same(fit(energy(), DATA, tmp_path, minutes=1, batch=16, every=1000), first)
    longer = fit(energy(), DATA, tmp_path, minutes=3, batch=16, every=1000)
    assert longer.history.sizes["step"] > taken
    same(longer, fit(energy(), DATA, tmp_path / "steps", longer.history.sizes["step"], batch=16, every=1000))


def test_without_a_terminal_a_line_a_minute_says_how_it_goes(tmp_path, monkeypatch, capfd):
    clock = iter(range(0, 10**7, 7))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    train(tmp_path, steps=40, held_out=DATA[:20])
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) > 2
    assert all(re.fullmatch(r"train: step \d+ of 40, \d+ min left, loss [\d.]+, held out [\d.]+ \(at the start "
                            r"[\d.]+\)", line) for line in lines)
    train(tmp_path / "quiet", steps=40, progress=False)
    assert capfd.readouterr().err == ""


def test_it_runs_outside_the_main_thread(tmp_path):
    results = []
    thread = threading.Thread(target=lambda: results.append(train(tmp_path / "thread")))
    thread.start()
    thread.join()
    same(results[0], train(tmp_path / "main"))


def test_an_ignored_interrupt_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as for a job in the background of a shell
    try:
        train(tmp_path, data=Rows(DATA, 36, interrupt))
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(path, blob):
        write(path, blob[: len(blob) // 2])
        raise OSError("no space left on device")

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, data=Rows(DATA, 116, interrupt))
    before = (tmp_path / "checkpoint").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="no space"):
            train(tmp_path)
    assert (tmp_path / "checkpoint").read_bytes() == before
    train(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]


# --- refusals ---------------------------------------------------------------------------------------------------

def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def older(path):
    tensors, said = _read(path)
    blob = safetensors.torch.save({k: v for k, v in tensors.items() if k != "record"}, said)
    path.write_bytes(_line(blob) + blob)


@pytest.mark.parametrize(
    "damage, message",
    [
        (cut, "damaged checkpoint"),
        (older, "without what this prior has .'record'.; expected a .* of this version"),
        (lambda path: path.write_bytes(b""), "is not a 'sciencegen training checkpoint"),
        (lambda path: path.write_text("not a checkpoint at all"), "is not a 'sciencegen training checkpoint"),
        (lambda path: torch.save(MLP(2), path), "is not a 'sciencegen training checkpoint"),  # would need pickle
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_refused_and_left_alone(tmp_path, damage, message):
    train(tmp_path, steps=2)
    path = tmp_path / "checkpoint"
    damage(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"{message}.*another directory|{message}.*move it away"):
        train(tmp_path, steps=2)
    assert path.read_bytes() == before


def test_one_flipped_bit_anywhere_is_noticed(tmp_path):
    train(tmp_path, steps=2)
    whole = (tmp_path / "checkpoint").read_bytes()
    for place in torch.randint(len(whole), (40,), generator=torch.Generator().manual_seed(0)).tolist():
        (tmp_path / "checkpoint").write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1:])
        with pytest.raises(ValueError, match="damaged checkpoint|is not a 'sciencegen training"):
            train(tmp_path, steps=2)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"batch": 8}, r"batch=8 \(there 16\)"),
        ({"rate": 0.1}, r"rate=0.1 \(there 0.002\)"),
        ({"seed": 7}, r"seed=7 \(there 0\)"),
        ({"window": 0.5, "clip": 3.0}, r"window=0.5 \(there 0.1\), clip=3.0 \(there 1.0\)"),
        ({"levels": Levels(low=0.1)}, "levels=.*0.1.*there .*0.002"),
        ({"shares": [1, 0, 0]}, "shares="),
        ({"precision": torch.bfloat16}, r"precision=torch.bfloat16 \(there None\)"),
        ({"data": DATA[:-1]}, r"rows=199 \(there 200\)"),
        ({"data": DATA.flip(0)}, r"data=\w+ \(there \w+\)"),
        ({"held_out": DATA[:3]}, r"held_out=\w+ \(there None\)"),
        ({"facts": {"parts": ["u"]}}, r"parts=\['u'\] \(there None\)"),
        ({"kind": EnergyNet}, r"prior=EnergyNet \(there Denoiser\)"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_by_what_differs(tmp_path, change, message):
    train(tmp_path, steps=2)
    before = (tmp_path / "checkpoint").read_bytes()
    with pytest.raises(ValueError, match=message):
        train(**{"directory": tmp_path, "steps": 2, **change})
    assert (tmp_path / "checkpoint").read_bytes() == before


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    fit(energy(), DATA, tmp_path, 2, batch=4)
    data = Gaussian(torch.zeros(3), torch.ones(3))
    others = {"parameters=": energy(net=MLP(3, 8, 2)), "marginals=": energy(marginals=[[2]]),
              "another mean of the prior's Gaussian, another covariance": Denoiser(MLP(3, 16, 2), data, [[0], [0, 1]]),
              "lowest=": Denoiser(MLP(3, 16, 2), energy().data, [[0], [0, 1]], lowest=0.1)}
    for message, other in others.items():
        with pytest.raises(ValueError, match=message):
            fit(other, DATA, tmp_path, 2, batch=4)


def test_a_checkpoint_knows_a_gaussian_of_any_form(tmp_path):
    axes = torch.linalg.qr(normal(3, 1).float()).Q
    forms = {"diagonal": [torch.tensor([1.0, 2.0, 3.0])], "scalar": [torch.tensor(2.0)],
             "low rank": [torch.tensor([2.0, 0.5]), axes], "turned": [torch.tensor([2.0, 0.5]), axes.roll(1, 0)]}
    made = {k: Denoiser(MLP(3, 8, 1), Gaussian(torch.zeros(3), *form)) for k, form in forms.items()}
    for name, energy in made.items():
        fit(energy, DATA, tmp_path / name, 2, batch=4)
        for other in made.values():
            other_one = pytest.raises(ValueError, match="got another covariance of the|of this form")
            with nullcontext() if other is energy else other_one:
                fit(other, DATA, tmp_path / name, 2, batch=4)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"steps": 0}, "got steps=0"),
        ({"steps": None}, "got neither steps nor minutes"),
        ({"minutes": 0}, "minutes=0; expected .* more than 0 minutes"),
        ({"batch": 0}, "batch=0"),
        ({"data": DATA[:0]}, "got 0 rows"),
        ({"window": 1.0}, "expected .* 0 < window < 1"),
        ({"seed": -1}, r"0 <= seed < 2\*\*31"),
        ({"shares": [1, 1]}, "expected 3 numbers >= 0"),
        ({"shares": [1, -1, 1]}, "expected 3 numbers >= 0"),
        ({"shares": [0, 0, 0]}, "expected 3 numbers >= 0"),
        ({"data": DATA[:, :2]}, r"got rows of shape \(2,\); expected \(3,\)"),
        ({"data": Rows(DATA[:, :, None])}, r"got rows of shape \(3, 1\)"),
        ({"data": DATA * math.nan}, "got rows that are not finite"),
        ({"held_out": DATA[:0]}, "got no held-out rows"),
    ],
)
def test_unusable_arguments_are_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        train(**{"directory": tmp_path, **settings})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "row, message",
    [
        ({"u": DATA[0], "nu": DATA[0, 0]}, r"of 'u', 'nu' .*; expected packed .* States\(data, \['u', 'nu'\]"),
        ([1.0, 2.0, 3.0], "rows of type list .*; expected tensors"),
    ],
)
def test_rows_that_are_not_packed_are_refused_with_what_to_do(tmp_path, row, message):
    with pytest.raises(TypeError, match=message):
        train(tmp_path, data=Rows([row] * 20))
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_not_finite_stop_it_with_the_checkpoint_from_before(tmp_path):
    class Bad(Rows):
        def __getitem__(self, i):
            self.read += 1
            return self.data[i] * (math.nan if self.read == self.at else 1)

    with pytest.raises(FloatingPointError, match="got a loss of nan .* at step 10; lower the rate"):
        train(tmp_path, data=Bad(DATA, 16 + 10 * 16 + 5))
    tensors, said = _read(tmp_path / "checkpoint")
    assert said["step"] == "7"
    assert all(v.isfinite().all() for v in tensors.values())


# --- many processes ---------------------------------------------------------------------------------------------

PROGRAM = """
import os, signal, sys, torch
torch.set_num_threads(1)
from sciencegen.exact import Gaussian
from sciencegen.nets.mlp import MLP, ScalarMLP
from sciencegen.priors import Denoiser, EnergyNet
from sciencegen.train import fit

directory, rank, world = sys.argv[1], int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
data = torch.load("data")
torch.manual_seed(rank)  # the weights of rank 0 count

class Rows(torch.utils.data.Dataset):
    read = 0
    def __len__(self):
        return len(data)
    def __getitem__(self, i):
        self.read += 1
        if self.read == 116:
            os.kill(os.getpid(), signal.SIGINT)
        return data[i]

for kind, net in ((Denoiser, MLP), (EnergyNet, ScalarMLP)):
    model = kind(net(3, 16, 2), Gaussian(data.mean(0), torch.cov(data.T)), [[0], [0, 1]])
    name = f"{directory}/{kind.__name__}"
    if world > 1:
        try:
            fit(model, Rows() if rank == 1 else data, name, 30, batch=17)  # one rank's signal stops them all
        except KeyboardInterrupt:
            print("stopped", flush=True)
    result = fit(model, data, name, 30, batch=17)
    torch.save([result.prior.state_dict(), torch.tensor(result.history.loss.values)], f"{name}.{rank}")
"""


def test_two_processes_train_like_one_and_stop_together(tmp_path):
    torch.save(DATA, tmp_path / "data")
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(Path(sciencegen.__file__).parents[1])}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for command, directory in (([sys.executable], "one"), (launch, "two")):
        (tmp_path / directory).mkdir()
        done = subprocess.run([*command, "program.py", directory], cwd=tmp_path, env=environment, timeout=240,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert done.stdout.count("stopped") == 4
    for kind in ("Denoiser", "EnergyNet"):
        one, two, rank1 = (torch.load(tmp_path / name) for name in
                           (f"one/{kind}.0", f"two/{kind}.0", f"two/{kind}.1"))
        close(two[1], one[1], 1e-5)
        for k, wanted in one[0].items():
            close(two[0][k], wanted, 1e-5)
            assert torch.equal(two[0][k], rank1[0][k]), "every rank has the same weights"


# --- the right result -------------------------------------------------------------------------------------------

MIXTURE = Mixture(torch.tensor([0.5, 0.3, 0.2]), torch.tensor([[2.0, 0.0], [-1.0, 1.5], [-1.0, -1.5]]), 0.25)


@KINDS
def test_the_trained_score_is_that_of_the_data(tmp_path, kind):
    generator = torch.Generator().manual_seed(0)
    which = torch.multinomial(MIXTURE.log_weights.exp(), 20_000, True, generator=generator)
    data = MIXTURE.centers[which] + 0.25 * torch.randn(20_000, 2, generator=generator)
    torch.manual_seed(0)
    model = kind(NETS[kind](2, 64, 2), Gaussian(data.mean(0), torch.cov(data.T)), [[0]])
    result = fit(model, data, tmp_path, 500, rate=1e-2, warmup=10, steady=50)
    assert float(result.history.loss[-100:].mean()) < 0.8 < float(result.history.loss[0])
    part = Layout(x=(2,))["x"][:1]
    for sigma in (0.1, 0.3, 1.0, 3.0):
        x = data[:4000] + sigma * torch.randn(4000, 2, generator=generator)
        for trained, exact, y in ((result.prior, MIXTURE, x),
                                  (result.prior.marginal(part), MIXTURE.marginal(part), x[:, :1])):
            wanted, got = exact.score(y, sigma).detach(), trained.score(y, sigma).detach()
            assert float((got - wanted).norm() / wanted.norm()) < 0.18
