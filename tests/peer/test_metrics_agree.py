"""Our scores against surface-distance, MONAI, medpy and SimpleITK on real and made-up masks.

`tests/peer/metrics_of_peers.py` runs in the Python that MEDSEG_PEER_PYTHON names; with -s the
tests print the largest differences, which docs/metrics.md holds.
"""

import json
import os
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from medseg.metrics import (
    assd,
    dice,
    hausdorff,
    hd95,
    iou,
    lesions_of,
    nsd,
    precision,
    sensitivity,
    specificity,
    surface_distances,
    volume_error,
)
from medseg.metrics.elements import element_areas

DATA = Path(__file__).parents[3] / "shared" / "data"
PEER = os.environ.get("MEDSEG_PEER_PYTHON", "")

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not DATA.is_dir(), reason="the shared scans (../shared/data) are not here"),
    pytest.mark.skipif(
        not PEER, reason="MEDSEG_PEER_PYTHON does not name the Python of the peers' environment"
    ),
]

SAME = 1e-9
SINGLE = 1e-6  # MONAI counts in single precision
PLACE = 1e-3  # mm: it also works out in single precision which of the distances is the 95th


def wobbled(mask, seed, amount):
    """A prediction: the mask with a smooth, seeded wobble of its surface, in voxels."""
    rng = np.random.default_rng(seed)
    depth = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    noise = ndimage.gaussian_filter(rng.normal(size=mask.shape), 2)
    return depth + amount * noise / noise.std() > 0.1


def pairs():
    """Real masks with wobbled predictions, then what is hard: satellites, edges, slices, 2-D."""
    found = []
    for folder, count in (("Task04_Hippocampus", 8), ("STS_MR", 6)):
        for n, path in enumerate(sorted((DATA / folder / "labelsTr").glob("*.nii.gz"))[:count]):
            image = nibabel.load(path)
            truth = np.asarray(image.dataobj) == 1
            spacing = tuple(float(s) for s in image.header.get_zooms()[:3])
            found.append((truth, wobbled(truth, n, (0.5, 1.5, 3)[n % 3]), spacing))
    rng = np.random.default_rng(7)
    for shape, spacing in (
        ((14, 12, 10), (1, 1, 1)),
        ((9, 11, 13), (0.3, 2, 7)),
        ((12, 13, 1), (0.8, 0.8, 5)),
        ((20, 25), (0.7, 1.3)),
    ):
        found.append((rng.random(shape) > 0.6, rng.random(shape) > 0.6, spacing))  # every code
    block = np.zeros((80, 25, 20), bool)
    block[5:15, 5:15, 5:15] = True
    both = block.copy()
    both[60:63, 5:8, 5:8] = True
    found.append((both, block, (1, 1, 1)))
    found.append((block, np.roll(both, 7, axis=2), (2, 1, 0.5)))
    return found


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Pairs of masks, our scores and those of the peers."""
    masks = pairs()
    path = tmp_path_factory.mktemp("masks") / "pairs.npz"
    arrays = {}
    for n, pair in enumerate(masks):
        names = ("truth", "predicted", "spacing")
        arrays |= {f"{name}_{n}": np.asarray(one) for name, one in zip(names, pair, strict=True)}
    np.savez_compressed(path, **arrays)
    script = Path(__file__).with_name("metrics_of_peers.py")
    told = subprocess.run([PEER, script, path], check=True, stdout=subprocess.PIPE, text=True)
    theirs = json.loads(told.stdout.splitlines()[-1])
    return [(pair, ours(*pair), row) for pair, row in zip(masks, theirs, strict=True)]


def ours(truth, predicted, spacing):
    far = surface_distances(truth, predicted, spacing)
    return {
        "dice": dice(truth, predicted),
        "iou": iou(truth, predicted),
        "sensitivity": sensitivity(truth, predicted),
        "precision": precision(truth, predicted),
        "specificity": specificity(truth, predicted),
        "volume_error": volume_error(truth, predicted),
        "area_mm2": far.truth_area.sum(),
        "hd_mm": hausdorff(truth, predicted, spacing),
        "hd95_mm": hd95(truth, predicted, spacing),
        "hd95_monai": hd95(truth, predicted, spacing, dialect="monai"),
        "hd95_medpy": hd95(truth, predicted, spacing, dialect="medpy"),
        "assd_mm": assd(truth, predicted, spacing),
        "nsd_1mm": nsd(truth, predicted, spacing),
        "nsd_2mm": nsd(truth, predicted, spacing, tolerance_mm=2),
        "lesions": len(lesions_of(predicted)),
    }


def largest(rows, peer, theirs, mine):
    return max(abs(ours[mine] - row[peer][theirs]) for _, ours, row in rows)


EQUAL = [  # peer, its score, ours, the largest difference allowed
    *(("deepmind", name, name, SAME)
      for name in ("area_mm2", "hd_mm", "hd95_mm", "assd_mm", "nsd_1mm", "nsd_2mm")),
    ("monai", "dice", "dice", SINGLE),
    ("monai", "iou", "iou", SINGLE),
    ("monai", "hd95_mm", "hd95_monai", PLACE),
    ("monai", "nsd_1mm", "nsd_1mm", SINGLE),
    *(("medpy", name, name, SAME)
      for name in ("dice", "iou", "sensitivity", "precision", "specificity", "volume_error")),
    ("medpy", "hd95_mm", "hd95_medpy", SAME),
    ("simpleitk", "dice", "dice", SAME),
    ("simpleitk", "iou", "iou", SAME),
    ("simpleitk", "lesions", "lesions", 0),
]  # fmt: skip


@pytest.mark.parametrize(("peer", "theirs", "mine", "allowed"), EQUAL)
def test_scores_of_one_definition_are_equal(rows, peer, theirs, mine, allowed):
    difference = largest(rows, peer, theirs, mine)
    print(f"{peer} {theirs}: {difference:.1e}")
    assert difference <= allowed


def test_the_area_of_every_code_is_that_of_surface_distance(rows):
    for (_, _, spacing), _, row in rows:
        areas = element_areas(tuple(float(size) for size in spacing))
        np.testing.assert_allclose(areas, row["areas_of_codes"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("peer", ["monai", "medpy"])
@pytest.mark.parametrize("name", ["hd_mm", "hd95_mm", "assd_mm"])
def test_border_voxels_instead_of_surface_elements_make_the_difference(rows, peer, name):
    difference = largest(rows, peer, name, name)
    print(f"{peer} {name}: {difference:.2f}")
    assert difference > 0.1  # docs/metrics.md says why
