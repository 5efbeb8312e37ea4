"""The page: what is on it, that nothing breaks out of it, how large it is."""

import json
import re
from html.parser import HTMLParser
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

from medseg.batch.outcome import Outcome
from medseg.errors import OutputFailed
from medseg.exporting import write as export
from medseg.files import sha256
from medseg.findings import Finding
from medseg.labels import Label, LabelSet
from medseg.result import Result
from medseg.review import worksheet
from medseg.review.worksheet import compressed
from medseg.volume import LabelMap
from tests.review.conftest import make_case

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{7*7}}"


class Page(HTMLParser):
    """Elements and texts as a browser sees them."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.texts.append(text)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_each_case_has_its_picture_its_volumes_and_its_doubts(make_results):
    refused = Outcome("unread", "refused", code="no-images", why="There is no scan.")
    out = make_results({"a": {}, "b": {"liver": slice(0)}, "c": {"picture": False}}, (refused,))
    sheet = worksheet(out)
    assert sheet.path == out / "worksheet.html"
    page = Page(sheet.path)
    assert len(page.all("article")) == 3
    assert [image["loading"] for image in page.all("img")] == ["lazy"] * 2
    words = " ".join(page.texts)
    for told in (
        "The mask is empty",
        "Liver",
        "0.03",
        "No picture was written",
        "There is no scan.",
    ):
        assert told in words
    judged = json.loads(re.search(r'id="cases">(.*?)</script>', sheet.path.read_text())[1])
    assert judged == [
        {"case": case, "mask_sha256": sha256(out / case / "mask.nii.gz")} for case in "bac"
    ]


def test_equal_results_give_an_equal_page(make_results):
    out = make_results({"a": {}, "b": {}})
    first = worksheet(out).path.read_bytes()
    assert worksheet(out, overwrite=True).path.read_bytes() == first


def test_an_earlier_page_is_only_replaced_when_asked(make_results):
    out = make_results({"a": {}})
    worksheet(out)
    with pytest.raises(OutputFailed) as refusal:
        worksheet(out)
    assert refusal.value.code == "output-exists"


def test_nothing_from_a_file_breaks_out_of_its_place(make_results):
    name = HOSTILE.replace("/", "\N{DIVISION SLASH}")  # as far as a file system lets it
    finding = Finding("warning", HOSTILE, HOSTILE)
    refused = Outcome(HOSTILE, "refused", code=HOSTILE, why=HOSTILE)
    plain = Page(worksheet(make_results({"a": {"findings": (finding,)}}, (refused,))).path)
    out = make_results({name: {"findings": (finding,), "model": HOSTILE}}, (refused,))
    hostile = Page(worksheet(out, overwrite=True).path)
    assert hostile.all("script") != []
    assert len(hostile.all("script")) == len(plain.all("script"))
    assert all("onerror" not in attributes for _, attributes in hostile.tags)
    assert HOSTILE in hostile.texts  # to be read as it is
    data = re.search(r'id="cases">(.*?)</script>', (out / "worksheet.html").read_text())[1]
    assert name in [one["case"] for one in json.loads(data)]


def test_nothing_on_the_page_asks_for_another_file(make_results):
    text = worksheet(make_results({"a": {}})).path.read_text()
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?\s*(https?:|//|\.|/)", text)
    assert "@import" not in text


@pytest.fixture
def dicom_results(make_study, make_grid, tmp_path):
    """Return results with a true DICOM SEG of a study full of patient data."""
    from medseg.batch.record import write_case, written

    volume = make_study(tmp_path / "study", make_grid())
    array = np.zeros(volume.geometry.shape, np.uint8)
    array[2:5, 2:5, 1:3] = 1
    labels = LabelMap(array, volume.geometry, LabelSet((Label(1, "Liver"),)))
    out = tmp_path / "results"
    case = volume.source.case
    paths, _ = export(Result(volume, labels), out / case, ("nifti", "seg", "png"))
    outcome = Outcome(case, "done", volumes_ml=labels.volumes_ml(), outputs=written(paths))
    write_case(out / case, outcome, {})
    return out


PRIVATE = ("Doe", "Jane", "SECRET", "19700101", "20250102")


def test_no_patient_data_is_on_the_page(dicom_results):
    text = worksheet(dicom_results).path.read_text()
    assert [word for word in PRIVATE if word in text] == []


def test_patient_id_and_study_date_are_shown_when_asked_for_and_said_so(dicom_results):
    page = Page(worksheet(dicom_results, show_phi=True).path)
    assert "shows patient data" in page.texts
    assert {"SECRET-1", "20250102"} <= set(page.texts)
    assert "Doe" not in " ".join(page.texts)


def noise(seed, size=(1486, 900)):
    """A sheet that compresses worse than any scan: smooth noise of every grey."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (size[1] // 2, size[0] // 2), np.uint8)
    return Image.fromarray(small).convert("RGB").resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("largest", [300_000, 60_000, 20_000])
def test_a_sheet_of_any_kind_fits_its_budget(tmp_path, largest):
    noise(0).save(tmp_path / "sheet.png")
    picture = compressed(tmp_path / "sheet.png", largest)
    assert len(picture.data) <= largest
    assert picture.width / picture.height == pytest.approx(1486 / 900, rel=0.01)


def test_a_file_that_is_no_picture_is_none(tmp_path):
    (tmp_path / "sheet.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    assert compressed(tmp_path / "sheet.png", 20_000) is None


def test_the_budget_of_the_page_is_shared_by_its_pictures(make_results, monkeypatch):
    module = import_module("medseg.review.worksheet")  # beside a function of its name
    monkeypatch.setattr(module, "PICTURES_BYTES", 200_000)
    out = make_results({})
    for n in range(8):
        make_case(out, f"case {n}", picture=False)
    for folder in out.glob("case */"):
        _with_sheet(folder, noise(0, (700, 400)))
    assert worksheet(out).path.stat().st_size < 4 / 3 * 200_000 + 60_000


def _with_sheet(folder, sheet):
    record = json.loads((folder / "case.json").read_text())
    sheet.save(folder / "sheet.png", compress_level=1)
    record["outputs"]["png"] = {"file": "sheet.png", "sha256": sha256(folder / "sheet.png")}
    (folder / "case.json").write_text(json.dumps(record))


@pytest.mark.slow
def test_three_hundred_of_the_worst_sheets_stay_below_60_mb(make_results):
    out = make_results({})
    for n in range(300):
        make_case(out, f"case {n:03d}", picture=False)
        _with_sheet(out / f"case {n:03d}", noise(n))
    page = worksheet(out).path
    assert 30e6 < page.stat().st_size < 60e6
