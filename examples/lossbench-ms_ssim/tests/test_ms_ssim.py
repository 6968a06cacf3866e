from lossbench.testing import parametrize_loss_checks


@parametrize_loss_checks("ms_ssim")
def test_it_is_sound(check):
    check()
