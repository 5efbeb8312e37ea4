import numpy as np
import pytest

from medseg.errors import InputRefused
from medseg.evaluation.measuring import across_slices, measure, measured
from medseg.geometry import Geometry
from medseg.labels import Label, LabelSet
from medseg.volume import LabelMap
from tests.evaluation.factory import SHAPE, SPACING, cube, save


def test_a_box_is_measured_by_hand(tmp_path):
    scan = np.zeros(SHAPE, np.float32)
    scan[2:6] = 10
    scan[2] = 30
    found = measure(save(tmp_path / "m.nii.gz", cube()), save(tmp_path / "s.nii.gz", scan))
    (one,) = found.labels
    assert one.voxels == 64
    assert one.volume_ml == pytest.approx(64 * 2 / 1000)
    assert one.extents_mm == (4, 4, 8)
    assert one.intensity.mean == pytest.approx(15)  # a quarter is 30, the rest 10
    assert (one.intensity.least, one.intensity.median, one.intensity.most) == (10, 10, 30)
    (lesion,) = one.lesions
    assert lesion.box == ((2, 5), (2, 5), (2, 5))
    assert lesion.centre_mm == pytest.approx((3.5, 3.5, 7))
    assert lesion.slice == 3  # the first of the equal ones, counted from 1


def ellipsoid(semi, turn: float, spacing) -> LabelMap:
    """Return an ellipsoid turned about k by an angle, at the middle of its grid."""
    shape = tuple(int(2 * max(semi) / size) + 9 for size in spacing)
    grid = Geometry(shape, np.diag([*spacing, 1.0]))
    place = np.moveaxis(np.indices(shape), 0, -1) * spacing
    away = place - (np.array(shape) - 1) / 2 * spacing
    c, s = np.cos(turn), np.sin(turn)
    away = away @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    inside = ((away / semi) ** 2).sum(axis=-1) <= 1
    return LabelMap(inside.astype(np.uint8), grid, LabelSet((Label(1, "Tumour"),)))


@pytest.mark.parametrize("turn", [0, 0.4, 1.0, 2.2])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.7, 0.7, 3)])
def test_recist_axes_of_turned_ellipsoids_are_within_a_voxel(turn, spacing):
    (one,) = measured(ellipsoid((20, 11, 15), turn, spacing)).labels
    assert one.longest.long_mm == pytest.approx(40, abs=spacing[0] * np.sqrt(2))
    assert one.longest.short_mm == pytest.approx(22, abs=spacing[0] * np.sqrt(2))
    assert one.volume_ml == pytest.approx(4 / 3 * np.pi * 20 * 11 * 15 / 1000, rel=0.02)


def test_lesions_are_listed_by_size_and_the_longest_one_counts(tmp_path):
    mask = cube(1, 2)
    mask[4:12, 8, 8] = 1  # eight voxels in a row: as many as the cube, and longer
    mask[10, 1, 1] = 1
    (one,) = measure(save(tmp_path / "m.nii.gz", mask)).labels
    assert (one.count, [round(lesion.volume_ml * 500) for lesion in one.lesions]) == (3, [8, 8, 1])
    assert one.longest.long_mm == pytest.approx(8)
    assert one.touches_border


def test_an_empty_label_says_so_and_an_empty_mask_is_refused(tmp_path):
    path = save(tmp_path / "m.nii.gz", cube())
    labels = LabelSet((Label(1, "Liver"), Label(2, "Spleen"), Label(3, "Both", region=(1, 2))))
    found = measure(path, labels=labels)
    assert [one.voxels for one in found.labels] == [64, 0, 64]
    assert [(one.code, one.words) for one in found.findings] == [
        ("label-empty", "Spleen is empty: the mask has no voxel of it")
    ]
    with pytest.raises(InputRefused) as refusal:
        measure(save(tmp_path / "none.nii.gz", cube() * 0))
    assert refusal.value.code == "mask-empty"


def test_a_mask_of_another_grid_is_refused(tmp_path):
    path = save(tmp_path / "m.nii.gz", cube())
    with pytest.raises(InputRefused) as refusal:
        measure(path, save(tmp_path / "s.nii.gz", np.zeros((9, 9, 9), np.float32)))
    assert refusal.value.code == "grids-differ"


@pytest.mark.parametrize(
    ("spacing", "turned", "axis"), [(SPACING, False, 2), ((1, 1, 1), False, 2),
                                    ((3, 1, 1), False, 0), ((1, 1, 1), True, 1)]
)  # fmt: skip
def test_slices_lie_across_the_coarsest_axis_or_else_that_to_the_head(spacing, turned, axis):
    affine = np.diag([*spacing, 1.0])
    if turned:
        affine = affine[:, [0, 2, 1, 3]]
    assert across_slices(Geometry((4, 4, 4), affine)) == axis
