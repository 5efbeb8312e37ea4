"""What the names of channels and labels tell: modality, and which axes may not be mirrored."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORDS = re.compile(r"[a-z0-9]+")
_MODALITIES = {
    "CT": {"ct", "cbct", "cta", "ctce"},
    "MR": {"mr", "mri", "t1", "t1w", "t1c", "t1ce", "t1gd", "t2", "t2w", "flair", "adc", "dwi"},
    "PT": {"pt", "pet", "suv"},
    "US": {"us", "ultrasound"},
}
_ENDS = {  # pairs of words that tell the two ends of an axis apart
    "R": (("left", "right"), ("l", "r"), ("lh", "rh")),
    "A": (("anterior", "posterior"), ("ventral", "dorsal"), ("front", "back")),
    "S": (("superior", "inferior"), ("upper", "lower"), ("cranial", "caudal")),
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


def ends_told_apart(labels: Iterable[str]) -> str:
    """Return the axes, of ``RAS``, whose ends the names of labels tell apart.

    An axis counts when both words of a pair occur. Mirrored along it, a patch would show the
    one structure where the other belongs.

    Examples
    --------
    >>> ends_told_apart(["Left kidney", "Right kidney"]), ends_told_apart(["Tumour"])
    ('R', '')
    """
    words = set(_WORDS.findall(" ".join(labels).lower().replace("_", " ")))
    return "".join(
        axis for axis, pairs in _ENDS.items() if any(words >= set(pair) for pair in pairs)
    )
