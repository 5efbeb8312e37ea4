"""Results as files: written aside, read back, compared, and only then given their name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np

from medseg.errors import OutputFailed
from medseg.files import make_folder
from medseg.findings import Finding
from medseg.result import Result

FORMATS: dict[str, str] = {
    "nifti": "medseg.exporting.nifti:export_mask",
    "seg": "medseg.exporting.seg:export",
    "png": "medseg.exporting.picture:export",
    "probabilities": "medseg.exporting.nifti:export_probabilities",
}
"""Format to the function that writes it; loaded when asked for."""

FILES: dict[str, str] = {
    "nifti": "mask.nii.gz",
    "seg": "seg.dcm",
    "png": "sheet.png",
    "probabilities": "probabilities.nii.gz",
}
"""Format to the name of its file."""

Export = Callable[[Result, Path], tuple[bool, tuple[Finding, ...]]]


def write(
    result: Result, folder: Path, formats: Sequence[str]
) -> tuple[dict[str, Path], tuple[Finding, ...]]:
    """Write a result in each of the formats, every file whole and verified or not at all.

    Parameters
    ----------
    result : Result
        The mask must lie on the grid of the scan.
    folder : Path
        Made if missing. A file of an earlier run is replaced; where this run has nothing to
        write for a format, it is removed, so that the folder never mixes two runs.
    formats : sequence of str
        Names of :data:`FORMATS`.

    Returns
    -------
    paths : dict of str to Path
        The file of each format that was written.
    findings : tuple of Finding
        Why one was not written, such as ``seg-needs-dicom`` or ``no-finding``, and what was
        assumed in those that were.

    Raises
    ------
    OutputFailed
        ``format-unknown``; ``write-failed``; ``verify-failed``: it did not read back as meant.
    """
    exports = {name: _export(name) for name in formats}
    make_folder(folder)
    # Files are written slice by slice: one copy in that order halves the time of all the rest.
    by_slices = np.ascontiguousarray(result.labels.array.T).T
    result = replace(result, labels=replace(result.labels, array=by_slices))
    paths: dict[str, Path] = {}
    findings: list[Finding] = []
    for name, export in exports.items():
        path = folder / FILES[name]
        written, told = export(result, path)
        findings += told
        if written:
            paths[name] = path
        else:
            path.unlink(missing_ok=True)
    return paths, tuple(findings)


def _export(name: str) -> Export:
    if name not in FORMATS:
        raise OutputFailed("format-unknown", f"There is no output format {name!r}",
                           do=f"Choose from {', '.join(FORMATS)}")  # fmt: skip
    module, function = FORMATS[name].split(":")
    export: Export = getattr(import_module(module), function)
    return export
