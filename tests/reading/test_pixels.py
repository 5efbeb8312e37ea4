import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
)

from medseg.errors import InputRefused
from medseg.reading import read, scan
from tests.reading.factory import series, stored, with_pixels


def test_each_slice_has_its_own_slope(tmp_path):
    def change(ds, k):
        ds.SOPClassUID, ds.Modality = PositronEmissionTomographyImageStorage, "PT"
        ds.RescaleSlope, ds.RescaleIntercept = 0.5 * (k + 1), 0

    volume = read(series(tmp_path, change))
    for k in range(6):
        np.testing.assert_allclose(volume.array[:, :, k].T, stored(k) * 0.5 * (k + 1))


def signed_with_padding(ds, k):
    values = stored(k).astype(np.int16)
    values[0, 0] = -2000
    with_pixels(ds, values)
    ds.add_new("PixelPaddingValue", "US", 63536)  # -2000 written with the wrong sign


def test_padding_of_a_ct_becomes_air_before_rescale(tmp_path):
    volume = read(series(tmp_path, signed_with_padding))
    assert volume.array[0, 0, 3] == -1024
    assert volume.array[1, 0, 3] == 301 - 1024
    assert volume.findings[0].words.startswith("6 voxels (5.0 %) are padding")


def test_padding_elsewhere_becomes_the_least_true_value(tmp_path):
    def change(ds, k):
        signed_with_padding(ds, k)
        ds.Modality, ds.PixelPaddingRangeLimit = "PT", 1  # 63536 .. 1 is -2000 .. 1

    volume = read(series(tmp_path, change))
    assert volume.array[0, 0, 0] == volume.array[1, 0, 0] == 2 - 1024


def test_a_series_of_padding_only_is_refused(tmp_path):
    def change(ds, k):
        with_pixels(ds, np.zeros((5, 4), np.uint16))
        ds.add_new("PixelPaddingValue", "US", 0)

    with pytest.raises(InputRefused, match="Every pixel") as refusal:
        read(series(tmp_path, change))
    assert refusal.value.code == "padding-only"


def test_bits_outside_the_stored_ones_are_ignored_and_the_sign_kept(tmp_path):
    def change(ds, k):
        with_pixels(ds, np.full((5, 4), 0x7FFE, np.int16))  # 12 bits hold -2, an overlay 0x7
        ds.BitsStored, ds.HighBit = 12, 11

    assert read(series(tmp_path, change)).array[0, 0, 0] == -2 - 1024


def test_bits_may_be_stored_high(tmp_path):
    def change(ds, k):
        with_pixels(ds, np.full((5, 4), 700 << 4, np.uint16))
        ds.BitsStored, ds.HighBit = 12, 15

    assert read(series(tmp_path, change)).array[0, 0, 0] == 700 - 1024


@pytest.mark.parametrize("slope", [0, None])
def test_a_slope_of_zero_or_none_is_one_and_said(tmp_path, slope):
    def change(ds, k):
        ds.RescaleSlope = slope

    volume = read(series(tmp_path, change))
    assert volume.array[1, 0, 0] == 1 - 1024
    assert (volume.findings[0].code, volume.findings[0].level) == ("rescale-missing", "warning")
    assert "may not be HU" in volume.findings[0].words


def test_a_modality_lut_takes_the_place_of_the_slope(tmp_path):
    def change(ds, k):
        table = Dataset()
        table.add_new("LUTDescriptor", "US", [600, 0, 16])
        table.add_new("LUTData", "US", [2 * n for n in range(600)])
        ds.ModalityLUTSequence = Sequence([table])
        del ds.RescaleSlope, ds.RescaleIntercept

    volume = read(series(tmp_path, change))
    np.testing.assert_array_equal(volume.array[:, :, 4].T, 2 * stored(4))
    assert volume.findings[0].code == "modality-lut"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_byte_orders_and_implicit_types_read_alike(tmp_path, syntax):
    def change(ds, k):
        ds.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = stored(k).byteswap().tobytes()

    volume = read(series(tmp_path, change))
    assert volume.array[3, 2, 5] == 523 - 1024


def test_a_file_cut_off_is_seen_before_pixels_are_read(tmp_path):
    path = sorted(series(tmp_path).iterdir())[2]
    path.write_bytes(path.read_bytes()[:-10])
    found = scan(tmp_path)
    refusal = found[0].refusal()
    assert refusal.code == "file-truncated"
    assert "truncated file: 30 of 40 bytes of pixel data are there (1 of 6 files)" in refusal.found


def compressed(ds, k):
    from pydicom.uid import RLELossless

    ds.compress(RLELossless)


def test_compressed_images_read_the_same(tmp_path):
    assert read(series(tmp_path, compressed)).array[3, 2, 5] == 523 - 1024


def test_a_compressed_file_cut_off_is_seen_too(tmp_path):
    path = min(series(tmp_path, compressed).iterdir())
    path.write_bytes(path.read_bytes()[:-40])
    assert "compressed pixel data break off" in scan(tmp_path)[0].refusal().found


def test_broken_compressed_data_are_refused_in_our_words(tmp_path):
    def change(ds, k):
        compressed(ds, k)
        ds.PixelData = encapsulate([bytes(70)])

    with pytest.raises(InputRefused, match="cannot be decoded") as refusal:
        read(series(tmp_path, change))
    assert refusal.value.code == "pixels-undecodable"
    assert refusal.value.__cause__ is None


def test_a_missing_decoder_is_named_with_its_package(tmp_path, monkeypatch):
    from pydicom.pixels.decoders import base

    monkeypatch.setattr(base.Decoder, "is_available", property(lambda self: False))
    refusal = scan(series(tmp_path, compressed))[0].refusal()
    assert refusal.code == "decoder-missing"
    assert "RLE Lossless (1.2.840.10008.1.2.5)" in refusal.found
    assert refusal.do == "pip install python-gdcm"


def test_a_transfer_syntax_nobody_decodes_is_refused(tmp_path):
    path = series(tmp_path)
    for file in path.iterdir():
        content = file.read_bytes()
        file.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))
    assert scan(tmp_path)[0].refusal().code == "transfer-syntax-unknown"


@pytest.mark.parametrize("keyword", ["PixelData", "Rows"])
def test_an_image_without_pixels_is_refused(tmp_path, keyword):
    path = series(tmp_path, lambda ds, k: delattr(ds, keyword))
    assert scan(path)[0].refusal().code == "pixel-data-missing"


def test_a_file_that_changes_after_the_scan_is_noticed(tmp_path):
    found = scan(series(tmp_path))[0]
    keep = found.files[0].read_bytes()
    found.files[0].write_bytes(b"")
    with pytest.raises(InputRefused) as refusal:
        found.read()
    assert refusal.value.code == "file-changed"
    found.files[0].unlink()
    with pytest.raises(InputRefused, match="cannot be read any more") as refusal:
        found.read()
    assert refusal.value.code == "file-unreadable"
    found.files[0].write_bytes(keep)
    with pytest.raises(InputRefused, match="changed"):
        found.read()
    assert scan(tmp_path)[0].read().array.shape == (4, 5, 6)
