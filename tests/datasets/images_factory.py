"""Factories of small labelled images: a bright left or right half, in noise."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image


def make_pixels(count, seed=0, size=(16, 16)):
    """Return images whose left (class 0) or right half (class 1) is brighter, and the classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = rng.integers(0, 60, (count, *size))
    half = size[1] // 2
    pixels[labels == 0, :, :half] += 100
    pixels[labels == 1, :, half:] += 100
    return pixels.astype(np.uint8), labels.astype(np.uint8)


def make_arrays(path: Path, counts=(24, 12, 12), **more):
    """Write an ``.npz`` in MedMNIST's layout."""
    arrays = {}
    for seed, (part, count) in enumerate(zip(("train", "val", "test"), counts, strict=True)):
        if count:
            pixels, labels = make_pixels(count, seed)
            arrays |= {f"{part}_images": pixels, f"{part}_labels": labels[:, np.newaxis]}
    np.savez(path, **(arrays | more))
    return path


def make_table(folder: Path, rows):
    """Write a PNG a row and the table of them; a row is a mapping without ``image``."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, _ = make_pixels(len(rows))
    for row, image in zip(rows, pixels, strict=True):
        row["image"] = f"{row['case']}.png"
        Image.fromarray(image).save(folder / row["image"])
    with (folder / "images.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)))
        table.writeheader()
        table.writerows(rows)
    return folder / "images.csv"


def make_rows(count=6, **more):
    """Return rows of cases c0, c1 ... with labels in turn; ``more`` are columns of values."""
    return [
        {"case": f"c{n}", "label": ("ill", "well")[n % 2],
         **{key: values[n] for key, values in more.items()}}
        for n in range(count)
    ]  # fmt: skip


def make_folders(folder: Path, count=6):
    """Write a folder of PNG files for each class."""
    pixels, labels = make_pixels(count)
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        home = folder / ("left", "right")[label]
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(home / f"{number}.png")
    return folder
