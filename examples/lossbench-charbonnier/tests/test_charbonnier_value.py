import pytest
import torch

from lossbench import load_loss


@pytest.mark.parametrize(("eps", "value"), [(1e-3, 0.5000010), (1.2, 1.3)])
def test_its_value_is_known_by_hand(eps, value):
    rec, real = torch.full((2, 3, 8, 8), 0.25), torch.full((2, 3, 8, 8), -0.25)
    assert load_loss("charbonnier", eps=eps)(rec=rec, real=real).item() == pytest.approx(value)
