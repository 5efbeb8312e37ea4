"""The report of a check as one page for people: no network, no script."""

from __future__ import annotations

from pathlib import Path

from medseg.datasets.check import Report
from medseg.files import make_folder, whole_file

TEMPLATE = Path(__file__).parent / "templates" / "check.html.j2"


def write_page(path: Path, report: Report) -> None:
    """Write the page, whole or not at all; everything in it is escaped."""
    import jinja2

    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    page = pages.get_template(TEMPLATE.name).render(report=report)
    make_folder(path.parent)
    with whole_file(path) as aside:
        aside.write_text(page, encoding="utf-8")
