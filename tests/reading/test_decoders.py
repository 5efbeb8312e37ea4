import pytest

from medseg.reading.decoders import NAMES, decoders

EXTENDED = "1.2.840.10008.1.2.4.51"


def by_syntax():
    return {one.syntax: one for one in decoders()}


def test_plain_pixels_and_run_lengths_need_no_plugin_but_pydicom():
    found = by_syntax()
    assert list(found) == list(NAMES)
    for name in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99",
                 "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"):  # fmt: skip
        assert "pydicom" in found[name].plugins
        assert found[name].packages == ""


def test_the_syntaxes_are_those_of_the_standard():
    from pydicom.uid import UID

    for syntax, name in NAMES.items():
        assert UID(syntax).is_transfer_syntax
        first = name.split()[0].removeprefix("HT").replace("J2K", "High-Throughput")
        assert first in UID(syntax).name


@pytest.fixture
def having(monkeypatch):
    """Let pydicom have these plugins and no others."""
    from pydicom.pixels.decoders import base

    def have(*plugins):
        monkeypatch.setattr(base.Decoder, "available_plugins", plugins)
        monkeypatch.setattr(base.Decoder, "is_available", bool(plugins))

    return have


def test_a_syntax_that_nothing_decodes_names_the_packages_to_add(having):
    having()
    found = by_syntax()
    assert found["1.2.840.10008.1.2.4.70"].plugins == ()
    assert found["1.2.840.10008.1.2.4.70"].packages == "python-gdcm"
    # the plugin alone is not enough: pydicom reaches it by way of pylibjpeg
    assert found["1.2.840.10008.1.2.4.202"].packages == "pylibjpeg pylibjpeg-openjpeg"


def test_twelve_bits_of_jpeg_extended_are_not_promised(having):
    having("gdcm", "pillow")
    assert by_syntax()[EXTENDED].limit == "8 bits only"
    having("gdcm", "pylibjpeg")
    assert by_syntax()[EXTENDED].limit == ""
