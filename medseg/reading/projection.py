"""Projections and frames without a place in DICOM: radiographs, mammograms, ultrasound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from medseg.dicom.private import case_name
from medseg.dicom.require import quiet
from medseg.errors import InputRefused
from medseg.reading.headers import Header, Slice, read_header
from medseg.reading.picture import volume_of_pixels
from medseg.volume import Volume

MODALITIES = ("CR", "DX", "IO", "MG", "PX", "RF", "RG", "US", "XA")  # PS3.3 C.7.3.1.1.1


def is_projection(path: Path) -> bool:
    """Return whether a file is one grey DICOM image of a modality that makes no volumes."""
    return _header_of(path) is not None


def read_projection(path: Path) -> Volume:
    """Read one DICOM image that lies nowhere, as :func:`medseg.reading.picture.volume_of_pixels`.

    MONOCHROME1 is inverted within the range of its values, so that white is bright whatever
    the vendor stores: nothing else tells the images of one collection apart.

    Raises
    ------
    InputRefused
        ``not-a-projection``; and those of :func:`medseg.reading.pixels.read_pixels`.
    """
    from medseg.reading.pixels import read_pixels

    header = _header_of(path)
    if header is None:
        raise InputRefused("not-a-projection", "This is no single grey image of a modality "
                           f"such as {', '.join(MODALITIES[:3])}",
                           do="Give one image a file, without colour")  # fmt: skip
    nowhere = Slice(header, 0, header.rows, header.columns, None, None, None, None, None)
    array, findings = read_pixels((nowhere,))  # (I, J, 1)
    if header.photometric == "MONOCHROME1":
        array = array.max() + array.min() - array
    volume = volume_of_pixels(np.ascontiguousarray(array[:, :, 0].T),
                              case_name(header.study, header.number), path)  # fmt: skip
    return replace(volume, modality=header.modality, findings=tuple(findings))


def _header_of(path: Path) -> Header | None:
    try:
        with quiet():
            member = read_header(path)
    except Exception:  # a damaged header raises whatever its parser happens to
        return None
    header = member[0] if member else None
    if header is None or header.modality not in MODALITIES or header.colour or header.frames > 1:
        return None
    return header if header.rows and header.columns else None
