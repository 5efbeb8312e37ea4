"""Albumentations' transforms on medical patches: sound, seeded, or refused before training."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from medseg.augmentation import Frame
from medseg.augmentation.albumentations_adapter import QUIET, adapted
from medseg.errors import PlanRefused

VOLUME = Frame((1, 1, 1), (6, 32, 24))
SLICE = Frame((1, 1, 1), (1, 32, 24))
TWISTED = [{"Affine": {"rotate": [20, 40], "p": 1}}, {"GridDistortion": {"p": 1}}]
CHANGES = [{"RandomBrightnessContrast": {"p": 1}}, {"RandomGamma": {"p": 1}}]


def make_patch(frame=VOLUME, channels=1):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(channels, *frame.patch)).astype(np.float32) * 300 - 50
    classes = np.zeros(frame.patch, np.uint16)
    classes[:, 8:20, 6:18] = 300
    classes[:, 22:28, 4:9] = 7
    return image, classes


@pytest.mark.parametrize("frame", [VOLUME, SLICE], ids=["volume", "slice"])
@pytest.mark.parametrize("told", [TWISTED, CHANGES, [*TWISTED, *CHANGES]])
def test_a_patch_stays_in_its_range_with_its_types_and_labels(told, frame):
    image, classes = make_patch(frame, 2)
    out, numbers = adapted(told, frame, 2).apply(image, classes, 3)
    assert (out.shape, out.dtype) == (image.shape, np.float32)
    assert (numbers.shape, numbers.dtype) == (classes.shape, np.uint16)
    assert np.isfinite(out).all()
    for channel in range(2):
        assert image[channel].min() - 0.1 <= out[channel].min()
        assert out[channel].max() <= image[channel].max() + 0.1
    assert set(np.unique(numbers)) <= {0, 7, 300}
    assert not np.array_equal(out, image)


def test_image_and_labels_move_together():
    _, classes = make_patch()
    image = classes[None].astype(np.float32)
    for seed in range(5):
        out, numbers = adapted(TWISTED, VOLUME, 1).apply(image, classes, seed)
        assert (numbers[out[0] > 299] == 300).all()
        assert (out[0] > 299).sum() > 300


def test_all_slices_of_a_volume_move_alike():
    image = np.repeat(make_patch(SLICE)[0], 6, axis=1)
    out, numbers = adapted(TWISTED, VOLUME, 1).apply(image, make_patch()[1], 1)
    assert np.array_equal(out, np.repeat(out[:, :1], 6, axis=1))
    assert np.array_equal(numbers, np.repeat(numbers[:1], 6, axis=0))


def test_a_transform_that_does_nothing_gives_the_values_back():
    image, classes = make_patch()
    out, numbers = adapted(["NoOp"], VOLUME, 1).apply(image, classes, 0)
    np.testing.assert_allclose(out, image, atol=1e-3)
    assert np.array_equal(numbers, classes)


def test_a_constant_channel_stays_finite():
    image, classes = make_patch()
    out, _ = adapted(CHANGES, VOLUME, 1).apply(image * 0 + 5, classes, 0)
    assert np.isfinite(out).all()


def test_the_seed_decides_whatever_thread_and_order():
    transforms, patch = adapted([*TWISTED, *CHANGES], VOLUME, 1), make_patch()
    expected = [transforms.apply(*patch, seed)[0] for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: transforms.apply(*patch, seed)[0], [*range(12)][::-1]))
    assert all(np.array_equal(a, b) for a, b in zip(expected, found[::-1], strict=True))
    assert not np.array_equal(expected[0], expected[1])


@pytest.mark.parametrize(
    ("told", "code", "words"),
    [
        ("HorizontalFlip", "transform-refused", "mirrors, and does not know left from right"),
        ("D4", "transform-refused", "mirrors"),
        ("GaussNoise", "transform-refused", "same noise into every slice"),
        ("RandomScale", "transform-refused", "makes ("),
        ({"RandomCrop": {"height": 8, "width": 8}}, "transform-refused", "makes (8, 8)"),
        ("HistogramMatching", "transform-refused", "needs other images"),
        ("Normalize", "transform-refused", "other kinds of values"),
        ("CoarseDropout3D", "transform-refused", "volumes of its own kind"),
        ("RandomFog", "transform-refused", "fails on 1 channel"),
        ("Morphological", "transform-refused", "fails on 1 channel"),
        ({"Rotate": {"mask_interpolation": 1}}, "transform-refused", "labels that are not there"),
        ("GausianBlur", "augmentation-unknown", "Did you mean 'GaussianBlur'"),
        ("BasicTransform", "augmentation-unknown", "no transform of albumentations"),
        ("Compose", "augmentation-unknown", "no transform of albumentations"),
        ({"Rotate": {"limits": 3}}, "augmentation-unknown", "Did you mean 'limit'"),
        ({"Rotate": {"limit": "far"}}, "augmentation-invalid", "Rotate: limit"),
        ({"Rotate": {}, "Affine": {}}, "augmentation-invalid", "each entry is one transform"),
    ],
)
def test_what_does_harm_or_cannot_work_is_refused_before_training(told, code, words):
    with pytest.raises(PlanRefused) as refusal:
        adapted([told], VOLUME, 1)
    assert refusal.value.code == code
    assert words in str(refusal.value)
    assert ".hpp" not in refusal.value.found  # no file of another's build


def test_noise_is_welcome_in_single_slices():
    out, _ = adapted([{"GaussNoise": {"p": 1}}], SLICE, 1).apply(*make_patch(SLICE), 1)
    assert not np.array_equal(out, make_patch(SLICE)[0])


def test_importing_asks_no_server_and_leaves_the_environment_alone():
    code = f"""
import os, sys
def refuse(event, args):
    if event.startswith("socket."):
        os._exit(9)
sys.addaudithook(refuse)
from medseg.augmentation.albumentations_adapter import albumentations
assert "albumentations" not in sys.modules
albumentations()
assert "albumentations" in sys.modules
assert {QUIET!r} not in os.environ
"""
    environment = {name: value for name, value in os.environ.items() if name != QUIET}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
