"""Noise share, granularity and reach of fields whose numbers are known, and of models."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch

from difffeat.backbones.places import distances
from difffeat.features import schedule
from difffeat.features.points import Point
from difffeat.probing import fields, filtering, qualities
from difffeat.probing.fields import Quality
from difffeat.probing.grid import Grid
from difffeat.probing.stats import Measured

SIDE, DRAWS, IMAGES, WIDTH = 8, 2, 300, 24
TOKENS = SIDE**2


def white(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def smooth(length, count=IMAGES, seed=0, axes=2):
    """Fields (N, T, D) of variance 1 whose covariance falls as exp(-d / length) along an axis."""
    line = (-distances(SIDE, 1).double() / length).exp()
    covariance = torch.kron(line, line) if axes == 2 else line
    root = torch.linalg.cholesky(covariance).float()
    return root @ white(count, len(covariance), WIDTH, seed=seed)


def quality(signal, noise, changed=None, tokens=None, axes=2):
    """The numbers of a signal (N, T, D) with noise (R, N, T, D)."""
    field = signal + noise
    changed = field[0] if changed is None else changed
    tokens = torch.zeros(field.shape[1], dtype=torch.long) if tokens is None else tokens
    return Quality(fields.sums(field, changed, tokens, axes))


def value(found, name):
    return found.numbers()[name].item()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("draws", [2, 4])
def test_the_share_of_noise_is_that_of_its_variance(share, draws):
    signal = (1 - share) ** 0.5 * white(IMAGES, TOKENS, WIDTH)
    noise = share**0.5 * white(draws, IMAGES, TOKENS, WIDTH, seed=1)
    found = quality(signal, noise)
    for name in ("noise", "noise_low", "noise_high"):
        assert value(found, name) == pytest.approx(share, abs=0.02)
    np.testing.assert_allclose(found.spectrum, share, atol=0.04)


def test_noise_is_taken_apart_by_frequency():
    """Noise that is the same at all tokens is at frequency 0, a stripe of 3 cycles is at 3."""
    signal = white(IMAGES, TOKENS, WIDTH)
    level = white(DRAWS, IMAGES, 1, WIDTH, seed=1).expand(-1, -1, TOKENS, -1)
    found = quality(signal, level)
    # A level of variance 1 has 64 in the one wave that it is, where the signal has 1.
    assert found.spectrum[0] == pytest.approx(64 / 65, abs=0.03) and (np.abs(found.spectrum[1:]) < 1e-6).all()
    assert value(found, "noise") == pytest.approx(0.5, abs=0.02) and value(found, "noise_high") < 0.01
    stripe = torch.cos(2 * torch.pi * 3 * torch.arange(SIDE) / SIDE).repeat(SIDE, 1).flatten()
    striped = quality(signal, white(DRAWS, IMAGES, 1, WIDTH, seed=1) * stripe[:, None])
    assert striped.spectrum.argmax() == 3 and (np.delete(striped.spectrum, 3) < 0.01).all()
    assert value(striped, "noise_low") < 0.01 < 0.3 < value(striped, "noise_high")


def test_at_frequency_zero_stands_the_share_of_pooled_features():
    signal, noise = smooth(3.0), white(DRAWS, IMAGES, TOKENS, WIDTH, seed=1)
    pooled = (signal + noise).mean(dim=2)  # (R, N, D)
    between = pooled.var(dim=0).mean()
    whole = (pooled - pooled.mean(dim=(0, 1))).square().mean()
    assert quality(signal, noise).spectrum[0] == pytest.approx((between / whole).item(), rel=0.02)


def test_waves_are_orthonormal_and_sorted_by_their_cycles():
    for count, axes in ((64, 2), (25, 2), (7, 1)):
        basis, frequency = fields.waves(count, axes)
        torch.testing.assert_close(basis @ basis.T, torch.eye(count), atol=1e-5, rtol=0)
        side = round(count ** (1 / axes))
        for wave, cycles in zip(basis, frequency, strict=True):
            power = torch.fft.fftn(wave.reshape([side] * axes)).abs()
            where = torch.fft.fftfreq(side) * side
            radius = (where[:, None].square() + where.square()).sqrt() if axes == 2 else where.abs()
            assert radius[power > 1e-3].round().unique().tolist() == [cycles.item()]


@pytest.mark.parametrize("length", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_the_correlation_length_is_that_of_the_signal_whatever_the_noise(length, noise):
    found = quality(smooth(length), noise * white(DRAWS, IMAGES, TOKENS, WIDTH, seed=1))
    assert value(found, "granularity") == pytest.approx(length, rel=0.06)


def test_tokens_in_a_line_have_a_correlation_length_too():
    signal = smooth(2.0, axes=1)
    found = quality(signal, white(DRAWS, *signal.shape, seed=1), axes=1)
    assert value(found, "granularity") == pytest.approx(2.0, rel=0.15) and len(found.spectrum) == 5


def test_correlation_lengths_at_the_ends():
    lengths = fields.correlation_length(
        np.array([[1, 1, 1, 1.0], [1, 0, 0, 0], [0, 0, 0, 0], [-1, 0, 0, 0], [2, 2 / np.e, 0, 0]])
    )
    assert lengths[0] == 3 and 0 < lengths[1] < 0.2 and (lengths[2:4] == 0).all()
    assert lengths[4] == pytest.approx(1)


def test_scale_and_constant_channels_do_not_count():
    signal, noise = smooth(2.0), 0.5 * white(DRAWS, IMAGES, TOKENS, WIDTH, seed=1)
    size = torch.logspace(-3, 3, WIDTH)
    changed = (signal + noise)[0] + white(IMAGES, TOKENS, WIDTH, seed=2)
    plain, sized = (
        quality(signal, noise, changed),
        quality(5 + size * signal, size * noise, 5 + size * changed),
    )
    for name, number in plain.numbers().items():
        np.testing.assert_allclose(sized.numbers()[name], number, rtol=1e-3, err_msg=name)
    held = torch.cat([signal, torch.full((IMAGES, TOKENS, WIDTH), 7.0)], dim=-1)
    with_constant = quality(held, torch.cat([noise, torch.zeros_like(noise)], dim=-1))
    assert value(with_constant, "noise") == pytest.approx(value(quality(signal, noise), "noise"), rel=1e-4)


def test_reach_is_the_mean_distance_of_what_a_change_does():
    """Changed at one token by a kernel whose mean distance is known."""
    signal, noise = white(IMAGES, TOKENS, WIDTH), white(DRAWS, IMAGES, TOKENS, WIDTH, seed=1)
    tokens = torch.randint(TOKENS, (IMAGES,), generator=torch.Generator().manual_seed(2))
    away = distances(TOKENS, 2)[tokens]
    first = (signal + noise)[0]
    for kernel in (away == 0, away <= 1, away < 100):
        push = kernel[:, :, None] * white(IMAGES, 1, WIDTH, seed=3)
        expected = ((kernel * away).sum() / kernel.sum()).item()
        weights = push.square().sum(dim=-1)
        expected = ((weights * away).sum() / weights.sum()).item()
        found = value(quality(signal, noise, first + push, tokens), "reach")
        assert found == pytest.approx(expected, rel=0.02, abs=1e-9)
    assert found > 3  # everywhere alike, on a square of 8 x 8
    assert value(quality(signal, noise, first, tokens), "reach") == 0  # nothing has changed


def test_intervals_hold_the_number_of_many_images():
    share, held = 0.4, 0
    for seed in range(40):
        signal = (1 - share) ** 0.5 * white(30, TOKENS, 4, seed=2 * seed)
        noise = share**0.5 * white(DRAWS, 30, TOKENS, 4, seed=1000 + seed)
        measured = quality(signal, noise).measured(qualities.weights(30, 200))
        low, high = measured["noise"].interval
        held += low <= share <= high
    assert 35 <= held


def test_one_draw_shows_no_noise():
    with pytest.raises(ValueError, match="it takes two draws of noise and two images or more, got 1 and 4"):
        quality(white(4, TOKENS, 3), white(1, 4, TOKENS, 3, seed=1))


# Of models.


@pytest.fixture
def split(tmp_path):
    return tiny.split(6, folder=tmp_path)


def test_a_model_is_measured_in_one_pass(split, tmp_path):
    model = tiny.dit()
    passes, run = [], model.run_block
    model.run_block = lambda index, *given: passes.append(index) or run(index, *given)
    how = dict(timestep=100, blocks=[1, 3], places=["out", "v", "hidden"], resamples=10, root=tmp_path / "f")
    found = qualities.measure(split, model, **how)
    assert passes == [0, 1, 2] and set(found.of) == {(b, place) for b in (1, 3) for place in how["places"]}
    assert found.grid("noise").values.shape == (3, 2) and found.grid("reach", ["v"]).draws.shape == (10, 1, 2)
    again = qualities.measure(split, model, **how)
    assert passes == [0, 1, 2]  # read back
    for name in fields.NAMES:
        np.testing.assert_array_equal(again.grid(name).values, found.grid(name).values)


def test_what_is_measured_is_what_passes_by_hand_give(split):
    model, place = tiny.dit(), "attention"
    found = qualities.measure(split, model, timestep=100, blocks=[2], places=[place], seeds=[3, 5])
    clean = model.latents([split.image(row) for row in range(len(split))]).z
    draws = []
    for seed in (3, 5):
        noise = schedule.noise(seed, split.ids, clean.shape[1:])
        z = schedule.noised(clean, 100, "random", model.schedule, noise=noise)
        ((_, _, tokens),) = model.activations(z, 100, [2], [place])
        draws.append(tokens)
    field = torch.stack(draws)
    centred = field - field.mean(dim=(0, 1))
    centred = centred / centred.square().mean(dim=(0, 1, 2)).sqrt()
    noise = centred.var(dim=0).sum() / len(split)
    means = centred.mean(dim=0).var(dim=0).sum()  # which hold half of the noise of a draw
    assert value(found.of[2, place], "noise") == pytest.approx((noise / (means + noise / 2)).item(), rel=1e-3)
    with pytest.raises(ValueError, match="two seeds or more"):
        qualities.measure(split, model, timestep=100, blocks=[2], places=[place], seeds=[3])


@pytest.mark.parametrize(("make", "patch"), [(tiny.dit, 1), (tiny.plaid, None)])
def test_the_last_rows_have_other_noise_at_one_token_alone(split, make, patch):
    model = make()
    z, tokens = qualities.noised(split, model, 100, [0, 1])
    first, _, changed = z.chunk(3)
    moved = (first != changed).any(dim=1 if model.modality == "image" else 2).flatten(1)  # (N, T)
    assert moved.sum(dim=1).tolist() == [1] * 6
    assert moved.long().argmax(dim=1).tolist() == tokens.tolist() and len(set(tokens.tolist())) > 1


def test_what_only_sees_itself_reaches_nowhere(split):
    """A token's queries in the first block take nothing from others; what attention puts out does."""
    found = qualities.measure(split, tiny.dit(), timestep=100, blocks=[1, 2], places=["q", "attention"])
    assert value(found.of[1, "q"], "reach") == pytest.approx(0, abs=1e-6)
    assert value(found.of[1, "attention"], "reach") > 0.1 and value(found.of[2, "q"], "reach") > 1e-3
    look = found.look("attention-distance")
    assert look.values.shape == (2,) and (look.values > 0).all() and look.draws.shape == (200, 2)
    np.testing.assert_allclose(look.draws.mean(axis=0), look.values, rtol=0.05)


# The filter.


def made_up(reached, noise, reach):
    """A pool of as many activations, with draws that spread little."""
    random = np.random.default_rng(0)
    points = tuple(Point(50, block, "v") for block in range(1, len(reached) + 1))

    def around(values, spread):
        values = np.asarray(values, dtype=float)
        return Measured(values, values + spread * random.normal(size=(50, len(values))))

    test, val = around(reached, 0.01), around(reached, 0.01)
    numbers = {"noise": around(noise, 0.001), "reach": around(reach, 0.001)}
    return filtering.Pool(points, test, val.values, val.draws, numbers)


def test_the_filter_keeps_what_is_quiet_and_what_is_near():
    pool = made_up([0.5] * 8, noise=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], reach=[4, 3, 4, 3, 4, 1, 4, 3])
    assert pool.kept(0.5, 0.0).tolist() == [True] * 4 + [False] * 4
    assert pool.kept(0.5, 0.1).tolist() == [True] * 4 + [False, True, False, False]
    assert pool.kept(1.0, 0.0).all()


def test_survivors_are_counted_and_the_best_of_them_is_found():
    reached = np.linspace(0.2, 0.9, 8)
    pool = made_up(reached, noise=[0.8, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], reach=[1] * 8)
    kept = pool.kept(0.5, 0.0)
    assert kept.tolist() == [False, True, True, True, True, False, False, False]
    assert pool.survivors(kept, 4).value == 1 and pool.survivors(np.ones(8, bool), 4).value == 4
    assert (pool.survivors(kept, 4).draws == 1).all()
    point, best = pool.best(kept)
    assert point.block == 5 and best.value == pytest.approx(reached[4])
    assert pool.best()[0].block == 8 and pool.best()[1].draws.mean() == pytest.approx(0.9, abs=1e-6)
    assert pool.found_by("noise", 2).tolist() == [0] * 5 + [1, 2, 2]  # they have the sixth and seventh least
    assert pool.found_by("reach", 8).tolist() == list(range(1, 9))


def test_rank_correlation_is_spearmans():
    from scipy.stats import spearmanr

    random = np.random.default_rng(0)
    first, second = random.normal(size=20), random.integers(5, size=20)
    assert filtering.rank_correlation(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert filtering.rank_correlation([1, 1, 1], [1, 2, 3]) == 0
    pool = made_up(np.linspace(0, 1, 9), noise=np.linspace(1, 0, 9), reach=[1] * 9)
    found = pool.correlation("noise")
    assert found.value == -1 and found.draws.mean() < -0.99 and len(found.draws) == 50


def test_a_pool_is_the_points_that_were_measured_both_ways(split):
    model = tiny.dit()
    found = qualities.measure(split, model, timestep=50, blocks=[2, 1], places=["v", "out"], resamples=30)
    shape = 2, 6  # timesteps 0 and 50; blocks 1 to 3, each at out and v
    random = np.random.default_rng(0)
    arrays = dict(val=random.random((2, *shape)), test=random.random((2, *shape)))
    arrays |= dict(draws=random.random((30, *shape)), val_draws=random.random((30, *shape)))
    grid = Grid(timesteps=(0, 50), blocks=(1, 2, 3), places=("out", "v"), **arrays)
    pool = filtering.pool(grid, found)
    assert (
        pool.points == tuple(Point(50, b, place) for b in (1, 2) for place in ("v", "out")) and len(pool) == 4
    )
    for row, point in enumerate(pool.points):
        assert pool.test.values[row] == grid.at(*point).value
        np.testing.assert_array_equal(pool.test.draws[:, row], grid.at(*point).draws)
        assert pool.numbers["noise"].values[row] == value(found.of[point.block, point.place], "noise")
    assert pool.val[0] == grid.val.mean(axis=0)[1, 1]


def test_a_timestep_that_was_not_probed_has_no_pool():
    nothing = SimpleNamespace(timestep=7, blocks=(1,), places=("out",), of={}, weights=None)
    grid = Grid((0,), (1,), *np.zeros((4, 1, 1, 1)))
    with pytest.raises(ValueError):
        filtering.pool(grid, nothing)


def test_the_numbers_of_an_increment_are_those_of_what_is_gated(split):
    """Of a model that is told the same of every picture: its gate is one vector, which stretches channels."""
    how = dict(timestep=100, blocks=[2], places=["attention", "attention-increment", "mlp", "mlp-increment"])
    found = qualities.measure(split, tiny.dit(), **how)
    for name in ("attention", "mlp"):
        for number in fields.NAMES:
            before, after = (value(found.of[2, place], number) for place in (name, f"{name}-increment"))
            assert after == pytest.approx(before, rel=1e-3), (name, number)
    assert value(found.of[2, "mlp"], "noise") != pytest.approx(value(found.of[2, "attention"], "noise"))
