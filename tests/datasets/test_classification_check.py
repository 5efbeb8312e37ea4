"""What a check of labelled images says."""

import numpy as np

from medseg.datasets.classification_check import check_images
from medseg.datasets.images import listed_images
from tests.datasets.images_factory import make_arrays, make_pixels, make_rows, make_table


def remarks(path):
    return {(one.finding.level, one.finding.code): one for one in
            check_images(listed_images(path)).remarks}  # fmt: skip


def test_copies_across_the_split_and_with_two_labels_are_errors(tmp_path):
    train, labels = make_pixels(40)
    val, val_labels = make_pixels(10, seed=1)
    val[0], val_labels[0] = train[3], 1 - labels[3]
    path = tmp_path / "a.npz"
    np.savez(path, train_images=train, train_labels=labels, val_images=val, val_labels=val_labels)
    found = [one for one in check_images(listed_images(path)).remarks
             if one.finding.code == "image-repeated"]  # fmt: skip
    assert {one.finding.level for one in found} == {"error"}
    assert all(one.cases == ("train-00003", "val-00000") for one in found)
    assert len(found) == 2


def test_near_copies_are_found_and_unlike_images_are_not(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 200, (30, 24, 24)).astype(np.uint8)
    pixels[7] = pixels[4] + rng.integers(0, 3, (24, 24)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels, labels=np.arange(30) % 2)
    (near,) = [one for one in check_images(listed_images(tmp_path / "a.npz")).remarks
               if one.finding.code == "image-similar"]  # fmt: skip
    assert near.cases == ("image-00004", "image-00007")


def test_marks_that_go_with_a_class_are_a_shortcut(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 90, (80, 32, 32)).astype(np.uint8)
    labels = np.arange(80) % 2
    for image in pixels[labels == 1]:
        for row, column in rng.integers(3, 29, (4, 2)):
            image[row, column - 1 : column + 2] = 255
    pixels[labels == 0, 0, :30] = 255  # as bright, but one line along the edge
    np.savez(tmp_path / "a.npz", images=pixels, labels=labels)
    report = check_images(listed_images(tmp_path / "a.npz"))
    shortcuts = [one.finding.words for one in report.remarks if one.finding.code == "shortcut"]
    assert any("small bright marks alone tells" in words for words in shortcuts)


def test_noise_without_a_shortcut_is_said_to_have_none(tmp_path):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 90, (120, 16, 16)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels, labels=np.arange(120) % 2)
    found = remarks(tmp_path / "a.npz")
    assert ("warning", "shortcut") not in found
    assert "No shortcut" in found["info", "shortcut-none"].finding.words


def test_a_divided_group_and_an_unreadable_image_are_told_together(tmp_path):
    rows = make_rows(6, group="axaxax", split=["train"] * 3 + ["val"] * 3)
    table = make_table(tmp_path, rows)
    (tmp_path / "c5.png").write_bytes(b"nothing")
    found = remarks(table)
    assert ("error", "group-divided") in found
    assert found["error", "file-damaged"].cases == ("c5",)


def test_uneven_classes_are_warned_about(tmp_path):
    pixels, _ = make_pixels(240)
    labels = np.zeros(240, int)
    labels[:21] = 1  # enough to learn from, but ten times rarer
    np.savez(tmp_path / "a.npz", images=pixels, labels=labels)
    assert ("warning", "class-uneven") in remarks(tmp_path / "a.npz")


def test_a_whole_archive_has_no_error(tmp_path):
    assert not check_images(listed_images(make_arrays(tmp_path / "a.npz"))).count("error")
