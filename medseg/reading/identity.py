"""Whose study a DICOM file belongs to: only for a person who asks for it."""

from __future__ import annotations

from pathlib import Path

from medseg.dicom import require

_SHOWN = {"PatientID": "Patient", "StudyDate": "Study date", "StudyDescription": "Study"}


def identity(path: Path) -> dict[str, str]:
    """Return patient id, study date and description of a DICOM file, those it has.

    Patient data: show it where ``--show-phi`` was given, write it nowhere else. A file that
    cannot be read tells nothing.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    with require.quiet():
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
        except (OSError, EOFError, InvalidDicomError):
            return {}
        told = {name: require.text(dataset, keyword) for keyword, name in _SHOWN.items()}
    return {name: text for name, text in told.items() if text}
