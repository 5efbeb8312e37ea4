"""What the name of a channel tells: its modality."""

from __future__ import annotations

import re

_WORDS = re.compile(r"[a-z0-9]+")
_MODALITIES = {
    "CT": {"ct", "cbct", "cta", "ctce"},
    "MR": {"mr", "mri", "t1", "t1w", "t1c", "t1ce", "t1gd", "t2", "t2w", "flair", "adc", "dwi"},
    "PT": {"pt", "pet", "suv"},
    "US": {"us", "ultrasound"},
}


def modality_of(channel: str) -> str:
    """Return the DICOM code that a channel's name tells, or an empty string.

    A word of the name decides, whatever stands around it: nnU-Net takes only ``CT`` itself for
    CT, so that ``CT `` and ``ct_venous`` fall to another normalisation without a word.

    Examples
    --------
    >>> modality_of("ct_venous"), modality_of("FLAIR"), modality_of("contact")
    ('CT', 'MR', '')
    """
    words = set(_WORDS.findall(channel.lower()))
    return next((code for code, known in _MODALITIES.items() if words & known), "")
