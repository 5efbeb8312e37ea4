"""Labelled images in the layouts people have, and every way to get them wrong."""

import numpy as np
import pytest
from PIL import Image

from medseg.datasets.images import is_labelled_images, open_images
from medseg.errors import InputRefused
from tests.datasets.images_factory import make_arrays, make_folders, make_rows, make_table
from tests.datasets.test_dataset import make_msd


def test_an_archive_of_arrays_keeps_its_split_and_the_names_of_its_numbers(tmp_path):
    dataset = open_images(make_arrays(tmp_path / "a.npz", class_names=np.array(["left", "right"])))
    assert dataset.classes == ("left", "right")
    assert [len(dataset.part(part)) for part in ("train", "val", "test")] == [24, 12, 12]
    assert dataset.counts(dataset.part("val")) == {"left": 6, "right": 6}
    assert dataset.is_split


def test_rows_and_columns_of_pixels_become_columns_and_rows_of_an_image(tmp_path):
    pixels = np.zeros((4, 5, 7), np.uint8)
    pixels[0, 1, 6] = 9  # row 1, column 6
    path = tmp_path / "a.npz"
    np.savez(path, images=pixels, labels=np.array([0, 1, 0, 1]))
    volume = open_images(path).cases[0].read()
    assert volume.array.shape == (7, 5, 1)
    assert volume.array[6, 1, 0] == 9
    assert volume.geometry.orientation == "LPS"


def test_a_table_gives_classes_in_order_and_groups(tmp_path):
    dataset = open_images(make_table(tmp_path, make_rows(group="xxyyzz")))
    assert dataset.classes == ("ill", "well")
    assert [case.group for case in dataset.cases] == list("xxyyzz")
    assert dataset.cases[0].read().array.shape == (16, 16, 1)


def test_a_folder_for_each_class_is_a_data_set(tmp_path):
    dataset = open_images(make_folders(tmp_path))
    assert dataset.classes == ("left", "right")
    assert dataset.counts() == {"left": 3, "right": 3}
    assert dataset.cases[0].read().array[:8].mean() > dataset.cases[0].read().array[8:].mean()


def test_class_numbers_are_ordered_as_numbers(tmp_path):
    rows = [{"case": f"c{n}", "label": str(n % 11)} for n in range(22)]
    assert open_images(make_table(tmp_path, rows)).classes == tuple(map(str, range(11)))


def test_data_sets_of_images_are_told_from_those_of_masks(tmp_path):
    assert is_labelled_images(make_arrays(tmp_path / "a.npz"))
    assert is_labelled_images(make_folders(tmp_path / "folders"))
    assert is_labelled_images(make_table(tmp_path / "table", make_rows()))
    assert not is_labelled_images(make_msd(tmp_path / "msd"))
    masks = tmp_path / "masks.csv"
    masks.write_text("case,image,label\na,a.npz,a.npz\n")
    assert not is_labelled_images(masks)


def read_all(path, **options):
    return [case.read() for case in open_images(path, **options).cases]


def refused(path, **options):
    with pytest.raises(InputRefused) as refusal:
        read_all(path, **options)
    assert "\n" not in str(refusal.value)
    return refusal.value


def test_a_missing_image_is_named_with_its_case(tmp_path):
    table = make_table(tmp_path, make_rows())
    (tmp_path / "c3.png").unlink()
    assert "Case c3" in refused(table).found


def test_a_label_that_is_not_in_the_list_is_named_with_its_case(tmp_path):
    refusal = refused(make_table(tmp_path, make_rows()), classes=("ill", "healthy"))
    assert refusal.code == "label-unknown"
    assert "Case c1: the label 'well' is none of ill, healthy" in refusal.found
    numbers = refused(make_arrays(tmp_path / "a.npz"), classes=("only",))
    assert numbers.code == "label-unknown"


def test_a_class_with_one_case_is_refused(tmp_path):
    rows = [*make_rows(4), {"case": "c9", "label": "rare"}]
    refusal = refused(make_table(tmp_path, rows))
    assert (refusal.code, refusal.found) == ("class-small", "Class rare has 1 case")


def test_a_group_in_two_parts_of_the_split_is_refused_without_naming_it(tmp_path):
    rows = make_rows(6, group=["Jane Doe", "b", "Jane Doe", "d", "e", "f"],
                     split=["train", "train", "val", "val", "train", "train"])  # fmt: skip
    refusal = refused(make_table(tmp_path, rows))
    assert refusal.code == "group-divided"
    assert "c0 (train) and c2 (val)" in refusal.found
    assert "Jane" not in str(refusal)


def test_a_case_that_comes_twice_is_refused(tmp_path):
    rows = make_rows(6)
    table = make_table(tmp_path, rows)
    table.write_text(table.read_text() + "c0,ill,c0.png\n")
    assert refused(table).code == "case-repeated"


def test_pixels_that_are_not_finite_are_refused_with_their_case(tmp_path):
    pixels = np.zeros((4, 5, 5), np.float32)
    pixels[2, 1, 1] = np.nan
    np.savez(tmp_path / "a.npz", images=pixels, labels=np.array([0, 1, 0, 1]))
    refusal = refused(tmp_path / "a.npz")
    assert refusal.code == "not-finite"
    assert "Case image-00002: 1 of 25 pixels are NaN" in refusal.found


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"train_images": np.zeros((4, 5, 5))}, "4 images have no labels"),
        ({"train_images": np.zeros((4, 5, 5)), "train_labels": np.zeros(3, int)}, r"shape \(3,\)"),
        ({"train_images": np.zeros((4, 5, 5)), "train_labels": np.zeros(4)}, "float64 numbers"),
        ({"train_images": np.zeros((4, 5))}, r"train_images has shape \(4, 5\)"),
        ({"train_images": np.zeros((4, 5, 5)), "train_names": np.array(["a"])}, "1 names"),
        ({"labels": np.zeros(3, int)}, "holds no images"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputRefused, match=words):
        open_images(tmp_path / "a.npz")


def test_an_archive_with_objects_is_refused_unread(tmp_path):
    np.savez(tmp_path / "a.npz", train_images=np.array([{}], dtype=object))
    assert refused(tmp_path / "a.npz").code == "file-damaged"
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04")
    assert refused(tmp_path / "b.npz").code == "file-damaged"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("case,label\na,ill\n", "no column image"),
        ("case,image,label\na,,ill\n", "Line 2 of the table has no image"),
        ("case,image,label,split\nc0,c0.png,ill,holdout\n", "split is 'holdout'"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path, text, words):
    table = make_table(tmp_path, make_rows())
    table.write_text(text)
    assert words in refused(table).found


def test_a_damaged_picture_is_refused_with_its_case(tmp_path):
    table = make_table(tmp_path, make_rows())
    whole = (tmp_path / "c2.png").read_bytes()
    (tmp_path / "c2.png").write_bytes(whole[: len(whole) // 2])
    refusal = refused(table)
    assert refusal.code == "file-damaged"
    assert refusal.found.startswith("Case c2: ")


def test_a_grey_picture_saved_in_colour_is_grey_and_a_coloured_one_is_not(tmp_path):
    from medseg.reading.picture import read_picture

    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "grey.png")
    Image.fromarray(np.stack([grey, grey, 0 * grey], axis=-1)).save(tmp_path / "red.png")
    Image.fromarray(grey.astype(np.uint16) * 1000).save(tmp_path / "deep.png")
    assert read_picture(tmp_path / "grey.png").array[:, :, 0].T.tolist() == grey.tolist()
    assert read_picture(tmp_path / "red.png").array.shape == (4, 3, 1, 3)
    assert read_picture(tmp_path / "deep.png").array.max() == 11000
