r"""The same minutes of training for medseg and for nnU-Net, on one fold of one data set.

Either side does as it does by itself: medseg what the config says; nnU-Net 2 what its planner
plans, with its own trainer and validation, which mirrors; medseg is scored without and with that.
nnU-Net counts its schedule in epochs; here its rate stays constant or falls with the elapsed share
of the time, and it steps until the time is over. Nothing else should run beside it: two cores for
30 minutes a training.

    MEDSEG_PEER_PYTHON=/path/to/python python benchmarks/training_by_the_clock.py \
        configs/hippocampus.yaml --minutes 30 --seeds 0 1 2 --out runs/clock
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

NUMBER, NAME, CONFIGURATION = 1, "Dataset001_clock", "3d_fullres"


def medseg_dice(
    config: Path, told: list[str], minutes: float, seed: int, out: Path
) -> tuple[float, float]:
    """Train medseg, unless that was done, and return the mean Dice without and with mirroring."""
    if not (out / "validation.csv").exists():
        command = [sys.executable, "-m", "medseg", "train", str(config), "--out", str(out)]
        command += ["--time-budget", f"{minutes}m", "--seed", str(seed), "--resume"]
        subprocess.run([*command, *(f"--set={one}" for one in told)], check=True)
    if not (out / "mirrored.csv").exists():
        write_mirrored(out)
    tables = ((out / name).read_text() for name in ("validation.csv", "mirrored.csv"))
    rows = (csv.DictReader(table.splitlines()) for table in tables)
    plain, mirrored = (float(np.nanmean([float(row["dice"]) for row in table])) for table in rows)
    return plain, mirrored


def write_mirrored(out: Path) -> None:
    """Score the held-out cases once more, with the mirroring that nnU-Net has by default."""
    from medseg.inference import Segmenter
    from medseg.training import load_config
    from medseg.training.opening import dataset_of, fold_in
    from medseg.training.validate import validate, write_scores

    config = load_config(out / "config.yaml")
    dataset = dataset_of(config)
    held_out = set(fold_in(dataset, config).held_out)
    cases = [case for case in dataset.cases if case.name in held_out]
    segmenter = Segmenter.load(out / "model")
    scores = validate(segmenter, cases, ignore=dataset.ignore, mirror=True)
    write_scores(out / "mirrored.csv", scores)


def nnunet_dice(peer: str, minutes: float, seed: int, cut: str, out: Path) -> float:
    """Train nnU-Net, unless that was done, and return the mean Dice of its own validation."""
    if not list(out.rglob("validation/summary.json")):
        subprocess.run([peer, __file__, "--serve", str(minutes), str(seed), cut],
                       env=places(out), check=True)  # fmt: skip
    (summary,) = out.rglob("validation/summary.json")
    return float(json.loads(summary.read_text())["foreground_mean"]["Dice"])


def places(results: Path) -> dict[str, str]:
    """Return the environment that nnU-Net wants, in the folder that holds ``results``."""
    return os.environ | {
        "nnUNet_raw": str(results.parent / "raw"),
        "nnUNet_preprocessed": str(results.parent / "preprocessed"),
        "nnUNet_results": str(results),
        "nnUNet_compile": "f",
        "nnUNet_n_proc_DA": "1",
    }


def prepare_nnunet(peer: str, config: Path, further: str, out: Path) -> None:
    """Give nnU-Net the data set and medseg's own split of it, and let it plan and preprocess."""
    from medseg.training import load_config
    from medseg.training.opening import dataset_of, fold_in

    told = load_config(config)
    dataset = dataset_of(told)
    raw, prepared = out / "raw" / NAME, out / "preprocessed" / NAME
    if (prepared / "splits_final.json").exists():
        return
    for folder in (raw / "imagesTr", raw / "labelsTr", prepared):
        folder.mkdir(parents=True, exist_ok=True)
    for case in dataset.cases:
        for channel, (image, _) in enumerate(case.images):
            shutil.copy(image, raw / "imagesTr" / f"{case.name}_{channel:04}.nii.gz")
        shutil.copy(case.label, raw / "labelsTr" / f"{case.name}.nii.gz")
    labels = {"background": 0} | {label.name: label.value for label in dataset.labels}
    channels = {str(number): name for number, name in enumerate(dataset.channels)}
    (raw / "dataset.json").write_text(json.dumps({
        "channel_names": channels, "labels": labels, "numTraining": len(dataset.cases),
        "file_ending": ".nii.gz",
    }))  # fmt: skip
    subprocess.run([str(Path(peer).with_name("nnUNetv2_plan_and_preprocess")), "-d", str(NUMBER),
                    "-c", CONFIGURATION, *shlex.split(further)],
                   env=places(out / "none"), check=True)  # fmt: skip
    fold = fold_in(dataset, told)
    split = {"train": list(fold.train), "val": list(fold.held_out)}
    (prepared / "splits_final.json").write_text(json.dumps([split]))


def serve(minutes: float, seed: int, cut: str) -> None:
    """Train nnU-Net for so long, and validate; runs in the peer's Python."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    class ByTheClock(nnUNetTrainer):
        def run_training(self) -> None:
            torch.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - what nnU-Net draws from
            self.on_train_start()
            self.network.train()
            started, iterations = time.monotonic(), 0
            while (share := (time.monotonic() - started) / 60 / minutes) < 1:
                for group in self.optimizer.param_groups:
                    falls = (1 - share) ** 0.9 if cut == "polynomial" else 1
                    group["lr"] = self.initial_lr * falls
                self.train_step(next(self.dataloader_train))
                iterations += 1
            print(f"{iterations} iterations", flush=True)
            self.current_epoch = self.num_epochs - 1
            self.save_checkpoint(str(Path(self.output_folder) / "checkpoint_final.pth"))
            self.on_train_end()

    folder = Path(os.environ["nnUNet_preprocessed"]) / NAME  # noqa: SIM112
    plans, dataset = (json.loads((folder / f"{name}.json").read_text())
                      for name in ("nnUNetPlans", "dataset"))  # fmt: skip
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    plans["continue_training"] = False  # its own command line says so
    trainer = ByTheClock(plans, CONFIGURATION, 0, dataset, torch.device("cpu"))
    trainer.run_training()
    trainer.perform_actual_validation(save_probabilities=False)


def main() -> None:
    """Train each seed on each side in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--set", action="append", default=[], help="of medseg's config")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--side", choices=["medseg", "nnU-Net", "both"], default="both")
    parser.add_argument("--cut", choices=["constant", "polynomial"], default="constant")
    parser.add_argument("--planner", default="", help="further arguments of nnU-Net's planner")
    parser.add_argument("--out", type=Path, default=Path("runs/clock"))
    told = parser.parse_args()
    peer, out = os.environ.get("MEDSEG_PEER_PYTHON", ""), told.out.resolve()
    sides = ["medseg", "nnU-Net"] if told.side == "both" else [told.side]
    if "nnU-Net" in sides:
        if not peer:
            sys.exit("Set MEDSEG_PEER_PYTHON to a Python with nnunetv2 and torch")
        prepare_nnunet(peer, told.config, told.planner, out)
    dice: dict[str, list[float]] = {}
    for seed in told.seeds:
        for side in sides:
            if side == "medseg":
                plain, mirrored = medseg_dice(told.config, told.set, told.minutes, seed,
                                              out / f"medseg-{seed}")  # fmt: skip
                found = {"medseg": plain, "medseg, mirrored": mirrored}
            else:
                found = {side: nnunet_dice(peer, told.minutes, seed, told.cut,
                                           out / f"nnunet-{told.cut}-{seed}")}  # fmt: skip
            for name, one in found.items():
                dice.setdefault(name, []).append(one)
                print(f"{name}, seed {seed}: {one:.4f}", flush=True)
    for name, seeds in dice.items():
        each = ", ".join(f"{one:.4f}" for one in seeds)
        print(f"{name:16} mean {statistics.mean(seeds):.4f} ({each})")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(float(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        main()
