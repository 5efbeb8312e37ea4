"""Codes of structures, categories and sides, as SEG objects and configurations need them."""

from __future__ import annotations

import hashlib
from difflib import get_close_matches
from typing import Any

from medseg.errors import InputRefused
from medseg.labels import Code, Laterality

# Categories of CID 7150.
ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
TISSUE = Code("85756007", "SCT", "Tissue")
CATEGORIES = (ANATOMICAL_STRUCTURE, ABNORMAL_STRUCTURE, TISSUE)

# Modifiers of CID 2 and CID 211. A code that has a side in its meaning never takes one.
LEFT = Code("7771000", "SCT", "Left")
RIGHT = Code("24028007", "SCT", "Right")
BILATERAL = Code("51440002", "SCT", "Bilateral")
ANTERIOR = Code("255549009", "SCT", "Anterior")
POSTERIOR = Code("255551008", "SCT", "Posterior")

SIDES: dict[Laterality, Code] = {"left": LEFT, "right": RIGHT, "both": BILATERAL}
_RETIRED_SIDES: dict[str, Laterality] = {"G-A101": "left", "G-A100": "right", "G-A102": "both"}

PRIVATE_SCHEME = "99MEDSEG"

_PAIRED = {  # organs of which there is a left and a right one
    "kidney": "64033007", "adrenal gland": "23451007", "lung": "39607008",
    "upper lobe of lung": "45653009", "lower lobe of lung": "90572001",
    "common iliac artery": "73634005", "common iliac vein": "46027005",
    "common carotid artery": "32062004", "clavicle": "51299004", "scapula": "79601000",
    "humerus": "85050009", "femur": "71341001", "hip": "29836001", "thalamus": "42695009",
    "caudate nucleus": "11000004", "putamen": "89278009", "amygdala": "4958002",
    "hippocampus": "5366008", "lateral ventricle": "66720007", "gluteus maximus": "206007",
    "iliopsoas": "68455001", "first rib": "48535007", "second rib": "78247007",
    "third rib": "25888004", "fourth rib": "25523003", "fifth rib": "15339008",
    "sixth rib": "59558009", "seventh rib": "24915002", "eighth rib": "5953002",
    "ninth rib": "22565002", "tenth rib": "77644006", "eleventh rib": "58830002",
    "twelfth rib": "43993008",
}  # fmt: skip

_SINGLE = {
    "liver": "10200004", "spleen": "78961009", "pancreas": "15776009",
    "gallbladder": "28231008", "stomach": "69695003", "duodenum": "38848004",
    "small intestine": "30315005", "colon": "71854001", "oesophagus": "32849002",
    "trachea": "44567001", "urinary bladder": "89837001", "prostate": "41216001",
    "thyroid": "69748006", "heart": "80891009", "left atrium": "82471001",
    "left ventricle": "87878005", "aorta": "15825003", "inferior vena cava": "64131007",
    "superior vena cava": "48345005", "pulmonary vein": "122972007",
    "portal and splenic vein": "110765007", "brachiocephalic trunk": "12691009",
    "middle lobe of right lung": "72481006", "blood vessel": "59820001",
    "sternum": "56873002", "rib": "113197003", "sacrum": "54735007", "skull": "89546000",
    "spinal cord": "2748008", "brain": "12738006", "brain stem": "119238007",
    "cerebellum": "113305005", "fourth ventricle": "35918002", "white matter": "389080008",
    "cerebral white matter": "68523003", "grey matter": "389081007", "lymph node": "59441001",
}  # fmt: skip

_VERTEBRAE = {
    "C": "14806007 39976000 113205007 5329002 36978003 36054005 87391001",
    "T": "64864005 53733008 1626008 73071006 56401006 45296009 62487009 11068009 82687006 "
         "7610001 12989004 23215003",
    "L": "66794005 14293000 36470004 11994002 49668003",
}  # fmt: skip

_ABNORMAL = {
    "neoplasm": "108369006", "primary neoplasm": "372087000", "metastasis": "14799000",
    "mass": "4147007", "lesion": "52988006", "nodule": "27925004", "oedema": "79654002",
    "necrosis": "6574001", "cyst": "367643001", "thrombus": "396339007",
    "gross tumour volume": "228791009",
}  # fmt: skip


def _table() -> dict[str, Code]:
    values = _SINGLE | _PAIRED | _ABNORMAL
    for region, row in _VERTEBRAE.items():
        values |= {f"{region}{n} vertebra": value for n, value in enumerate(row.split(), 1)}
    return {name: Code(value, "SCT", name[0].upper() + name[1:]) for name, value in values.items()}


STRUCTURES: dict[str, Code] = _table()
"""SNOMED CT codes of common structures by their plain English name, ``"kidney"``."""

PAIRED = frozenset(_PAIRED)
"""Names of those whose label should have a laterality."""


def structure(name: str) -> Code:
    """Return the code of a structure by its plain English name; case does not matter.

    Raises
    ------
    InputRefused
        ``structure-unknown``: not in the table; names the nearest that are.

    Examples
    --------
    >>> structure("Kidney")
    Code(value='64033007', scheme='SCT', meaning='Kidney')
    """
    by_lower = {known.lower(): code for known, code in STRUCTURES.items()}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    near = ", ".join(get_close_matches(name.lower(), by_lower)) or "none"
    raise InputRefused(
        "structure-unknown",
        f"{name!r} is not in the table of structures; near: {near}",
        do="Use a name of the table, or give value, scheme and meaning of the code",
    )


def category_of(structure: Code) -> Code:
    """Return the category that a structure of the table belongs to; anatomy for all others."""
    abnormal = structure.scheme == "SCT" and structure.value in _ABNORMAL.values()
    return ABNORMAL_STRUCTURE if abnormal else ANATOMICAL_STRUCTURE


def private_code(name: str) -> Code:
    """Return a code of our own for a structure that has none; one name, one code.

    Examples
    --------
    >>> private_code("Bean").scheme, private_code("Bean") == private_code("Bean")
    ('99MEDSEG', True)
    """
    value = hashlib.sha256(name.encode()).hexdigest()[:8].upper()
    return Code(value, PRIVATE_SCHEME, name)


def code_of(item: Any) -> Code:
    """Return an item of a code sequence (PS3.3 table 8.8-1) as a code."""
    return Code(item.CodeValue, item.CodingSchemeDesignator, item.get("CodeMeaning", ""))


def side_of(modifier: Code) -> Laterality | None:
    """Return the side that a modifier says, in SNOMED CT or its retired form, or None."""
    for side, code in SIDES.items():
        if (modifier.value, modifier.scheme) == (code.value, code.scheme):
            return side
    return _RETIRED_SIDES.get(modifier.value)
