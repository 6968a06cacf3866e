import pytest
import torch

from lossbench import load_loss

LUMINANCE = 1 - 0.3751 / 0.6251  # of 0.75 and 0.25, with C1 = 0.01^2


@pytest.mark.parametrize("alpha", [0.0, 0.84, 1.0])
def test_a_perfect_round_trip_costs_nothing(alpha):
    real = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert load_loss("ms_ssim", alpha=alpha)(rec=real.clone(), real=real).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("alpha", "value"), [(0.0, 0.5), (1.0, LUMINANCE), (0.5, (0.5 + LUMINANCE) / 2)])
def test_flat_images_without_a_window_are_luminance_and_l1(alpha, value):
    rec, real = torch.full((2, 3, 8, 8), 0.5), torch.full((2, 3, 8, 8), -0.5)
    assert load_loss("ms_ssim", alpha=alpha, sigmas=(0.1,))(rec=rec, real=real).item() == pytest.approx(value, rel=1e-5)
