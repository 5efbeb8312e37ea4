"""``medseg check`` as a person or a script meets it."""

import json

import numpy as np
import pytest

from tests.datasets.test_dataset import make_msd, save


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return make_msd(tmp_path / "data", cases=3)


def test_a_sound_data_set_ends_well(medseg, data):
    status, told, _ = medseg("check", data)
    assert status == 0
    assert "Made up: 3 cases, 0 errors, 0 warnings" in told


def test_errors_are_told_with_case_and_remedy_in_table_json_and_page(medseg, data, tmp_path):
    save(data / "labelsTr" / "case_1.nii.gz", np.full((6, 7, 8), 3, np.uint8))
    status, told, _ = medseg("check", data, "--out", tmp_path / "report")
    assert status == 3
    words = " ".join(told.split())
    assert "error" in words
    assert "case_1" in words
    page = (tmp_path / "report" / "check.html").read_text()
    assert "The values 3 have no name among the labels" in page
    assert "<script" not in page
    status, told, _ = medseg("check", data, "--json")
    (finding,) = json.loads(told)["findings"]
    assert (status, finding["code"], finding["cases"]) == (3, "labels-unknown", ["case_1"])
    assert finding["do"]


def test_names_are_escaped_on_the_page(medseg, data, tmp_path):
    text = (data / "dataset.json").read_text().replace("Made up", "<b>&")
    (data / "dataset.json").write_text(text)
    medseg("check", data, "--out", tmp_path / "page.html")
    assert "<b>" not in (tmp_path / "page.html").read_text()


def test_what_is_no_data_set_is_one_line(medseg, tmp_path):
    status, out, err = medseg("check", tmp_path)
    assert (status, out) == (3, "")
    assert "dataset-unknown" in err
