"""Which transfer syntaxes this installation decodes, and what pip adds for the others."""

from __future__ import annotations

from dataclasses import dataclass

NAMES = {
    "1.2.840.10008.1.2": "Implicit VR little endian",
    "1.2.840.10008.1.2.1": "Explicit VR little endian",
    "1.2.840.10008.1.2.1.99": "Deflated little endian",
    "1.2.840.10008.1.2.2": "Explicit VR big endian",
    "1.2.840.10008.1.2.5": "RLE lossless",
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.51": "JPEG extended",
    "1.2.840.10008.1.2.4.57": "JPEG lossless",
    "1.2.840.10008.1.2.4.70": "JPEG lossless, first order",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K lossless",
    "1.2.840.10008.1.2.4.202": "HTJ2K lossless RPCL",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
}
"""Transfer syntaxes a scanner or an archive may use, PS3.6 table A-1, by short names."""

EXTENDED = "1.2.840.10008.1.2.4.51"
EIGHT_BITS = {"gdcm", "pillow"}  # pydicom lets these decode JPEG extended of 8 bits, never of 12


@dataclass(frozen=True, slots=True)
class Decoder:
    """How the pixels of one transfer syntax are decoded here.

    Attributes
    ----------
    syntax, name : str
        Its UID, and what people call it.
    plugins : tuple of str
        The plugins of pydicom that decode it; empty where none is installed.
    packages : str
        What ``pip install`` adds where none is.
    limit : str
        What they cannot decode although the syntax allows it.
    """

    syntax: str
    name: str
    plugins: tuple[str, ...]
    packages: str = ""
    limit: str = ""


def decoders() -> tuple[Decoder, ...]:
    """Return how each of the syntaxes in ``NAMES`` is decoded."""
    return tuple(_decoder(syntax, name) for syntax, name in NAMES.items())


def packages_for(syntax: str) -> str:
    """Return the packages that make pydicom decode a transfer syntax, for ``pip install``.

    Examples
    --------
    >>> packages_for("1.2.840.10008.1.2.4.201")
    'pylibjpeg pylibjpeg-openjpeg'
    """
    if syntax.startswith("1.2.840.10008.1.2.4.20"):  # HTJ2K; openjpeg is a plugin of pylibjpeg
        return "pylibjpeg pylibjpeg-openjpeg"
    return "python-gdcm"


def _decoder(syntax: str, name: str) -> Decoder:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    known = get_decoder(UID(syntax))
    if not known.is_available:
        return Decoder(syntax, name, (), packages_for(syntax))
    plugins = known.available_plugins or ("pydicom",)  # it needs none for plain pixels
    limit = "8 bits only" if syntax == EXTENDED and EIGHT_BITS.issuperset(plugins) else ""
    return Decoder(syntax, name, plugins, limit=limit)
