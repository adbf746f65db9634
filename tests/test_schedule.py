"""Noise levels against the published models' numbers, and noise that depends on seed and sample alone."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from difffeat.features.schedule import DDPM, PlaidSchedule, noise, noised


@pytest.fixture
def reference():
    folder = os.environ.get("DIFFFEAT_REFERENCE")
    if not folder:
        pytest.skip("DIFFFEAT_REFERENCE is not set: the folder that holds reference/*.npz")
    return lambda name: np.load(Path(folder) / "reference" / name)


def test_ddpm_noises_as_the_published_dit_does(reference):
    numbers = reference("dit_small.npz")
    clean, timesteps, drawn = (torch.from_numpy(numbers[key]) for key in ("x0", "t", "eps"))
    assert torch.equal(DDPM().add_noise(clean, timesteps, drawn), torch.from_numpy(numbers["xt"]))


def test_ddpm_has_one_clock_for_a_batch_and_for_a_timestep():
    schedule, z, drawn = DDPM(), torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    together = schedule.add_noise(z, torch.tensor([0, 30, 999]), drawn)
    for row, timestep in enumerate((0, 30, 999)):
        torch.testing.assert_close(noised(z, timestep, "random", schedule, drawn)[row], together[row])


def test_plaid_gamma_agrees_with_the_published_schedule(reference):
    numbers, schedule = reference("plaid_small.npz"), PlaidSchedule()
    names = {"noise_schedule.pt": ("W1", "b1", "W2"), "gamma_bounds.pt": ("gamma_0", "gamma_1")}
    schedule.load_state_dict(
        {name: torch.from_numpy(numbers[f"{file}/{name}"]) for file in names for name in names[file]}
    )
    gamma = schedule(torch.from_numpy(numbers["t"])).detach().numpy()
    np.testing.assert_allclose(gamma, numbers["gamma"], rtol=1e-6)


def test_plaid_rise_is_monotone_and_its_slope_is_its_derivative():
    torch.manual_seed(0)
    schedule, t = PlaidSchedule(), torch.linspace(0, 1, 101, dtype=torch.float64)
    with torch.no_grad():
        rise, slope = schedule.rise(t)
        ahead, behind = schedule.rise(t + 1e-5)[0], schedule.rise(t - 1e-5)[0]
    torch.testing.assert_close(rise[[0, -1]], torch.tensor([0, 1], dtype=torch.float64))
    assert (rise.diff() > 0).all()
    torch.testing.assert_close(slope, (ahead - behind) / 2e-5, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("schedule", [DDPM(), PlaidSchedule()], ids=["ddpm", "plaid"])
def test_a_larger_timestep_is_noisier_and_variance_is_kept(schedule):
    levels = np.array([schedule.alpha_sigma(timestep) for timestep in range(0, 1000, 37)])
    assert (np.diff(levels[:, 0]) < 0).all() and (np.diff(levels[:, 1]) > 0).all()
    np.testing.assert_allclose((levels**2).sum(axis=1), 1)


@pytest.mark.parametrize("timestep", [-1, 1000, 0.5])
@pytest.mark.parametrize("schedule", [DDPM(), PlaidSchedule(width=4)], ids=["ddpm", "plaid"])
def test_a_timestep_off_the_clock_is_refused_with_the_range(schedule, timestep):
    with pytest.raises(ValueError, match=f"timestep {timestep} is out of range.*0 .least noise. to 999"):
        schedule.alpha_sigma(timestep)


def test_noise_depends_on_seed_and_sample_alone():
    together = noise(3, [10, 11, 12, 2**40], (2, 5))
    assert together.shape == (4, 2, 5) and together.dtype == torch.float32
    assert torch.equal(noise(3, [12, 10], (2, 5)), together[[2, 0]])
    assert not torch.equal(noise(4, [10], (2, 5)), together[:1])
    assert len(together.flatten().unique()) == together.numel()


def test_noise_is_unit_normal_across_samples():
    drawn = noise(0, range(2000), (8,))
    assert abs(drawn.mean()) < 0.02 and abs(drawn.std() - 1) < 0.02
    assert abs(np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]) < 0.08


@pytest.mark.parametrize(("seed", "ids"), [(-1, [0]), (0, [3, -2])])
def test_noise_takes_no_negative_seed_or_id(seed, ids):
    with pytest.raises(ValueError, match="at least 0"):
        noise(seed, ids, (2,))


def test_noise_of_no_samples_is_empty():
    assert noise(0, [], (2, 3)).shape == (0, 2, 3)


def test_mean_is_the_expectation_of_random():
    schedule, z = DDPM(), torch.randn(1, 2, 3, 3)
    many = noised(z.expand(4000, -1, -1, -1), 300, "random", schedule, noise(0, range(4000), (2, 3, 3)))
    torch.testing.assert_close(many.mean(0), noised(z, 300, "mean", schedule)[0], atol=0.06, rtol=0)


def test_ddim_with_a_perfect_denoiser_keeps_the_latent_on_its_path():
    """Started without noise, a model that knows the clean latent never adds any: ddim is the mean."""
    schedule, z = DDPM(), torch.randn(2, 4, 4, 4)
    inverted = noised(z, 300, "ddim", schedule, denoiser=lambda noisy, timestep: z)
    torch.testing.assert_close(inverted, noised(z, 300, "mean", schedule), atol=1e-5, rtol=1e-5)


def test_ddim_is_undone_by_sampling_back_along_the_same_estimates():
    schedule, z, clean = PlaidSchedule(), torch.randn(2, 6, 4), torch.randn(2, 6, 4)
    calls = []

    def denoiser(noisy, timestep):
        calls.append(timestep)
        return clean

    inverted = noised(z, 500, "ddim", schedule, denoiser=denoiser, steps=5)
    assert calls == [0, 100, 200, 300, 400]
    (alpha, sigma), (alpha_0, sigma_0) = schedule.alpha_sigma(500), schedule.alpha_sigma(0)
    back = alpha_0 * clean + sigma_0 * (inverted - alpha * clean) / sigma
    torch.testing.assert_close(back, alpha_0 * z, atol=1e-4, rtol=1e-4)


def test_at_timestep_0_ddim_is_the_mean_and_asks_nothing_of_the_model():
    def denoiser(noisy, timestep):
        raise AssertionError("not to be called")

    schedule, z = DDPM(), torch.randn(2, 4, 4, 4)
    assert torch.equal(noised(z, 0, "ddim", schedule, denoiser=denoiser), noised(z, 0, "mean", schedule))


@pytest.mark.parametrize(("noising", "missing"), [("random", "noise"), ("ddim", "denoiser")])
def test_what_a_noising_needs_is_named(noising, missing):
    with pytest.raises(ValueError, match=f"noising '{noising}' needs `{missing}`"):
        noised(torch.zeros(1, 1), 10, noising, DDPM())


def test_an_unknown_noising_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="'inverse': choose one of random, mean, ddim"):
        noised(torch.zeros(1, 1), 10, "inverse", DDPM())
