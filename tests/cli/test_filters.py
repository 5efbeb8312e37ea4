"""``medseg filters`` as a person meets it."""


def test_a_sheet_is_drawn_and_not_replaced_unasked(medseg, packed, tmp_path):
    arguments = ("filters", "--model", packed().path, "--out", tmp_path / "sheet.png")
    status, out, _ = medseg(*arguments)
    assert (status, (tmp_path / "sheet.png").is_file()) == (0, True)
    assert "2 filters of 3 x 3 x 3 (stem)" in out
    status, _, err = medseg(*arguments)
    assert (status, err.splitlines()[-1].endswith("[output-exists]")) == (5, True)
    status, _, err = medseg(*arguments, "--overwrite", "--image", tmp_path / "gone.nii.gz")
    assert (status, err.splitlines()[-1].endswith("[path-missing]")) == (3, True)
