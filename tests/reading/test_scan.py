import os
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import MediaStorageDirectoryStorage

from medseg.errors import InputRefused
from medseg.reading import read, scan
from tests.reading.factory import image, series, uid, write


def test_a_tree_is_walked_and_its_order_is_stable(tmp_path):
    series(tmp_path / "z", series="1")
    series(tmp_path / "a" / "deep", series="2")
    found = scan(tmp_path)
    assert [one.number for one in found] == [1, 2]
    assert [one.case for one in found] == [one.case for one in scan(tmp_path)]
    assert all(one.usable and one.images == 6 and one.geometry.shape == (4, 5, 6) for one in found)


def test_a_case_is_the_hash_of_its_study_and_its_number(tmp_path):
    import hashlib

    case = scan(series(tmp_path))[0].case
    assert case == hashlib.sha256(uid("1").encode()).hexdigest()[:8] + "-001"


def test_names_that_would_clash_get_the_hash_of_their_series(tmp_path):
    series(tmp_path / "a")
    series(
        tmp_path / "b",
        lambda ds, k: ds.update({"SeriesInstanceUID": uid("b"), "SOPInstanceUID": uid("b", k)}),
    )
    cases = [one.case for one in scan(tmp_path)]
    assert len(set(cases)) == 2
    assert all(len(case.split("-")[2]) == 4 for case in cases)


def test_a_series_without_a_number_is_named_by_its_uid(tmp_path):
    path = series(tmp_path, lambda ds, k: setattr(ds, "SeriesNumber", None))
    study, suffix = scan(path)[0].case.split("-")
    assert (len(study), len(suffix)) == (8, 4)


def test_files_that_are_no_images_are_counted_by_reason(tmp_path):
    series(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "done.txt").touch()
    (tmp_path / ".DS_Store").write_bytes(b"x")
    directory = image()
    directory.SOPClassUID = MediaStorageDirectoryStorage
    write(tmp_path, directory)
    (tmp_path / "link").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    found = scan(tmp_path)
    assert len(found) == 1
    assert found.skipped == {"no image": 1, "empty file": 1, "hidden file": 1, "DICOMDIR": 1,
                             "linked folder": 1, "no regular file": 1}  # fmt: skip


def test_a_folder_without_images_is_refused_with_the_counts(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputRefused, match="1 no image") as refusal:
        read(tmp_path)
    assert refusal.value.code == "no-images"


def test_nothing_at_the_path_is_refused(tmp_path):
    with pytest.raises(InputRefused) as refusal:
        scan(tmp_path / "absent")
    assert refusal.value.code == "path-missing"


def test_old_files_without_preamble_are_read(tmp_path):
    for file in series(tmp_path).iterdir():
        content = file.read_bytes()
        dataset = dcmread(file)
        length = dataset.file_meta.FileMetaInformationGroupLength
        file.write_bytes(content[132 + 12 + length :])
    assert read(tmp_path).array[3, 2, 5] == 523 - 1024


def test_damaged_files_are_listed_and_their_neighbours_warned(tmp_path):
    series(tmp_path)
    (tmp_path / "empty.dcm").touch()
    whole = min(file for file in tmp_path.iterdir() if file.stat().st_size)
    (tmp_path / "half.dcm").write_bytes(whole.read_bytes()[:200])
    found = scan(tmp_path)
    usable = [one for one in found if one.usable]
    assert [one.findings[0].words for one in usable] == [
        "2 damaged file(s) lie beside these images and may belong to them"
    ]
    refused = {one.findings[0].code: one for one in found if not one.usable}
    assert set(refused) == {"file-empty", "file-damaged"}
    assert refused["file-empty"].files == (tmp_path / "empty.dcm",)
    assert read(tmp_path).array.shape == (4, 5, 6)


@pytest.mark.parametrize("cut", range(0, 1000, 37))
def test_a_header_cut_anywhere_never_stops_the_scan(tmp_path, cut):
    write(tmp_path, image())
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:cut])
    found = scan(tmp_path)
    assert not any(one.usable for one in found)
    assert found or found.skipped


def test_a_file_that_may_not_be_read_is_a_finding(tmp_path, monkeypatch):
    series(tmp_path)
    locked = min(tmp_path.iterdir())
    plain = Path.open

    def guarded(self, *args, **kwargs):
        if self == locked:
            raise PermissionError(13, "Permission denied", str(self))
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", guarded)
    refused = [one for one in scan(tmp_path) if not one.scan]
    assert refused[0].findings[0].code == "file-unreadable"
    assert "permission denied" in refused[0].findings[0].words
    assert str(tmp_path) not in refused[0].findings[0].words


def test_progress_counts_files(tmp_path):
    seen = []
    scan(series(tmp_path), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 6) for n in range(1, 7)]


def test_values_that_cannot_be_parsed_count_as_absent(tmp_path):
    path = series(tmp_path)
    for file in path.iterdir():
        file.write_bytes(file.read_bytes().replace(b"2.0\\1.0 ", b"2,0\\1,0 "))
    refusal = scan(tmp_path)[0].refusal()
    assert refusal.code == "geometry-missing"
    assert "2,0" not in str(refusal)


def test_pydicom_warnings_are_kept_back(tmp_path, recwarn, capfd):
    series(tmp_path, lambda ds, k: setattr(ds, "SpecificCharacterSet", "ISO_IR 100"))
    for file in tmp_path.iterdir():  # pydicom warns of an unknown character set and quotes it
        file.write_bytes(file.read_bytes().replace(b"ISO_IR 100", b"SECRET 100"))
    assert scan(tmp_path)[0].read().array.shape == (4, 5, 6)
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("private", "said"), [(b"1000", "1000.0"), (b"1000000500\\0", "500.0")])
def test_private_b_values_tell_volumes_apart(tmp_path, private, said):
    def change(ds, k):
        ds.ImagePositionPatient = [0, 0, 3.0 * (k // 2)]
        block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0C, "UN", private if k % 2 else b"50")

    words = [one.findings[0].words for one in scan(series(tmp_path, change))]
    assert words == ["This volume: b-value 50.0", f"This volume: b-value {said}"]


def test_the_same_private_tag_of_another_vendor_means_nothing(tmp_path):
    def change(ds, k):
        ds.private_block(0x0019, "SOMEBODY ELSE", create=True).add_new(0x0C, "IS", str(k))

    assert scan(series(tmp_path, change))[0].usable
