"""The sheet of patches: what it shows is what training would draw."""

import numpy as np
import pytest
from PIL import Image

from medseg.labels import Label, LabelSet
from medseg.plan import Channel, Network, Plan
from medseg.training import load_config
from medseg.training.preview import Sample, drawn, preview
from tests.datasets.test_dataset import make_msd
from tests.training.test_train import CONFIG

PLAN = Plan(
    orientation="RAS", spacing=(1, 1, 2), patch=(16, 16, 8), network=Network(name="unet"),
    channels=(Channel(name="T1"),), mirror_axes=(0, 1), swap=((1, 2),),
    labels=LabelSet((Label(1, "Left eye", colour=(0, 200, 0)),
                     Label(2, "Right eye", colour=(200, 0, 0)))),
)  # fmt: skip


@pytest.fixture
def config(tmp_path):
    (tmp_path / "data").mkdir()
    make_msd(tmp_path / "data", cases=6)
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    return path


def make_sample(place=(slice(2, 6), slice(2, 6), slice(0, 8)), label=1):
    image = np.random.default_rng(0).normal(size=PLAN.patch).astype(np.float32)
    classes = np.zeros(PLAN.patch, np.int32)
    classes[place] = label
    return Sample((image, classes), (image, 0 * classes), "T1", True)


def coloured(sheet, colour):
    near = np.abs(np.asarray(sheet).astype(int) - colour).max(axis=-1) < 3
    return np.flatnonzero(near[: sheet.height - 60].any(axis=0))


def test_labels_are_outlined_before_and_not_where_augmentation_took_them_away():
    sheet = drawn([make_sample()], PLAN, "augmentation default")
    columns = coloured(sheet, (0, 200, 0))
    assert columns.min() > 20
    assert columns.max() < sheet.width / 2  # the augmented half has no label here


def test_the_patients_right_lies_on_the_left_of_the_picture():
    # i runs to the right, so a label at its end lies at the left edge of the axial tile
    places = [coloured(drawn([make_sample((side, slice(None), slice(0, 8)))], PLAN, ""),
                       (0, 200, 0)).min()
              for side in (slice(13, 16), slice(0, 3))]  # fmt: skip
    assert places[0] < 70
    assert places[1] > places[0] + 100


def test_unlabelled_voxels_are_drawn_as_background():
    sheet = drawn([make_sample(label=-1)], PLAN, "")
    assert len(coloured(sheet, (0, 200, 0))) == len(coloured(sheet, (200, 0, 0))) == 0


@pytest.mark.parametrize("patch", [(1, 40, 24), (3, 40, 24), (16, 2, 2)])
@pytest.mark.parametrize("orientation", ["SAR", "LPI", "ARS"])
def test_any_patch_is_drawn(patch, orientation):
    plan = PLAN.model_copy(update={"patch": patch, "orientation": orientation})
    pair = (np.zeros(patch, np.float32), np.ones(patch, np.int32))
    assert drawn([Sample(pair, pair, "T1", False)] * 4, plan, "light").width >= 720


def test_the_sheet_repeats_with_its_seed_and_leaves_nothing_else(config, tmp_path):
    settings = load_config(config)
    one, same, other = (
        Image.open(preview(settings, tmp_path / str(n), count=3, seed=seed).path).tobytes()
        for n, seed in enumerate((1, 1, 2))
    )
    assert one == same != other
    assert [path.name for path in (tmp_path / "0").iterdir()] == ["preview.png"]


def test_findings_about_mirroring_come_along(config, tmp_path):
    config.write_text(CONFIG.replace("plan:", "labels: [{value: 5, name: Left x}]\nplan:", 1))
    made = preview(load_config(config), tmp_path / "out", count=1)
    assert made.plan.mirror_axes == (1, 2)
    assert made.findings[0].code == "mirror-axis-dropped"
