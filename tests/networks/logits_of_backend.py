"""Write the logits and losses of every small network under the backend of ``KERAS_BACKEND``.

Started as ``python -m tests.networks.logits_of_backend FILE``.
"""

import sys

import keras
import numpy as np

from medseg.losses import LOSSES, loss
from tests.losses.factory import CLASSES, REGIONS, make_pair
from tests.networks.factory import ALL, image_of, network


def main(path: str) -> None:
    found = {}
    for case in ALL:
        logits = network(case)(image_of(case), training=False)
        found[case] = keras.ops.convert_to_numpy(logits)
    for name in LOSSES:
        more = {"of": [{"name": "dice"}, {"name": "focal"}]} if name == "sum" else {}
        for kind in (CLASSES, REGIONS):
            truth, logits = make_pair(kind, ignored=0.2)
            value = loss(name, **more)(truth, logits.astype(np.float32))
            found[f"{name} of {kind}"] = keras.ops.convert_to_numpy(value)
    np.savez(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])
