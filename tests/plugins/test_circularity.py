"""Circularity against analytic truth, OpenCV, scikit-image and hand computation.

Shapes are drawn anti-aliased: an exact inside test on an 8 x 8 grid in each pixel.
"""

import inspect
import math

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from lossbench_plugins.circularity import (
    background,
    circularity,
    circularity_loss,
    labels,
    lossbench_loss,
    measure,
    membership,
    norm,
)
from scipy.special import ellipe
from scipy.stats import spearmanr
from skimage.filters import threshold_otsu
from skimage.measure import label, perimeter_crofton
from torch import nn


def drawn(inside, size=128, fine=8):  # -> coverage [1, 1, size, size] in [0, 1]
    along = (torch.arange(size * fine) + 0.5) / fine - size / 2
    y, x = torch.meshgrid(along, along, indexing="ij")  # the origin is the middle of the image
    return F.avg_pool2d(inside(x, y).float()[None, None], fine)


def ellipse(a, b, cx=0.3, cy=-0.2, turn=0.3):
    c, s = math.cos(turn), math.sin(turn)
    return lambda x, y: (((x - cx) * c + (y - cy) * s) / a) ** 2 + (((y - cy) * c - (x - cx) * s) / b) ** 2 <= 1


def disc(r, cx=0.3, cy=-0.2):
    return ellipse(r, r, cx, cy)


def star(n, outer, inner, turn=0.0):
    """A star of n points; with inner = outer cos(pi / n) the regular n-gon."""
    ix, iy = inner * math.cos(math.pi / n), inner * math.sin(math.pi / n)

    def inside(x, y):
        wedge = 2 * math.pi / n
        angle = (torch.remainder(torch.atan2(y, x) - turn + wedge / 2, wedge) - wedge / 2).abs()
        r = x.hypot(y)
        return (outer - r * angle.cos()) * iy >= (outer - ix) * r * angle.sin()

    return inside


def polygon(n, outer, turn=0.0):
    return star(n, outer, outer * math.cos(math.pi / n), turn)


def union(*shapes):
    return lambda x, y: torch.stack([shape(x, y) for shape in shapes]).any(0)


def annulus(outer, inner):
    return lambda x, y: disc(outer)(x, y) & ~disc(inner)(x, y)


def ellipse_truth(aspect):
    return math.pi**2 / (4 * aspect * ellipe(1 - aspect**-2) ** 2)  # 4 pi (pi a b) / (4 a E)^2 with a / b = aspect


def star_truth(n, outer, inner):
    edge2 = outer**2 + inner**2 - 2 * outer * inner * math.cos(math.pi / n)
    return math.pi * outer * inner * math.sin(math.pi / n) / (n * edge2)


def picture(mask, low=-1.0, high=1.0, channels=3):
    return (low + (high - low) * mask).expand(-1, channels, -1, -1)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def crofton(image):
    """4 pi A / P^2 of the largest object of one image [C, H, W], by scikit-image: not the loss's estimator."""
    grey = image.mean(0).numpy()
    parts = label(grey > threshold_otsu(grey))
    largest = parts == 1 + np.bincount(parts.flat)[1:].argmax()
    return 4 * math.pi * largest.sum() / perimeter_crofton(largest, 4) ** 2


HALF_DISC = 2 * math.pi**2 / (math.pi + 2) ** 2
CLEAN = [
    *((f"disc {r} in {size}", disc(r), size, 1.0, 0.02) for size in (64, 256) for r in (6, 10, 16, 24)),
    ("disc 100 in 256", disc(100), 256, 1.0, 0.02),
    ("disc 10 in 32", disc(10), 32, 1.0, 0.02),
    *((f"ellipse {k}:1", ellipse(15 * k, 15), 128, ellipse_truth(k), 0.02) for k in (1.25, 1.5, 2, 3, 4)),
    *((f"square of 60 px, {t}", polygon(4, 60 / 2**0.5, t), 128, math.pi / 4, 0.04) for t in (0, 0.2, math.pi / 4)),
    *((f"star {t}", star(5, 60, 30, t), 160, star_truth(5, 60, 30), 0.04) for t in (0, 0.3)),
    *((f"hexagon {t}", polygon(6, 50, t), 128, math.pi * 3**0.5 / 6, 0.03) for t in (0, 0.3)),
    ("annulus", annulus(50, 25), 128, 25 / 75, 0.03),
    ("thin annulus", annulus(50, 40), 128, 10 / 90, 0.03),
    ("three discs", union(disc(14, -34, -34), disc(14, 26, -20), disc(14, -10, 30)), 128, 1.0, 0.03),
    ("six discs", union(*(disc(20, x, y) for x in (-80, 0, 80) for y in (-60, 50))), 256, 1.0, 0.03),
    ("half disc on the frame", disc(40, cx=-64), 128, HALF_DISC, 0.04),
    ("small half disc on the frame", disc(16, cx=-32), 64, HALF_DISC, 0.04),
]


@pytest.mark.parametrize(("inside", "size", "truth", "tolerance"), [c[1:] for c in CLEAN], ids=[c[0] for c in CLEAN])
def test_clean_shapes_read_their_analytic_truth(inside, size, truth, tolerance):
    read = circularity(picture(drawn(inside, size))).item()
    assert read == pytest.approx(truth, abs=tolerance)
    assert read <= 1


def checkered(mask, cell):
    i, j = torch.meshgrid(torch.arange(mask.shape[-2]), torch.arange(mask.shape[-1]), indexing="ij")
    return picture(mask, -0.7, 0.7) + 0.2 * (1 - 2.0 * ((i // cell + j // cell) % 2))


def isoluminant(mask):
    """Between colours of the same luma, 0.299 R + 0.587 G + 0.114 B, and of the same mean."""
    return torch.tensor([0.473, -0.185, -0.288]).view(1, 3, 1, 1) * (2 * mask - 1)


DEGRADED = {
    "noise of sd .3": lambda m: picture(m) + 0.3 * noise(1, 3, *m.shape[-2:]),
    "noise of sd .3 on half contrast": lambda m: picture(m, -0.5, 0.5) + 0.3 * noise(1, 3, *m.shape[-2:]),
    "fine checkerboard": lambda m: checkered(m, 1),
    "coarse checkerboard": lambda m: checkered(m, 4),
    "low contrast": lambda m: picture(m, 0.0, 0.2),
    "isoluminant": isoluminant,
    "inverted": lambda m: -picture(m),
}


@pytest.mark.parametrize("degrade", DEGRADED.values(), ids=DEGRADED)
def test_degraded_shapes_read_their_analytic_truth(degrade):
    shapes = {
        disc(8): 1.0,
        disc(40): 1.0,
        ellipse(50, 25): ellipse_truth(2),
        star(5, 60, 30): star_truth(5, 60, 30),
        annulus(50, 25): 1 / 3,
        disc(40, cx=-64): HALF_DISC,
    }
    read = [circularity(degrade(drawn(inside))).item() for inside in shapes]
    assert read == pytest.approx(list(shapes.values()), abs=0.05)


@pytest.mark.parametrize("objects", [True, False])
@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("kind", ["black", "grey", "noise", "faint noise"])
def test_where_there_is_nothing_it_reads_nothing_with_finite_gradients(kind, size, objects):
    noisy = noise(2, 3, size, size).clamp(-1, 1)
    kinds = {"black": 0 * noisy - 1, "grey": 0 * noisy + 0.1, "noise": noisy, "faint noise": 0.1 * noisy}
    images = kinds[kind].requires_grad_()
    read = circularity(images, objects=objects)
    read.sum().backward()
    assert read.max() <= 0.1
    assert images.grad.isfinite().all()


def test_ranks_noisy_blobs_as_opencv_ranks_their_outlines():
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for seed in range(80):
        radius, phase = 128 * rng.uniform(0.15, 0.3), rng.uniform(0, 2 * math.pi, 5)
        waves = rng.normal(size=5) * rng.uniform(0, 0.25) / np.arange(2, 7) ** 0.7

        def blob(x, y, radius=radius, phase=phase, waves=waves):
            angle = torch.atan2(y, x)
            return x.hypot(y) <= radius * (1 + sum(waves[k] * ((k + 2) * angle + phase[k]).cos() for k in range(5)))

        mask = drawn(blob, fine=4)
        binary = (mask[0, 0] > 0.5).to(torch.uint8).numpy()
        outlines, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        outline = max(outlines, key=cv2.contourArea)
        theirs.append(4 * math.pi * cv2.contourArea(outline) / cv2.arcLength(outline, True) ** 2)
        ours.append(circularity(picture(mask) + rng.uniform(0.1, 0.3) * noise(1, 3, 128, 128, seed=seed)).item())
    assert spearmanr(ours, theirs).statistic >= 0.93


def test_gradcheck():
    mask = drawn(ellipse(7, 4.5), 24).double()
    images = (picture(mask, -0.8, 0.7, channels=1) + 0.02 * noise(1, 1, 24, 24)).requires_grad_()
    assert circularity(images).dtype == torch.float64
    torch.autograd.gradcheck(circularity, (images,), atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("aspect", [1.5, 2.0, 3.0, 4.0])
def test_slope_along_the_aspect_of_an_ellipse_is_the_analytic_one(aspect):
    k = torch.tensor(aspect, dtype=torch.float64, requires_grad=True)

    def soft(x, y):  # distance to the outline to first order, a ramp of one sample: drawing with a gradient
        a, b = 30 * k.sqrt(), 30 / k.sqrt()
        f = (x / a).hypot(y / b)
        return (0.5 - 8 * (f - 1) * f / (x / a**2).hypot(y / b**2)).clamp(0, 1)

    mask = F.avg_pool2d(soft(*torch.meshgrid(*[(torch.arange(1024) + 0.5) / 8 - 64] * 2, indexing="xy"))[None, None], 8)
    circularity(picture(mask)).sum().backward()
    truth = (ellipse_truth(aspect + 1e-4) - ellipse_truth(aspect - 1e-4)) / 2e-4
    assert k.grad.item() == pytest.approx(truth, rel=0.2)


def test_stars_become_discs():
    stars = torch.cat([picture(drawn(star(5, 36, 18, turn), 96)) for turn in (0.0, 0.17, 0.34, 0.51)]).double()
    images = stars.clone().requires_grad_()
    adam = torch.optim.Adam([images], lr=0.03)
    for _ in range(200):
        adam.zero_grad()
        loss = (1 - circularity(images)) + 0.15 * (images - stars).abs().mean((1, 2, 3))
        loss.sum().backward()
        adam.step()
        with torch.no_grad():
            images.clamp_(-1, 1)
    assert np.mean([crofton(star) for star in stars]) < 0.5
    assert np.mean([crofton(image) for image in images.detach()]) >= 0.93


def test_gradient_lives_on_the_outline():  # that of Canny edges is 0 everywhere
    mask = drawn(ellipse(40, 20))
    images = picture(mask).clone().requires_grad_()
    circularity(images).sum().backward()
    slope = images.grad.abs().sum(1, keepdim=True)
    rim = F.max_pool2d(mask, 7, 1, 3) - (1 - F.max_pool2d(1 - mask, 7, 1, 3)) > 0
    assert rim.float().mean() < 0.12
    assert slope[rim].sum() > 2 / 3 * slope.sum() > 0  # the rest moves the levels of object and border


def test_flat_surroundings_add_no_perimeter():
    assert norm(torch.zeros(1, 2, 4, 4)).abs().max() < 1e-9
    small, large = (circularity(picture(drawn(ellipse(24, 12), size))).item() for size in (64, 256))
    assert small == pytest.approx(large, abs=0.005)


def test_membership_has_no_plateau_left():
    mu0, mu1 = torch.tensor([[0.2]]), torch.tensor([[1.4]])
    levels = torch.tensor([[0.1, 0.2, 0.3, 0.8, 1.3, 1.4, 2.0]])
    assert membership(levels, mu0, mu1)[0].tolist() == pytest.approx([0, 0, 0, 0.5, 1, 1, 1], abs=1e-3)


def test_each_object_owns_its_whole_perimeter():
    shapes = union(disc(14, -34, -34), ellipse(30, 12, 26, -20), disc(9, -10, 30))
    mask = gaussian_blur2d(drawn(shapes), 19, (3.0, 3.0))
    slope = torch.stack(torch.gradient(mask[0, 0])).norm(dim=0)
    owner = labels(mask)[0, 0]
    assert len(owner.unique()) == 1 + 3
    assert slope[owner == 0].sum() < 0.01 * slope.sum()


def test_an_object_owns_8_px_around_it():
    mask, around = torch.zeros(2, 1, 1, 256, 256)
    mask[..., 100:120, 80:92] = 1
    around[..., 92:128, 72:100] = 1
    assert torch.equal(labels(mask) > 0, around > 0)


def test_several_objects_read_the_mean_of_each_by_area():
    a, b = disc(20, -30, -30), ellipse(36, 12, 15, 25)
    apart = [circularity(picture(drawn(shape))).item() for shape in (a, b)]
    sizes = [math.pi * 20 * 20 - 0.001 * 128**2, math.pi * 36 * 12 - 0.001 * 128**2]
    assert circularity(picture(drawn(union(a, b)))).item() == pytest.approx(np.average(apart, weights=sizes), abs=0.01)


def test_nothing_is_won_by_growing_the_round_object():
    a, b = drawn(ellipse(24, 16, -30, -30)).double(), drawn(ellipse(36, 12, 15, 25)).double()

    def gradient(mask):
        mask = mask.clone().requires_grad_()
        circularity(mask, mask_fn=lambda image: image).sum().backward()
        return mask.grad[..., :60, :60].flatten()  # around the round one

    together, alone = gradient(a + b), gradient(a)
    assert F.cosine_similarity(together, alone, dim=0) > 1 - 1e-6  # a live area adds a multiple of the area's gradient


def test_objects_below_a_thousandth_of_the_image_do_not_count():
    around = [(50 * math.cos(t), 50 * math.sin(t)) for t in np.linspace(0, 2 * math.pi, 9)[:-1]]
    hairs = [ellipse(5, 0.9, x, y) for x, y in around]  # 14 px each, of 16384
    read = [circularity(picture(drawn(shape))).item() for shape in (disc(20), union(disc(20), *hairs))]
    assert read[1] == pytest.approx(read[0], abs=1e-3)


@pytest.mark.parametrize(("height", "rim"), [(1, 0.5), (3, 0.0)])  # above 1, m^2 misses nothing
def test_a_cone_is_no_disc(height, rim):  # with the integral of m instead of m^2 it would read 4/3 and 4/9
    r = 40
    cone = (1 - torch.hypot(*torch.meshgrid(*[torch.arange(128) - 63.5] * 2, indexing="ij")) / r).clamp(min=0)
    perimeter = math.pi * r**2 * (math.hypot(height / r, 1e-3) - 1e-3)  # the norm allows flat pixels 1e-3
    area = height**2 * math.pi * r**2 / 6 + rim * perimeter
    read = circularity(height * cone[None, None], mask_fn=lambda image: image, objects=False)
    assert read.item() == pytest.approx(4 * math.pi * area / perimeter**2, abs=0.01)


def test_an_object_on_a_third_of_the_border_is_not_taken_for_background():
    images = picture(drawn(lambda x, y: (x < -40) & (y < 100)))
    assert (images[..., 0, :].mean() + images[..., 0].mean()) / 4 > -0.4  # a plain mean would be misled
    assert background(images).flatten().tolist() == pytest.approx([-1] * 3, abs=0.2)


@pytest.mark.parametrize("contrast", [1, 1e-3])
def test_background_is_the_mean_of_the_border_weighted_three_times_over(contrast):
    border = torch.ones(7, 6, dtype=torch.bool)
    border[2:-2, 2:-2] = False
    images = torch.full((1, 3, 7, 6), 9.0, dtype=torch.float64)  # the inside is far away
    images[0, :, border] = contrast * noise(3, int(border.sum())).double()
    ring = images[0, :, border].numpy()
    expected = ring.mean(1)
    for _ in range(3):
        r2 = ((ring - expected[:, None]) ** 2).sum(0)
        expected = np.average(ring, axis=1, weights=1 / (1 + r2 / (0.1 * r2.mean() + 1e-6)))  # Cauchy's
    np.testing.assert_allclose(background(images).flatten().numpy(), expected, rtol=1e-9)


def test_without_objects_all_there_is_counts_as_one():
    one, two = drawn(ellipse(40, 20)), drawn(union(disc(20, -30, -30), disc(20, 30, 30)))
    assert circularity(picture(one), objects=False).item() == pytest.approx(ellipse_truth(2), abs=0.02)
    assert circularity(picture(two), objects=False).item() == pytest.approx(0.5, abs=0.02)  # 4 pi 2A / (2P)^2


def test_without_objects_it_compiles_to_one_graph():
    images = picture(drawn(ellipse(40, 20)))
    whole = torch.compile(lambda x: circularity(x, objects=False), fullgraph=True, backend="eager")
    assert torch.equal(whole(images), circularity(images, objects=False))


@pytest.mark.parametrize("inside", [disc(30), ellipse(40, 20), star(5, 50, 25), disc(40, cx=-64)])
def test_a_tenth_of_the_contrast_reads_the_same(inside):
    mask = drawn(inside)
    assert circularity(picture(mask, -0.1, 0.1)).item() == pytest.approx(circularity(picture(mask)).item(), abs=0.03)


def test_fading_an_object_out_is_no_gain():
    mask = drawn(ellipse(40, 20))
    read = [circularity(picture(mask, -1, -1 + 2 * fade)).item() for fade in (1, 0.3, 0.1, 0.03, 0.01, 0.002, 0)]
    assert read == sorted(read, reverse=True)
    assert read[-2] < 0.1
    assert read[-1] == 0


@pytest.mark.parametrize("objects", [True, False])
def test_images_of_a_batch_do_not_meet(objects):
    masks = [drawn(shape) for shape in (disc(20), ellipse(40, 15), star(5, 50, 25), union(disc(9, -30), disc(20, 30)))]
    batch = torch.cat([picture(mask) for mask in masks]) + 0.1 * noise(4, 3, 128, 128)
    alone = torch.cat([circularity(image[None], objects=objects) for image in batch])
    torch.testing.assert_close(circularity(batch, objects=objects), alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_reads_the_same(dtype):
    images = picture(drawn(ellipse(100, 50), 256, fine=4)) + 0.1 * noise(1, 3, 256, 256)
    half = images.to(dtype).requires_grad_()
    read = circularity(half)
    read.sum().backward()
    assert read.dtype == torch.float32
    assert read.item() == pytest.approx(circularity(images).item(), abs=0.02)
    assert half.grad.isfinite().all()


def test_autocast_changes_nothing():
    images = picture(drawn(ellipse(40, 20))) + 0.1 * noise(1, 3, 128, 128)
    plain = circularity(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(circularity(images), plain)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (65, 200), (101, 64), (600, 500)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_any_number_of_channels(size, channels):
    r = min(size)
    mask = drawn(ellipse(0.4 * r, 0.2 * r), max(size), fine=4)
    top, left = ((max(size) - n) // 2 for n in size)
    images = picture(mask[..., top : top + size[0], left : left + size[1]], channels=channels)
    assert circularity(images).item() == pytest.approx(ellipse_truth(2), abs=0.03)


class Segmenter(nn.Module):
    """Takes the red channel for a mask."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return self.gain * (images[:, :1] + 1) / 2


def test_a_segmenter_finds_the_object_in_clutter():
    stripes = picture(drawn(lambda x, y: torch.sin(x / 3 + y / 5) > 0), channels=2)
    images = torch.cat([picture(drawn(disc(30)), channels=1), stripes], dim=1)
    assert circularity(images).item() < 0.5
    assert circularity(images, mask_fn=Segmenter()).item() == pytest.approx(1, abs=0.02)
    blank = circularity(-torch.ones_like(images), mask_fn=Segmenter())
    assert blank.item() == 0


@pytest.mark.parametrize(
    ("mode", "needs"), [("match", {"fake", "real"}), ("reference", {"fake", "target"}), ("maximise", {"fake"})]
)
def test_a_mode_asks_for_what_it_needs(mode, needs):
    term = circularity_loss(mode=mode, mask_fn=Segmenter())
    assert set(inspect.signature(getattr(term, "forward", term)).parameters) == needs
    images = picture(drawn(ellipse(20, 10), 64))
    loss = term(**dict.fromkeys(needs, images))
    assert loss.shape == ()
    assert not list(getattr(term, "parameters", list)())  # the segmenter is not trained


def test_the_plugin_matches_by_itself_at_weight_one():
    spec = lossbench_loss()
    assert spec.weight == 1
    assert set(inspect.signature(spec.builder()).parameters) == {"fake", "real"}


ROUND, LONG = (picture(drawn(shape, 64)) for shape in (disc(16), ellipse(26, 13)))


def test_match_is_smooth_l1_to_the_source_with_gradient_to_the_translation_only():
    term = circularity_loss()
    assert term(fake=LONG, real=LONG).item() == 0
    fake, real = LONG.clone().requires_grad_(), ROUND.clone().requires_grad_()
    loss = term(fake=fake, real=real)
    loss.backward()
    apart = circularity(ROUND).item() - circularity(LONG).item()
    assert loss.item() == pytest.approx(apart - 0.01, abs=1e-4)  # smooth L1 beyond beta .02
    assert fake.grad.abs().sum() > 0
    assert real.grad is None


def test_match_asks_nothing_where_the_source_is_blank():
    assert circularity_loss()(fake=LONG, real=torch.zeros_like(LONG)).item() == 0
    assert circularity_loss(mask_fn=Segmenter())(fake=LONG, real=-torch.ones_like(LONG)).item() == 0


def test_maximise_stops_at_a_disc():
    term = circularity_loss(mode="maximise")
    assert term(fake=ROUND).item() == 0
    assert term(fake=LONG).item() == pytest.approx(0.98 - circularity(LONG).item())


@pytest.mark.parametrize(("mode", "other"), [("match", ["real"]), ("reference", ["target"]), ("maximise", [])])
def test_it_is_a_mean_over_the_images_of_a_batch(mode, other):
    term = circularity_loss(mode=mode)
    fakes = torch.cat([LONG, ROUND, picture(drawn(ellipse(28, 5), 64))])
    alone = [term(fake=fake[None], **dict.fromkeys(other, ROUND)).item() for fake in fakes]
    together = term(fake=fakes, **dict.fromkeys(other, ROUND.expand(3, -1, -1, -1)))
    assert together.item() == pytest.approx(np.mean(alone), abs=1e-5)
    assert np.mean(alone) > 0.1


def test_reference_is_a_hinge_to_the_band_of_the_target_domain():
    term = circularity_loss(mode="reference", memory=16)
    targets = torch.cat([picture(drawn(ellipse(26, b), 64)) for b in np.linspace(9, 16, 11)])
    term(fake=ROUND, target=targets)
    seen = circularity(targets)
    low, high = (torch.cat([seen, seen[5:6]]).quantile(q).item() for q in (0.1, 0.9))
    needle = picture(drawn(ellipse(28, 5), 64))
    term.eval()
    assert term(fake=ROUND, target=targets[5:6]).item() == pytest.approx(circularity(ROUND).item() - high, abs=1e-5)
    assert term(fake=needle, target=targets[5:6]).item() == pytest.approx(low - circularity(needle).item(), abs=1e-5)
    assert term(fake=LONG, target=targets[5:6]).item() == 0


def test_reference_remembers_only_in_training_and_only_the_last():
    term = circularity_loss(mode="reference", memory=3)
    before = {name: value.clone() for name, value in term.state_dict().items()}
    term.eval()(fake=ROUND, target=LONG)
    assert all(torch.equal(value, before[name]) for name, value in term.state_dict().items())
    term.train()(fake=ROUND, target=LONG)
    term(fake=ROUND, target=torch.cat([ROUND, LONG, ROUND, LONG, LONG]))
    a, b = circularity(ROUND).item(), circularity(LONG).item()
    assert sorted(term.history.tolist()) == pytest.approx(sorted([a, b, b]), abs=1e-6)
    term(fake=ROUND, target=ROUND)
    term(fake=ROUND, target=ROUND)
    assert sorted(term.history.tolist()) == pytest.approx(sorted([a, a, b]), abs=1e-6)


def test_reference_goes_on_where_a_saved_one_stopped():
    first, second = (circularity_loss(mode="reference", memory=4) for _ in range(2))
    first(fake=ROUND, target=torch.cat([LONG, ROUND, LONG]))
    second.load_state_dict(first.state_dict())
    needle = picture(drawn(ellipse(28, 5), 64))
    for target in (ROUND, LONG, needle):
        assert torch.equal(first(fake=needle, target=target), second(fake=needle, target=target))
    assert torch.equal(first.history, second.history)


def test_reference_learns_nothing_from_targets_without_an_object():
    term = circularity_loss(mode="reference")
    assert term(fake=LONG, target=torch.zeros_like(LONG)).item() == 0
    assert term.history.max() == -1


def test_presence_is_zero_on_blank_images_and_one_on_objects():
    _, presence = measure(torch.cat([torch.zeros_like(LONG), LONG]), None, True)
    assert presence.tolist() == pytest.approx([0, 1], abs=0.01)
