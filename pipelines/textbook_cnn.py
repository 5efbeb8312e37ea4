"""The convolutional network of the textbooks, on real images, in under a minute.

    python pipelines/textbook_cnn.py
    python pipelines/textbook_cnn.py --data pneumoniamnist.npz --seed 3
    python pipelines/textbook_cnn.py --raw   # without standardisation: some seeds collapse

Reads breast ultrasound of 28 x 28 pixels, shows what each layer does to it, trains by stochastic
gradient descent, and judges on images that neither training nor calibration saw.
"""

import argparse
import os
import sys
from pathlib import Path

# Before TensorFlow is imported: on processors without AVX-512 it trains four times slower else.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import medseg
from medseg.datasets.images import open_images
from medseg.inference.classifier import Classifier
from medseg.networks import build
from medseg.training import textbook
from medseg.training.judging import judge
from medseg.training.opening import open_training

SAMPLE = Path(__file__).parents[1] / "data_samples" / "breastmnist.npz"


def main() -> int:
    """Read, show, train and judge what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SAMPLE, help=".npz in MedMNIST's layout")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--raw", action="store_true", help="feed grey levels as they are")
    parser.add_argument("--out", type=Path, default=Path("textbook"), help="folder for all of it")
    arguments = parser.parse_args()
    try:
        names, positive = textbook.classes_of(arguments.data)
        data = open_images(arguments.data, names)
        for part in ("train", "val", "test"):
            print(f"{part}: {data.counts(data.part(part))}")

        # What each layer makes of an image: channels grow, the picture shrinks, classes remain.
        config = textbook.textbook_config(data, arguments.data, arguments.seed, arguments.raw)
        network = open_training(config).plan.network
        for name, kind, shape, parameters in textbook.stages(
            build(network.name, **network.arguments)
        ):
            print(f"  {name:14} {kind:13} {shape:>12} {parameters:>8,} parameters")

        # Forward, cross-entropy, backward, a step downhill; calibrated on the val part at the end.
        package = medseg.train(config, arguments.out, overwrite=True)

        # The test part saw neither. Accuracy alone would hide a network that always says one class.
        test = judge(Classifier.load(package.path, engine="keras"), data.part("test"))
        calibration = package.calibration
        found = textbook.figures(test, positive, calibration.temperature)
        print(f"AUC {found.auc:.3f} ({found.low:.3f} to {found.high:.3f}), "
              f"sensitivity {found.sensitivity:.3f}, specificity {found.specificity:.3f}, "
              f"expected calibration error {found.ece:.3f}")  # fmt: skip
        for name, row in zip(data.classes, found.confusion.tolist(), strict=True):
            print(f"  truly {name:18} called {dict(zip(data.classes, row, strict=True))}")
        textbook.draw(
            arguments.out / "textbook.png", data, arguments.out / "metrics.csv", test, positive
        )
    except medseg.MedsegError as error:
        print(f"{error} [{error.code}]", file=sys.stderr)
        return 5
    for line in textbook.lessons(package, test, positive):
        print(f"- {line}")
    print(f"Look at {arguments.out / 'textbook.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
