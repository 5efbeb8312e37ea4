from dataclasses import replace

import numpy as np
import pytest

from medseg.doctor import self_test as module
from medseg.doctor.self_test import self_test
from medseg.geometry import Geometry
from medseg.phantoms import orientations


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Take a few of the grids: the command takes all."""
    axes = orientations.axis_orientations()
    oblique = orientations.oblique_grids(module.SEED)
    monkeypatch.setattr(module, "axis_orientations", lambda: [axes[n] for n in (0, 13, 43)])
    monkeypatch.setattr(module, "oblique_grids", lambda seed: oblique[:2])


def rows_of(tested):
    return {(row.form, row.grids, row.exact): row for row in tested.rows}


def test_nothing_flips_drifts_or_vanishes():
    heard = []
    tested = self_test(lambda done, total: heard.append((done, total)))
    assert tested.passed, tested
    assert heard[-1] == (15, 15)
    assert [row.cases for row in tested.rows] == [3, 3, 2, 2, 3, 2]
    for row in tested.rows:
        assert row.failures == []
        if row.exact:
            assert row.differing == 0
            assert row.drift_mm < 1e-4
        else:
            # borders move by less than a voxel where another spacing cuts them differently
            assert 0 < row.differing < 100
            assert 0 < row.drift_voxels < 0.1


def swapped(monkeypatch, change):
    """Let reading be wrong in some way; return the rows."""
    read = module.read
    monkeypatch.setattr(module, "read", lambda path: change(read(path)))
    return rows_of(self_test())


def test_a_flip_that_the_header_does_not_tell_is_seen(monkeypatch):
    rows = swapped(monkeypatch, lambda volume: replace(volume, array=volume.array[::-1]))
    for row in rows.values():
        assert not row.passed
        assert row.differing > 100
        assert row.drift_mm > 10


def test_a_drift_of_half_a_voxel_is_seen_even_after_resampling(monkeypatch):
    def shifted(volume):
        affine = volume.geometry.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ (0.0, 0.0, 0.5)
        return replace(volume, geometry=Geometry(volume.geometry.shape, affine))

    rows = swapped(monkeypatch, shifted)
    for row in rows.values():
        assert not row.passed
    assert rows["NIfTI", "axis orders", False].drift_voxels == pytest.approx(0.5, abs=0.1)


def test_a_sign_that_writer_and_reader_both_have_wrong_is_seen(monkeypatch):
    monkeypatch.setattr("medseg.dicom.space._FLIP", np.array([1, -1, 1]))
    row = rows_of(self_test())["DICOM, SEG", "axis orders", True]
    assert len(row.failures) == row.cases
    assert "off its place" in row.failures[0]


def test_a_voxel_that_changes_its_label_is_seen(monkeypatch):
    def one_more(volume):
        array = volume.array.copy()
        array[0, 0, 0] = 1
        return replace(volume, array=array)

    rows = swapped(monkeypatch, one_more)
    assert rows["NIfTI", "axis orders", True].differing == 1
    assert not rows["NIfTI", "axis orders", True].passed


def test_changed_intensities_are_seen(monkeypatch):
    rows = swapped(monkeypatch, lambda volume: replace(volume, array=volume.array - 1))
    row = rows["DICOM, SEG", "axis orders", True]
    assert len(row.failures) == row.cases == 3
    assert "read with other intensities" in row.failures[0]
    assert row.failures[0].startswith("case 1 (")


def test_a_structure_that_vanishes_is_seen(monkeypatch):
    def without_disc(volume):
        return replace(volume, array=np.where(volume.array == 4, 0, volume.array))

    rows = swapped(monkeypatch, without_disc)
    assert "3 of 4 structures came back" in rows["NIfTI", "axis orders", True].failures[0]


def test_a_library_that_breaks_fails_the_case_and_not_the_rest(monkeypatch):
    write = module.write

    def fails_once(result, folder, formats):
        if "seg" in formats:
            raise ValueError
        return write(result, folder, formats)

    monkeypatch.setattr(module, "write", fails_once)
    rows = rows_of(self_test())
    assert rows["DICOM, SEG", "axis orders", True].failures[2].endswith("ValueError")
    assert rows["NIfTI", "axis orders", True].passed
