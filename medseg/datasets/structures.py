"""Labels out of DICOM objects: structures chosen by their names, as the values of a label set."""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np

from medseg.datasets.dataset import Case
from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.labels import LabelSet
from medseg.volume import LabelMap, Volume


def read_structures(case: Case, labels: LabelSet, onto: Volume) -> LabelMap:
    """Return the structures of a case that its patterns choose, on the grid of its scan.

    Structures that fit one label are joined; a voxel of two labels is refused.

    Raises
    ------
    InputRefused
        ``structures-ambiguous``: one structure fits two labels. ``structures-overlap``: two
        labels share voxels. And the codes of :func:`medseg.reading.read_labels`.
    """
    from medseg.reading import read_labels
    from medseg.reading.references import references

    chosen = _chosen(case, references(case.label).labels)
    out = np.zeros(onto.geometry.shape, np.min_scalar_type(max(labels.values)))
    findings: list[Finding] = []
    for number, value in chosen.items():  # one by one, as structures of one label may overlap
        found = read_labels(case.label, onto=onto, only=[number])
        inside = found.array > 0
        before = out[inside]
        if shared := int(np.count_nonzero((before > 0) & (before != value))):
            raise InputRefused(
                "structures-overlap",
                f"Structures of two labels share {shared} voxels; a label map has one value each",
                do="Choose structures that lie apart, or make a data set for each",
            )
        out[inside] = value
        findings += [one for one in found.findings if one not in findings]
    return LabelMap(out, onto.geometry, labels, tuple(findings))


def _chosen(case: Case, there: LabelSet) -> dict[int, int]:
    """Return the number of each structure that fits a label, and that label's value."""
    chosen: dict[int, int] = {}
    for structure in there:
        name = structure.name.lower()
        fits = {value for pattern, value in case.structures if fnmatchcase(name, pattern.lower())}
        if len(fits) > 1:
            raise InputRefused(
                "structures-ambiguous",
                f"Structure {structure.value} fits the patterns of the labels "
                f"{' and '.join(map(str, sorted(fits)))}",
                do="Write patterns that no structure shares",
            )
        if fits:
            chosen[structure.value] = fits.pop()
    return chosen
