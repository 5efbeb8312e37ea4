"""A DICOMDIR stands for the files that it names, and for no others."""

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from medseg.errors import InputRefused
from medseg.reading import read, scan
from tests.reading.factory import series

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR CS")  # of pydicom, on purpose

LOST = "odd name in the DICOMDIR"
MISSING = "missing, though the DICOMDIR names it"


def dicomdir(path, *references, in_use=0xFFFF):
    """Write a DICOMDIR with a record for each file, its name in components."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    ds.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    ds.FileSetID = "SECRET"
    records = [Dataset() for _ in references]
    for record, parts in zip(records, references, strict=True):
        record.RecordInUseFlag, record.DirectoryRecordType = in_use, "IMAGE"
        record.ReferencedFileID = list(parts) if len(parts) > 1 else parts[0]
    patient = Dataset()
    patient.RecordInUseFlag, patient.DirectoryRecordType = 0xFFFF, "PATIENT"
    ds.DirectoryRecordSequence = Sequence([patient, *records])
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def medium(tmp_path):
    """A series in upper-case files of a folder, and another that no record names."""
    series(tmp_path / "IMAGES" / "A")
    for n, file in enumerate(sorted((tmp_path / "IMAGES" / "A").iterdir())):
        file.rename(file.with_name(f"IM{n}"))
    series(tmp_path / "IMAGES" / "B", series="2")
    return tmp_path


def named(of=6):
    """Return the references to the files of the first series."""
    return [("IMAGES", "A", f"IM{n}") for n in range(of)]


def test_only_what_it_names_is_read(medium):
    found = scan(dicomdir(medium / "DICOMDIR", *named()))
    assert [(one.number, one.images, one.findings) for one in found] == [(1, 6, ())]
    assert found.skipped == {}
    assert found.root == medium
    assert read(medium / "DICOMDIR").array.shape == (4, 5, 6)


def test_its_name_does_not_matter(medium):
    assert len(scan(dicomdir(medium / "index.dcm", *named()))) == 1


def test_a_folder_with_one_is_walked(medium):
    dicomdir(medium / "DICOMDIR", *named())
    found = scan(medium)
    assert len(found) == 2
    assert found.skipped == {"DICOMDIR": 1}


@pytest.mark.parametrize("rename", [str.lower, lambda name: f"{name};1", lambda name: f"{name}."])
def test_names_may_be_as_a_mount_shows_them(medium, rename):
    for file in (medium / "IMAGES" / "A").iterdir():
        file.rename(file.with_name(rename(file.name)))
    (medium / "IMAGES").rename(medium / "images")
    assert scan(dicomdir(medium / "DICOMDIR", *named()))[0].images == 6


def test_missing_files_are_counted_and_the_scan_warned(medium):
    found = scan(dicomdir(medium / "DICOMDIR", *named(of=8)))
    assert found.skipped == {MISSING: 2}
    assert [finding.code for finding in found[0].findings] == ["dicomdir-incomplete"]
    assert found[0].findings[0].words.startswith("2 file(s)")


@pytest.mark.parametrize(
    "parts",
    [("..", "x"), ("IMAGES", "..", "..", "x"), ("", "etc", "passwd"), ("IMAGES/A/IM0",),
     ("C:", "x"), (".", "x")],
)  # fmt: skip
def test_a_name_that_may_lead_elsewhere_is_counted_and_not_followed(medium, parts):
    series(medium.parent / "x")
    found = scan(dicomdir(medium / "DICOMDIR", *named(), parts))
    assert found.skipped == {LOST: 1}
    assert [one.number for one in found] == [1]


def test_a_name_that_comes_twice_counts_once(medium):
    assert scan(dicomdir(medium / "DICOMDIR", *named(), *named()))[0].images == 6


def test_records_out_of_use_count_for_nothing(medium):
    found = scan(dicomdir(medium / "DICOMDIR", *named(), in_use=0))
    assert found == []
    assert found.skipped == {}


def test_an_empty_one_has_no_images(medium):
    with pytest.raises(InputRefused) as refusal:
        read(dicomdir(medium / "DICOMDIR"))
    assert refusal.value.code == "no-images"


@pytest.mark.parametrize("cut", range(220, 658, 40))
def test_one_that_breaks_off_is_refused(medium, cut):
    path = dicomdir(medium / "DICOMDIR", *named())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputRefused) as refusal:
        scan(path)
    assert refusal.value.code == "file-truncated"


def test_one_of_nonsense_is_refused(medium):
    path = dicomdir(medium / "DICOMDIR", *named())
    path.write_bytes(path.read_bytes().replace(b"\x20\x12SQ", b"\x20\x12S?"))
    with pytest.raises(InputRefused) as refusal:
        scan(path)
    assert refusal.value.code == "file-damaged"
