import json
import math

import numpy as np
import pytest

from medseg.errors import InputRefused
from medseg.evaluation import compare
from tests.evaluation.factory import SHAPE, cube, folders, rows_of, save

NOTHING = np.zeros(SHAPE, np.uint8)


def models(root, *predictions: dict[str, np.ndarray], references: dict[str, np.ndarray]):
    """Write the masks of several models and the references; return their folders."""
    made = []
    for name, cases in zip("abc", predictions, strict=False):
        made.append(folders(root / name, {case: (mask, None) for case, mask in cases.items()})[0])
    for case, mask in references.items():
        save(root / "references" / f"{case}.nii.gz", mask)
    return made, root / "references"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Model a is right, b one voxel off but in case c4, where it is missing."""
    root = tmp_path_factory.mktemp("models")
    cases = [f"c{n}" for n in range(5)]
    paths, references = models(
        root, {case: cube() for case in cases}, {case: cube(shift=1) for case in cases[:4]},
        references={case: cube() for case in cases},
    )  # fmt: skip
    result = compare(paths, references, out=root / "out", names=("right", "off"))
    return result, root / "out"


def test_the_difference_is_told_per_label_with_wins_and_losses(written):
    result, _ = written
    dice = next(one for one in result.differences if one.score == "dice")
    assert (dice.paired.first, dice.paired.second) == (1, pytest.approx(0.6))  # 4 x 0.75 and 0
    assert dice.paired.difference == pytest.approx(-0.4)
    assert (dice.paired.wins, dice.paired.losses, dice.paired.cases) == (0, 5, 5)
    assert dice.paired.p == pytest.approx(0.0625)  # 2 / 2**5: all five the same way
    assert dice.paired.low < -0.4 < dice.paired.high < 0


def test_a_case_that_a_model_lacks_counts_as_the_worst_and_is_told(written):
    result, out = written
    assert result.lacking == (("off", 1),)
    assert result.exit_status == 6
    worst = result.gaps(0, 1)[0]
    assert (worst.case, worst.scores) == ("c4", (1, 0))
    assert "off has no prediction for 1 of the cases" in (out / "comparison.html").read_text()


def test_distances_are_better_when_less(written):
    result, _ = written
    hd95 = next(one for one in result.differences if one.score == "hd95_mm")
    assert hd95.paired.difference == pytest.approx((4 * 1 + math.sqrt(864)) / 5, rel=0.1)
    assert (hd95.paired.wins, hd95.paired.losses) == (0, 5)
    place = next(one for one in result.places if one.score == "hd95_mm")
    assert [rank.of_mean for rank in place.ranking.ranks] == [1, 2]


def test_the_files_hold_every_case_and_the_corrected_p(written):
    result, out = written
    rows = [row for row in rows_of(out / "differences.csv") if row["score"] == "dice"]
    first = rows[0]
    assert (first["case"], float(first["right"]), float(first["off"])) == ("c0", 1, 0.75)
    told = json.loads((out / "comparison.json").read_text())
    assert told["models"] == ["right", "off"]
    assert told["differences"][0]["p_holm"] == pytest.approx(0.0625)
    assert told["ranking"][0]["models"][0]["of_mean"] == 1
    assert result.differences[0].p_holm == pytest.approx(0.0625)


def test_p_is_corrected_for_all_pairs_and_labels_of_a_score(tmp_path):
    cases = [f"c{n}" for n in range(6)]
    paths, references = models(
        tmp_path, *({case: cube(shift=n) for case in cases} for n in range(3)),
        references={case: cube() for case in cases},
    )  # fmt: skip
    result = compare(paths, references)
    dice = [one for one in result.differences if one.score == "dice"]
    assert [(one.first, one.second) for one in dice] == [(0, 1), (0, 2), (1, 2)]
    assert [one.paired.p for one in dice] == pytest.approx([1 / 32] * 3)
    assert [one.p_holm for one in dice] == pytest.approx([3 / 32] * 3)
    assert result.names == ("predictions 1", "predictions 2", "predictions 3")


def test_a_right_nothing_beats_a_false_alarm(tmp_path):
    paths, references = models(
        tmp_path, {"x": NOTHING, "y": cube(), "z": NOTHING},
        {"x": cube(), "y": cube(), "z": NOTHING},
        references={"x": NOTHING, "y": cube(), "z": NOTHING},
    )  # fmt: skip
    result = compare(paths, references)
    dice = next(one for one in result.differences if one.score == "dice")
    assert (dice.paired.cases, dice.paired.difference) == (2, -0.5)  # z says nothing about either
    assert next(one for one in result.places if one.score == "dice").ranking.cases == 2


def test_one_model_alone_is_refused(tmp_path):
    paths, references = models(tmp_path, {"x": cube()}, references={"x": cube()})
    with pytest.raises(InputRefused) as refusal:
        compare(paths, references)
    assert refusal.value.code == "models-too-few"
