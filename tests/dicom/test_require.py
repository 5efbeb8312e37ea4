import logging
import warnings

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from medseg.dicom import require


def raw(keyword: str, vr: str, value: bytes) -> Dataset:
    ds = Dataset()
    ds[keyword] = RawDataElement(Tag(keyword), vr, len(value), value, 0, False, True)
    return ds


def test_plain_values_are_taken_from_their_bytes():
    assert require.number(raw("SliceThickness", "DS", b" 2.5 "), "SliceThickness") == 2.5
    assert require.numbers(raw("PixelSpacing", "DS", b"1.5\\2 "), "PixelSpacing", 2) == (1.5, 2)
    assert require.whole(raw("Rows", "US", b"\x00\x02"), "Rows") == 512
    assert require.texts(raw("ImageType", "CS", b"A\\B "), "ImageType") == ("A", "B")
    assert require.text(raw("StudyInstanceUID", "UI", b"1.2\0"), "StudyInstanceUID") == "1.2"


@pytest.mark.parametrize("value", [b"", b"1,5", b"1\\2\\3", b"nan", b"1\\inf", b"\xff"])
def test_values_that_are_not_sound_are_absent(value):
    assert require.numbers(raw("PixelSpacing", "DS", value), "PixelSpacing", 2) is None


def test_what_is_absent_is_empty_or_none():
    ds = Dataset()
    assert require.text(ds, "Modality") == ""
    assert require.texts(ds, "ImageType") == ()
    assert require.number(ds, "EchoTime") is None
    assert require.whole(ds, "Rows") is None
    assert require.whole(raw("InstanceNumber", "IS", b"1.5"), "InstanceNumber") is None


def test_silence_ends_with_the_block(recwarn, caplog):
    logger = logging.getLogger("pydicom.pixels")
    with require.quiet():
        warnings.warn("private value", stacklevel=1)
        logger.warning("private value")
    assert not recwarn.list
    assert not caplog.records
    logger.warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]


def test_a_text_outside_ascii_is_read_in_the_character_set_of_its_file():
    ds = raw("SeriesDescription", "LO", b"Sch\xe4del ")
    ds.SpecificCharacterSet = "ISO_IR 100"
    assert require.text(ds, "SeriesDescription") == "Schädel"
    assert require.text(raw("SeriesDescription", "LO", b" Head "), "SeriesDescription") == "Head"
