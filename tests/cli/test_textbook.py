"""``medseg demo textbook`` on small made-up images."""

import json

from tests.cli.test_main import run
from tests.datasets.images_factory import make_arrays


def test_the_story_tells_layers_figures_and_lessons(capsys, tmp_path):
    data = make_arrays(tmp_path / "halves.npz", (40, 16, 16))
    status, out, _ = run(capsys, "demo", "textbook", "--data", data, "-o", tmp_path / "out")
    assert status == 0
    assert "8 x 8 x 32" in out  # what the first pooling makes of 16 x 16
    assert "1.000 (" in out
    assert "AUC on the val part" in out
    assert (tmp_path / "out" / "textbook" / "textbook.png").stat().st_size > 10_000


def test_more_than_two_classes_are_refused_in_one_line(capsys, tmp_path):
    import numpy as np

    labels = {f"{part}_labels": np.arange(count) % 3
              for part, count in (("train", 9), ("val", 6), ("test", 6))}  # fmt: skip
    data = make_arrays(tmp_path / "three.npz", (9, 6, 6), **labels)
    status, _, err = run(capsys, "demo", "textbook", "--data", data, "-o", tmp_path / "out")
    assert status == 3
    assert "tells two classes apart, not 3" in err


def test_check_dispatches_to_labelled_images(capsys, tmp_path):
    data = make_arrays(tmp_path / "halves.npz", (40, 16, 16))
    status, out, _ = run(capsys, "check", data, "--json")
    told = json.loads(out)
    assert status == told["status"] == 0
    assert "class-counts" in {one["code"] for one in told["findings"]}
