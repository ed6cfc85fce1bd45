"""Transforms of batches on every device, against Pillow, SciPy, the standard library's colour formulas, and loops."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import data
from deepcore import functional as F
from deepcore.backends import get_backend
from deepcore.check.tolerance import assert_close
from deepcore.data import transforms as T
from deepcore.data.transforms import colour, levels
from deepcore.data.transforms.affine import turn, warp
from deepcore.data.transforms.rand_augment import CHANGES, NAMES
from deepcore.data.transforms.resize import resample_matrix
from deepcore.errors import ConfigError, DataError, DTypeError, ShapeError

RNG = np.random.default_rng(0)


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def images(*shape: int) -> np.ndarray:
    return RNG.random(shape, np.float32)


def run(transform: Any, x: np.ndarray, device: str, *more: Any) -> np.ndarray:
    """What the transform makes of x on the device, brought back; the input stays as it was."""
    before = x.copy()
    y = transform(dc.tensor(x, device=device), *more)
    np.testing.assert_array_equal(x, before)
    assert y.device == dc.tensor(0, device=device).device
    return y.cpu().numpy()


def as_picture(x: np.ndarray) -> Any:
    """(C, H, W) uint8 as a picture of Pillow."""
    from PIL import Image

    return Image.fromarray(x[0] if len(x) == 1 else x.transpose(1, 2, 0))


def as_array(picture: Any) -> np.ndarray:
    """A picture of Pillow as (C, H, W) uint8."""
    x = np.asarray(picture)
    return x[None] if x.ndim == 2 else x.transpose(2, 0, 1)


# --- every transform --------------------------------------------------------------------------------------------------

RANDOM: dict[str, Any] = {
    "affine": lambda g: T.RandomAffine(20, 0.2, 0.1, generator=g),
    "crop": lambda g: T.RandomCrop((7, 9), padding=2, generator=g),
    "cutout": lambda g: T.Cutout(4, generator=g),
    "erasing": lambda g: T.RandomErasing(generator=g),
    "flip": lambda g: T.RandomHorizontalFlip(generator=g),
    "flip up": lambda g: T.RandomVerticalFlip(generator=g),
    "jitter": lambda g: T.ColorJitter(0.4, 0.4, 0.4, 0.1, generator=g),
    "rand_augment": lambda g: T.RandAugment(generator=g),
    "rotation": lambda g: T.RandomRotation(30, generator=g),
}
FIXED: dict[str, Any] = {
    "center": T.CenterCrop(6),
    "gray": T.Grayscale(3),
    "normalize": T.Normalize([0.1, 0.2, 0.3], [0.5, 1.0, 2.0]),
    "resize": T.Resize((6, 13)),
}


@pytest.mark.parametrize("name", RANDOM)
def test_random_ones_follow_from_their_seed_alike_on_every_device(name: str, device: str) -> None:
    x = pixels(6, 3, 9, 11)
    transform = RANDOM[name](dc.Generator(5))
    first, second = run(transform, x, device), run(transform, x, device)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(run(RANDOM[name](dc.Generator(5)), x, device), first)
    assert_close(run(RANDOM[name](dc.Generator(5)), x, "numpy"), first, first.dtype, length=16)
    # Its state can be stored and taken up.
    state = transform.state_dict()
    third = run(transform, x, device)
    other = RANDOM[name](dc.Generator(99))
    other.load_state_dict(state)
    np.testing.assert_array_equal(run(other, x, device), third)
    # Without a generator of its own it follows the program's seed.
    dc.manual_seed(3)
    one = run(RANDOM[name](None), x, device)
    dc.manual_seed(3)
    np.testing.assert_array_equal(run(RANDOM[name](None), x, device), one)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", [*RANDOM, *FIXED])
def test_dtypes_and_empty_batches(name: str, dtype: str, device: str) -> None:
    transform = FIXED[name] if name in FIXED else RANDOM[name](dc.Generator(5))
    moves = name in ("center", "crop", "cutout", "erasing", "flip", "flip up")
    for n in (2, 0):
        x = dc.tensor(pixels(n, 3, 9, 11) if dtype == "uint8" else images(n, 3, 9, 11), device=device)
        y = transform(x if dtype == "uint8" else x.to(dtype))
        assert y.dtype == ("float32" if dtype == "uint8" and not moves else dtype)
        assert y.shape[:2] == (n, 3)
        assert np.isfinite(y.cpu().numpy().astype(float)).all()


@pytest.mark.parametrize("name", [*RANDOM, *FIXED])
def test_what_are_no_images(name: str) -> None:
    transform = FIXED[name] if name in FIXED else RANDOM[name](dc.Generator(5))
    with pytest.raises(DTypeError, match="expected images of uint8 or floating"):
        transform(dc.zeros(2, 3, 8, 8, dtype="int64"))
    with pytest.raises(ShapeError, match=r"expected images \(N, C, H, W\)"):
        transform(dc.zeros(3, 8, 8))
    with pytest.raises(ConfigError, match=r"expected a tensor of images .* got ndarray"):
        transform(np.zeros((2, 3, 8, 8)))
    if name in ("gray", "jitter", "rand_augment"):
        with pytest.raises(ShapeError, match="expected images of 1 or 3 channels"):
            transform(dc.zeros(1, 2, 8, 8))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: T.RandomCrop(0), "size as a whole number of at least 1, or two of them; got size=0"),
        (lambda: T.RandomCrop((4, 4, 4)), "size as a whole number"),
        (lambda: T.RandomCrop(4, padding=-1), "padding as one, two or four whole numbers"),
        (lambda: T.RandomCrop(4, padding_mode="reflekt"), "Did you mean 'reflect'"),
        (lambda: T.RandomHorizontalFlip(1.5), "RandomHorizontalFlip: expected a probability p"),
        (lambda: T.RandomRotation((30, 10)), "degrees as a number of at least 0, or"),
        (lambda: T.RandomRotation(30, interpolation="cubic"), "interpolation as one of nearest, bilinear"),
        (lambda: T.RandomAffine(200, 0, 0), r"degrees in \[0, 180\]"),
        (lambda: T.ColorJitter(hue=0.6), "hue as a number of at least 0, or .* between -0.5 and 0.5"),
        (lambda: T.ColorJitter(brightness=-1), "brightness as a number"),
        (lambda: T.ColorJitter(contrast=(2, 1)), "contrast as a number"),
        (lambda: T.Cutout(0), "Cutout: expected size"),
        (lambda: T.RandomErasing(scale=(0.5, 2)), "scale in"),
        (lambda: T.Mixup(0), "alpha above 0"),
        (lambda: T.RandAugment(magnitude=31), "magnitude < num_magnitude_bins"),
        (lambda: T.RandAugment(num_ops=-1), "num_ops of at least 0"),
        (lambda: T.Normalize([0.1, 0.2], [0.1, 0.2, 0.3]), "as many means as deviations"),
        (lambda: T.Normalize(0, 0), "a finite mean and std > 0"),
        (lambda: T.Grayscale(2), "num_output_channels as 1 or 3"),
        (lambda: T.Resize(8, interpolation="cubic"), "interpolation as one of"),
        (lambda: T.Compose([3]), "transforms that can be called; got 3"),
    ],
)
def test_arguments_that_cannot_be(make: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()


# --- moving pixels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_random_crop_is_a_window_of_the_padded_image(mode: str, device: str) -> None:
    x = pixels(40, 2, 6, 5)
    y = run(T.RandomCrop((5, 4), (1, 2, 3, 2), fill=7, padding_mode=mode, generator=dc.Generator(1)), x, device)
    options = {"constant_values": 7} if mode == "constant" else {}
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (1, 3)), mode, **options)  # type: ignore[call-overload]
    places = set()
    for image, window in zip(padded, y, strict=True):
        found = [
            (i, j) for i in range(10 - 4) for j in range(9 - 3) if (image[:, i : i + 5, j : j + 4] == window).all()
        ]
        assert found
        places.add(found[0])
    assert {i for i, _ in places} == set(range(6))
    assert {j for _, j in places} == set(range(6))


def test_random_crop_of_what_is_too_small() -> None:
    with pytest.raises(ShapeError, match="images at least as large as the window"):
        T.RandomCrop(10, padding=1)(dc.zeros(1, 1, 7, 7))
    with pytest.raises(ShapeError, match="padding smaller than the image"):
        T.RandomCrop(3, padding=7, padding_mode="reflect")(dc.zeros(1, 1, 7, 7))


@pytest.mark.parametrize(("side", "size"), [(8, 5), (9, 4), (7, 7), (4, 7), (5, 8)])
def test_center_crop(side: int, size: int, device: str) -> None:
    x = pixels(2, 3, side, side + 1)
    y = run(T.CenterCrop((size, 3)), x, device)
    high = max(size - side, 0)
    padded = np.pad(x, ((0, 0), (0, 0), (high // 2, (high + 1) // 2), (0, 0)))
    top, left = round((padded.shape[2] - size) / 2), round((side + 1 - 3) / 2)
    np.testing.assert_array_equal(y, padded[:, :, top : top + size, left : left + 3])


def test_flips_mirror_each_image_by_itself(device: str) -> None:
    x = pixels(200, 2, 3, 4)
    for transform, axis in ((T.RandomHorizontalFlip, 3), (T.RandomVerticalFlip, 2)):
        y = run(transform(p=0.3, generator=dc.Generator(2)), x, device)
        mirrored = (y == np.flip(x, axis)).all(axis=(1, 2, 3))
        assert (mirrored | (y == x).all(axis=(1, 2, 3))).all()
        assert 30 < mirrored.sum() < 90  # 60 expected, the deviation is 6.5
        np.testing.assert_array_equal(run(transform(p=0.0), x, device), x)
        np.testing.assert_array_equal(run(transform(p=1.0), x, device), np.flip(x, axis))


def test_cutout_paints_one_square(device: str) -> None:
    x = images(300, 2, 9, 7) + np.float32(1)
    y = run(T.Cutout((4, 3), value=0.0, generator=dc.Generator(3)), x, device)
    painted = (y == 0).all(axis=1)
    np.testing.assert_array_equal(y[:, 0][~painted], x[:, 0][~painted])
    tops = set()
    for mask in painted:
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].all()  # a rectangle
        assert len(rows) == 4 or rows[0] == 0 or rows[-1] == 8
        assert len(cols) == 3 or cols[0] == 0 or cols[-1] == 6
        tops.add(int(rows[0]))
    assert tops == set(range(7))


def test_random_erasing_paints_rectangles_of_the_asked_area(device: str) -> None:
    x = np.ones((400, 3, 20, 30), np.float32)
    transform = T.RandomErasing(0.5, (0.1, 0.2), (0.5, 2.0), value=[0.0, 0.25, 0.5], generator=dc.Generator(4))
    y = run(transform, x, device)
    painted = y[:, 0] == 0
    erased = painted.any(axis=(1, 2))
    assert 150 < erased.sum() < 250
    np.testing.assert_array_equal(y[:, 2][painted], np.float32(0.5))
    np.testing.assert_array_equal(y[:, 2][~painted], np.float32(1))
    high, wide = painted.any(axis=2).sum(axis=1)[erased], painted.any(axis=1).sum(axis=1)[erased]
    assert (painted.sum(axis=(1, 2))[erased] == high * wide).all()
    # Sides are rounded to whole pixels: each by half a pixel at most.
    assert ((high + 0.5) * (wide + 0.5) >= 0.1 * 600).all()
    assert ((high - 0.5) * (wide - 0.5) <= 0.2 * 600).all()
    with pytest.raises(ShapeError, match="one value, or one for every channel"):
        transform(dc.zeros(1, 2, 8, 8))


# --- geometry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_warp_agrees_with_scipy(mode: str, device: str) -> None:
    from scipy.ndimage import affine_transform

    h, w = 9, 13
    x = images(4, 2, h, w)
    maps = RNG.normal(0, 0.3, (4, 2, 3)) + np.array([[1, 0, 0.4], [0, 1, -0.7]])
    y = warp(dc.tensor(x, device=device), maps, mode, fill=0.25).cpu().numpy()
    middle = np.array([(h - 1) / 2, (w - 1) / 2])
    for image, result, m in zip(x, y, maps, strict=True):
        linear = m[::-1, [1, 0]]  # from (x, y) to (row, column)
        offset = m[::-1, 2] + middle - linear @ middle
        for plane, got in zip(image, result, strict=True):
            expected = affine_transform(
                np.pad(plane.astype(float) - 0.25, 3), linear, offset + 3, (h, w), order=1 if mode == "bilinear" else 0
            )
            if mode == "bilinear":
                # Places in float32 are exact to about 13 * eps, and neighbours differ by at most 1.
                assert_close(got, expected + 0.25, np.float32, length=4 * w)
            else:
                assert (np.abs(got - expected - 0.25) > 1e-6).mean() < 0.02  # a place half-way may go either way


@pytest.mark.parametrize("angle", [90, 180, -90])
def test_turns_by_right_angles_are_exact(angle: int, device: str) -> None:
    x = pixels(2, 3, 8, 8)
    y = run(T.RandomRotation((angle, angle)), x, device)
    expected = np.rot90(x, angle // 90, axes=(2, 3)).astype(np.float32) * np.float32(1 / 255)
    np.testing.assert_array_equal(y, expected)


def test_rotation_agrees_with_pillow_where_it_is_smooth(device: str) -> None:
    from PIL import Image

    rows, cols = np.mgrid[:40, :40] / 39
    smooth = np.rint(255 * (0.5 + 0.3 * np.sin(3 * rows) * np.cos(2 * cols))).astype(np.uint8)
    turned = as_picture(smooth[None]).rotate(25, Image.Resampling.BILINEAR)
    y = run(T.RandomRotation((25, 25), "bilinear"), smooth[None, None], device)
    inside = np.hypot(*(np.mgrid[:40, :40] - 19.5)) < 18
    assert np.abs(y[0, 0] * 255 - np.asarray(turned))[inside].max() < 1.01  # Pillow rounds to whole levels


def test_turn_goes_counter_clockwise() -> None:
    x = np.zeros((1, 1, 5, 5), np.float32)
    x[0, 0, 2, 4] = 1  # right of the middle
    y = warp(dc.tensor(x), turn(np.array([90.0])), "nearest").numpy()
    assert np.argwhere(y[0, 0]).tolist() == [[0, 2]]  # above it


@pytest.mark.parametrize("shape", [(8, 8), (6, 15)])
def test_affine_of_oblong_images_keeps_angles(shape: tuple[int, int], device: str) -> None:
    """A turn by 90 degrees of the middle square is a turn of its pixels, whatever the image's shape."""
    x = np.zeros((1, 1, *shape), np.float32)
    x[0, 0, shape[0] // 2 - 1 : shape[0] // 2 + 1, shape[1] // 2 - 2 : shape[1] // 2 + 2] = 1
    affine = T.RandomAffine(90, 0, 0)
    affine.uniform = lambda *shape: np.ones(shape)  # type: ignore[method-assign]
    y = run(affine, x, device)[0, 0]
    columns = np.flatnonzero(y.sum(axis=0) > 0.5)
    assert abs(len(columns) - 2) <= shape[1] % 2


@pytest.mark.parametrize(("old", "new"), [((12, 9), (5, 4)), ((5, 6), (11, 17)), ((8, 8), (8, 3))])
def test_resize_agrees_with_pillow_and_scipy(old: tuple[int, int], new: tuple[int, int], device: str) -> None:
    from PIL import Image
    from scipy.ndimage import zoom

    x = pixels(2, 1, *old)
    y = run(T.Resize(new), x, device)
    for image, result in zip(x, y, strict=True):
        expected = Image.fromarray(image[0].astype(np.float32)).resize(new[::-1], Image.Resampling.BILINEAR)
        assert_close(result[0], np.asarray(expected, float) / 255, np.float32, length=sum(old))
    plain = run(T.Resize(new, antialias=False), x.astype(float), device)
    rates = (1, 1, new[0] / old[0], new[1] / old[1])
    expected = zoom(x.astype(float), rates, order=1, mode="nearest", grid_mode=True)
    assert_close(plain, expected, np.float64, length=sum(old))


def test_resize_to_a_shorter_side(device: str) -> None:
    assert run(T.Resize(4), pixels(1, 3, 8, 13), device).shape == (1, 3, 4, 6)
    assert run(T.Resize(4), pixels(1, 3, 13, 8), device).shape == (1, 3, 6, 4)
    x = pixels(2, 3, 6, 4)
    y = run(T.Resize((3, 8), "nearest"), x, device)
    np.testing.assert_array_equal(y, np.repeat(x[:, :, ::2], 2, axis=3))
    np.testing.assert_array_equal(run(T.Resize((6, 4), "nearest"), x, device), x)
    assert resample_matrix(8, 3).sum(axis=1).tolist() == pytest.approx([1, 1, 1])


# --- colours ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.7])
@pytest.mark.parametrize("name", ["Brightness", "Contrast", "Color", "Sharpness"])
def test_blends_agree_with_pillow(name: str, factor: float, device: str) -> None:
    from PIL import ImageEnhance

    change = {
        "Brightness": colour.brightness,
        "Contrast": colour.contrast,
        "Color": colour.saturation,
        "Sharpness": levels.sharpness,
    }[name]
    x = pixels(1, 3, 9, 8)
    expected = as_array(getattr(ImageEnhance, name)(as_picture(x[0])).enhance(factor))
    backend = get_backend(device)
    array = backend.from_host(x.astype(np.float32) / 255)
    amount = backend.from_host(np.full((1, 1, 1, 1), factor, np.float32))
    y = backend.to_host(change(backend.xp, array, amount))[0] * 255
    # Pillow cuts to whole levels, of the image in gray as well, which is blended with a weight of up to 1.
    assert np.abs(y - expected).max() <= 2.01
    assert np.abs(y - expected).mean() < 0.8


def test_hue_agrees_with_the_standard_library(device: str) -> None:
    x = images(3, 3, 5, 6)
    x[0, :, 0, 0] = 0.5  # gray
    x[0, :, 0, 1] = 0.0
    shifts = np.array([0.1, -0.3, 0.5], np.float32)
    backend = get_backend(device)
    y = backend.to_host(colour.hue(backend.xp, backend.from_host(x), backend.from_host(shifts.reshape(3, 1, 1, 1))))
    expected = np.empty_like(x, dtype=float)
    for n, i, j in np.ndindex(3, 5, 6):
        h, s, v = colorsys.rgb_to_hsv(*x[n, :, i, j].astype(float))
        expected[n, :, i, j] = colorsys.hsv_to_rgb((h + float(shifts[n])) % 1, s, v)
    assert_close(y, expected, np.float32, length=6)


def test_grayscale_agrees_with_pillow(device: str) -> None:
    x = pixels(2, 3, 7, 5)
    y = run(T.Grayscale(), x, device)
    assert y.shape == (2, 1, 7, 5)
    for image, result in zip(x, y, strict=True):
        assert np.abs(result[0] * 255 - np.asarray(as_picture(image).convert("L"))).max() < 0.6
    np.testing.assert_array_equal(run(T.Grayscale(3), x, device), np.repeat(y, 3, axis=1))


def test_jitter_stays_within_its_amounts_and_its_order_is_drawn(device: str) -> None:
    x = np.full((500, 3, 2, 2), 0.5, np.float32)
    y = run(T.ColorJitter(brightness=0.4, generator=dc.Generator(1)), x, device)
    factors = y[:, 0, 0, 0] / 0.5
    assert 0.6 <= factors.min() < 0.62
    assert 1.38 < factors.max() <= 1.4
    np.testing.assert_array_equal(run(T.ColorJitter(), x, device), x)
    both = T.ColorJitter(brightness=(1.9, 1.9), saturation=(0.3, 0.3))
    z = images(1, 3, 2, 2)
    seen = {run(both, z, device).tobytes() for _ in range(12)}
    assert len(seen) == 2  # cut off before, or after, the colours are taken back


@pytest.mark.parametrize("kind", ["noise", "dark", "flat", "two"])
def test_levels_agree_with_pillow(kind: str, device: str) -> None:
    from PIL import ImageOps

    x = {
        "noise": pixels(2, 3, 12, 11),
        "dark": pixels(2, 3, 12, 11) // 4,
        "flat": np.full((2, 3, 12, 11), 9, np.uint8),
        "two": pixels(2, 3, 12, 11) // 128 * 200,
    }[kind]
    backend = get_backend(device)
    array = backend.from_host(x.astype(np.float32) / 255)

    def on_device(change: Any, *more: Any) -> np.ndarray:
        return backend.to_host(change(backend.xp, array, *more)) * 255

    for row in range(2):
        picture = as_picture(x[row])
        for bits in (1, 4, 8):
            expected = as_array(ImageOps.posterize(picture, bits))
            np.testing.assert_array_equal(np.rint(on_device(levels.posterize, bits)[row]), expected)
        np.testing.assert_array_equal(np.rint(on_device(levels.equalize)[row]), as_array(ImageOps.equalize(picture)))
        # Pillow rounds down to whole levels.
        stretched = on_device(levels.autocontrast)[row] - as_array(ImageOps.autocontrast(picture))
        assert -0.01 < stretched.min() <= stretched.max() < 1.01


# --- RandAugment ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_of_rand_augment_agrees_with_pillow(name: str, device: str) -> None:
    from PIL import Image, ImageEnhance, ImageOps

    x = pixels(1, 3, 20, 24)
    augment = T.RandAugment(num_ops=1, magnitude=15)  # half of the full strength
    augment.draw = lambda n: (np.array([[NAMES.index(name)]]), np.array([[1]]))  # type: ignore[method-assign]
    y = np.rint(run(augment, x, device)[0] * 255)
    picture = as_picture(x[0])

    def moved(a: float, b: float, c: float, d: float, e: float, f: float) -> Any:
        return picture.transform(picture.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.NEAREST)

    expected = {
        "Identity": lambda: picture,
        "ShearX": lambda: moved(1, 0.15, 0, 0, 1, 0),
        "ShearY": lambda: moved(1, 0, 0, 0.15, 1, 0),
        "TranslateX": lambda: moved(1, 0, -5, 0, 1, 0),  # 24 * 150 / 331 / 2 is 5.4
        "TranslateY": lambda: moved(1, 0, 0, 0, 1, -4),
        "Rotate": lambda: picture.rotate(15),
        "Brightness": lambda: ImageEnhance.Brightness(picture).enhance(1.45),
        "Color": lambda: ImageEnhance.Color(picture).enhance(1.45),
        "Contrast": lambda: ImageEnhance.Contrast(picture).enhance(1.45),
        "Sharpness": lambda: ImageEnhance.Sharpness(picture).enhance(1.45),
        "Posterize": lambda: ImageOps.posterize(picture, 6),
        "Solarize": lambda: ImageOps.solarize(picture, 128),
        "AutoContrast": lambda: ImageOps.autocontrast(picture),
        "Equalize": lambda: ImageOps.equalize(picture),
    }[name]()
    wrong = np.abs(y - as_array(expected)) > 2  # levels are rounded at other places
    assert wrong.mean() < (0.02 if name in NAMES[1:6] else 1e-9)  # a place half-way between pixels may go either way


def test_rand_augment_draws_every_change_and_fills(device: str) -> None:
    chosen, signs = T.RandAugment(2, generator=dc.Generator(0)).draw(500)
    assert chosen.shape == signs.shape == (2, 500)
    assert set(chosen.ravel().tolist()) == set(range(14))
    assert set(signs.ravel().tolist()) == {-1, 1}
    augment = T.RandAugment(1, magnitude=30, fill=0.5)
    augment.draw = lambda n: (np.full((1, n), 3), np.ones((1, n), int))  # type: ignore[method-assign]
    y = run(augment, np.zeros((2, 1, 8, 8), np.float32), device)
    assert (y[:, :, :, :3] == 0.5).all()
    assert (y[:, :, :, 3:] == 0).all()
    x = images(2, 3, 4, 4)
    np.testing.assert_array_equal(run(T.RandAugment(0), x, device), x)


# --- Mixup, Compose, Normalize ----------------------------------------------------------------------------------------


def test_mixup_blends_images_and_labels_alike(device: str) -> None:
    x, labels = images(5, 2, 4, 3), np.array([3, 0, 2, 2, 1])
    mixup = T.Mixup(0.4, num_classes=4, generator=dc.Generator(7))
    share = T.Mixup(0.4, num_classes=4, generator=dc.Generator(7)).share()
    y, soft = mixup(dc.tensor(x, device=device), dc.tensor(labels, device=device))
    one_hot = np.eye(4)[labels]
    assert_close(y.cpu().numpy(), share * x + (1 - share) * np.roll(x, 1, axis=0), np.float32)
    assert_close(soft.cpu().numpy(), share * one_hot + (1 - share) * np.roll(one_hot, 1, axis=0), np.float32)
    again, _ = T.Mixup(0.4, generator=dc.Generator(7))(dc.tensor(x, device=device), dc.tensor(one_hot, device=device))
    np.testing.assert_array_equal(again.cpu().numpy(), y.cpu().numpy())
    # The soft labels are what the loss takes.
    logits = dc.tensor(images(5, 4), device=device, requires_grad=True)
    F.cross_entropy(logits, soft).backward()
    assert logits.grad is not None


def test_the_share_of_mixup_is_beta_distributed() -> None:
    from scipy.stats import beta, kstest

    mixup = T.Mixup(0.4, generator=dc.Generator(1))
    assert kstest([mixup.share() for _ in range(400)], beta(0.4, 0.4).cdf).pvalue > 0.001


def test_mixup_without_what_it_needs() -> None:
    with pytest.raises(ConfigError, match="num_classes, where labels are class numbers"):
        T.Mixup()(dc.zeros(2, 1, 4, 4), dc.tensor([0, 1]))
    with pytest.raises(ShapeError, match=r"labels .* beside the images"):
        T.Mixup(num_classes=3)(dc.zeros(2, 1, 4, 4), dc.tensor([0, 1, 2]))
    with pytest.raises(ConfigError, match=r"\(images, labels\), which one of its transforms needs; got images only"):
        T.Compose([T.Mixup(num_classes=3)])(dc.zeros(2, 1, 4, 4))


def test_compose_is_one_after_the_other_and_is_resumed(device: str) -> None:
    x = pixels(4, 3, 8, 8)

    def new(seed: int) -> T.Compose:
        steps = [T.RandomCrop(8, 2), T.RandomHorizontalFlip(), T.Normalize(0.5, 0.25), T.Cutout(3)]
        for i, step in enumerate(steps):
            if isinstance(step, T.RandomTransform):
                step._own = dc.Generator(seed + i)
        return T.Compose([*steps, lambda y: y + 1])

    both, single = new(3), new(3)
    y = dc.tensor(x, device=device)
    for step in single.transforms:
        y = step(y)
    np.testing.assert_array_equal(run(both, x, device), y.cpu().numpy())
    resumed = new(50)
    resumed.load_state_dict(both.state_dict())
    np.testing.assert_array_equal(run(resumed, x, device), run(both, x, device))
    with pytest.raises(DataError, match="the state of 5 transforms; got the state of 1"):
        both.load_state_dict(T.Compose([T.CenterCrop(2)]).state_dict())
    _, labels = both(dc.tensor(x), dc.tensor([1, 2, 3, 4]))
    assert labels.tolist() == [1, 2, 3, 4]


def test_normalize_by_channel(device: str) -> None:
    x = pixels(3, 3, 4, 5)
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    expected = (x / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert_close(run(T.Normalize(mean, std), x, device), expected, np.float32)
    assert_close(run(T.Normalize(mean, 0.5), x, device), (x / 255 - np.reshape(mean, (3, 1, 1))) / 0.5, np.float32)
    with pytest.raises(ShapeError, match="images of 3 channels"):
        T.Normalize(mean, std)(dc.zeros(1, 1, 4, 4))


def test_a_dataset_may_transform_in_the_workers() -> None:
    """A batched data set whose transform runs while a loader reads: the same batches with any number of threads."""

    class Changed(data.Dataset):
        batched = True
        flip = T.RandomHorizontalFlip()

        def __len__(self) -> int:
            return 24

        def __getitem__(self, rows: Any) -> Any:
            x = np.broadcast_to(np.arange(5, dtype=np.uint8), (len(rows), 1, 2, 5))
            return self.flip(dc.tensor(x, device="numpy"))

    def batches(workers: int) -> list[Any]:
        return [b.numpy().tolist() for b in data.DataLoader(Changed(), 4, num_workers=workers)]

    dc.manual_seed(4)
    alone = batches(0)
    dc.manual_seed(4)
    assert batches(3) == alone
    assert len({str(b) for b in alone}) > 1


def test_settings_become_one_transform(device: str) -> None:
    x, labels = pixels(6, 3, 8, 8), np.arange(6) % 4
    settings: dict[str, Any] = {
        "crop": 2,
        "flip": True,
        "randaugment": 9,
        "degrees": 10,
        "scale": 0.1,
        "translate": 0.05,
        "cutout": 3,
        "mixup": 0.2,
    }
    transform = T.augmentation((8, 8), 4, 0.5, 0.25, **settings, generator=dc.Generator(6))
    g = dc.Generator(6)
    steps = [
        T.RandomCrop(8, 2, generator=g),
        T.RandomHorizontalFlip(generator=g),
        T.RandAugment(2, 9, generator=g),
        T.RandomAffine(10, 0.1, 0.05, g),
        T.Normalize(0.5, 0.25),
        T.Cutout(3, generator=g),
    ]
    expected: Any = dc.tensor(x, device=device)
    for step in steps:
        expected = step(expected)
    expected, soft = T.Mixup(0.2, 4, g)(expected, dc.tensor(labels, device=device))
    images, mixed = transform(dc.tensor(x, device=device), dc.tensor(labels, device=device))
    np.testing.assert_array_equal(images.cpu().numpy(), expected.cpu().numpy())
    np.testing.assert_array_equal(mixed.cpu().numpy(), soft.cpu().numpy())
    for name, value in settings.items():
        one = T.augmentation((8, 8), 4, 0.5, 0.25, **{name: value})
        assert len(one.transforms) == 2
    nothing = T.augmentation((8, 8), 4, 0.5, 0.25)
    np.testing.assert_array_equal(run(nothing, x, device), run(T.Normalize(0.5, 0.25), x, device))
