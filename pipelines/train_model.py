"""Train a model as a config says, validate it on held-out cases and pack it.

    python pipelines/train_model.py configs/hippocampus.yaml --out runs/hippocampus
    python pipelines/train_model.py my.yaml --out runs/mine --set epochs=50 --resume

Writes OUT/model/, OUT/validation.csv and OUT/metrics.csv as `medseg train` does.
"""

import argparse
import os
import sys
from pathlib import Path

# Before TensorFlow is imported: on processors without AVX-512 it trains four times slower else.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import medseg


def show(stage: str, done: float, total: float, note: str) -> None:
    """Print how far a stage is, over the line before."""
    print(f"\r{stage} {done:g}/{total:g} {note:40}", end="", file=sys.stderr, flush=True)


def main() -> int:
    """Train what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the training")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in OUT")
    arguments = parser.parse_args()
    try:
        config = medseg.load_config(arguments.config, arguments.overrides)
        package = medseg.train(config, arguments.out, resume=arguments.resume, progress=show)
    except medseg.MedsegError as error:
        print(f"\n{error} [{error.code}]", file=sys.stderr)
        return 5
    print(f"\n{package.name} {package.version}: {package.path}")
    for result in package.card.results:
        print(result.measured_on)
        for name, value in result.figures.items():
            print(f"  {name}: {value:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
