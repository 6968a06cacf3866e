from lossbench.testing import parametrize_loss_checks


@parametrize_loss_checks("charbonnier")
def test_it_is_sound(check):
    check()
