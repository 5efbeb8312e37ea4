"""From files to volumes: DICOM series, image files of other forms, label maps."""

from medseg.reading.archive import Progress
from medseg.reading.labels import read_labels
from medseg.reading.read import read
from medseg.reading.rules import parse_rule, select
from medseg.reading.scan import Found, scan
from medseg.reading.series import Series

__all__ = ["Found", "Progress", "Series", "parse_rule", "read", "read_labels", "scan", "select"]
