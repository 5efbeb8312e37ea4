"""One small network of each kind and number of axes, and something to give it."""

from functools import cache

import keras
import numpy as np

from medseg.networks import build

FLAT = {
    "features": [4, 4, 6, 8],
    "kernels": [[3, 3]] * 4,
    "strides": [[1, 1], [2, 2], [2, 2], [2, 2]],
}
DEEP = {
    "features": [4, 4, 6, 8],
    "kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 2, 2]],
}
SIZES = {2: (24, 40), 3: (6, 24, 40)}  # odd multiples of the strides, no two alike

SEGMENTING = {
    f"{name} {rank}-D": (name, rank, arguments | more)
    for name, more in {
        "unet": {},
        "residual_unet": {"blocks": [1, 2, 1, 1]},
        "attention_unet": {},
        "nested_unet": {"convolutions": 1},
        "vnet": {},
    }.items()
    for rank, arguments in ((2, FLAT), (3, DEEP))
}
SEGMENTING["backbone_unet 2-D"] = ("backbone_unet", 2, FLAT | {"backbone": "mobilenet_v2"})

CLASSIFYING = {
    "residual_classifier 2-D": ("residual_classifier", 2, FLAT | {"blocks": [1, 1, 1, 1]}),
    "residual_classifier 3-D": ("residual_classifier", 3, DEEP | {"blocks": [1, 1, 1, 1]}),
    "textbook_cnn 2-D": ("textbook_cnn", 2, {"size": SIZES[2], "filters": [4, 6], "dense": 8}),
    "textbook_cnn 3-D": ("textbook_cnn", 3, {"size": SIZES[3], "filters": [4, 6], "dense": 8}),
}
ALL = SEGMENTING | CLASSIFYING
CLASSES = 3


def make_network(case: str, **changes) -> keras.Model:
    """Return a new network of a case, of one channel and three classes."""
    name, _, arguments = ALL[case]
    return build(name, channels=1, classes=CLASSES, **(arguments | changes))


@cache
def network(case: str) -> keras.Model:
    """Return a network that tests share and leave as it is, the same under every backend."""
    model, rng = make_network(case), np.random.default_rng(0)
    for variable in model.weights:
        noise = rng.normal(size=variable.shape)
        if variable.path.endswith("kernel"):
            fan_in = max(1, noise.size // noise.shape[-1])
            variable.assign(noise * np.sqrt(2 / fan_in))
        else:
            centre = 1 if variable.path.endswith(("gamma", "variance")) else 0
            variable.assign(centre + 0.1 * np.abs(noise))
    return model


def image_of(case: str, count: int = 1) -> np.ndarray:
    """Return noise of the size that a case takes."""
    rng = np.random.default_rng(1)
    return rng.normal(size=(count, *SIZES[ALL[case][1]], 1)).astype(np.float32)
