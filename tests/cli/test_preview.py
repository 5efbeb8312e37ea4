"""``medseg preview`` as a person or a script meets it."""

import json

from tests.datasets.test_dataset import make_msd
from tests.training.test_train import CONFIG


def test_a_sheet_is_drawn_of_another_data_set_than_the_configs(medseg, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    make_msd(tmp_path / "elsewhere", cases=4)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    status, told, _ = medseg("preview", tmp_path / "tiny.yaml", "--out", tmp_path / "out",
                             "--data", tmp_path / "elsewhere", "--count", 2, "--json")  # fmt: skip
    assert status == 0
    content = json.loads(told)
    assert content["sheet"] == str(tmp_path / "out" / "preview.png")
    assert content["mirror_axes"] == [0, 1, 2]


def test_an_unknown_step_is_refused_with_its_line_and_the_nearest_name(medseg, tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG + "augmentation: {gama: {}}\n")
    status, _, told = medseg("preview", tmp_path / "tiny.yaml", "--out", tmp_path / "out")
    assert status == 2
    assert "Did you mean 'gamma'" in told
