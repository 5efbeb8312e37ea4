from importlib import import_module

import pytest

from medseg.errors import ModelRefused
from medseg.models import find, shipped


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("medseg.models.shipped"), "home", lambda: tmp_path)
    return tmp_path


def test_shipped_models_are_listed_and_found_by_name(home, packed):
    packed("hippocampus")
    packed("abdomen")
    assert shipped() == ["abdomen", "hippocampus"]
    assert find("abdomen").path == home / "abdomen"


@pytest.mark.parametrize("name", ["mine", "mine.zip"])
def test_a_folder_or_zip_is_found_by_its_place(packed, name):
    path = packed(name).path
    assert find(str(path)).hash == find(path).hash


def test_an_unknown_name_lists_what_is_there_and_what_was_meant(home, packed):
    packed("hippocampus")
    with pytest.raises(ModelRefused) as refusal:
        find("hipocampus")
    assert refusal.value.code == "model-unknown"
    assert "Did you mean hippocampus?" in refusal.value.do
    assert "Shipped are: hippocampus" in refusal.value.do


def test_an_unknown_place_is_named_without_its_folder(home):
    with pytest.raises(ModelRefused) as refusal:
        find("/data/patient-name/model")
    assert "patient-name" not in str(refusal.value)
    assert "Shipped are: none" in refusal.value.do


def test_every_shipped_package_opens():
    for name in shipped():
        assert find(name).name


def test_a_model_that_may_not_be_read_is_refused_with_the_reason(packed, unprivileged):
    with unprivileged(packed().path) as folder:
        (folder / "tiny").chmod(0o000)
        with pytest.raises(ModelRefused, match="may not be read: permission denied"):
            find(folder / "tiny")
        (folder / "tiny").chmod(0o700)
