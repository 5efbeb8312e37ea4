"""A case of boxes to cut patches from, and the patches of a recipe."""

import numpy as np

from medseg.augmentation import recipe

MIDDLE = np.array([18, 14, 18])


def make_case(channels=1):
    classes = np.zeros((40, 30, 36), np.uint8)
    classes[10:25, 8:20, 12:30] = 7
    classes[28:35, 5:12, 3:9] = 2
    image = np.repeat(classes[..., None].astype(np.float32) * 10, channels, axis=-1)
    return image, classes


def make_patch(told="default", seed=0, patch=(24, 24, 24), case=None, centre=MIDDLE, **more):
    steps = recipe(told, (1, 1, 1), patch, (0, 1, 2), **more)
    return steps.patch(*(case or make_case()), centre, np.random.default_rng(seed))
