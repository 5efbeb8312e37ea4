from medseg.dicom.private import case_name, digest, folder_name


def test_a_case_name_holds_the_hash_of_the_study_only():
    assert case_name("1.2.3", 7) == "c47f5b18-007"  # sha256 of "1.2.3" begins so
    assert case_name("1.2.3", None) == "c47f5b18"
    assert case_name("1.2.3", 12345) == "c47f5b18-12345"
    assert digest("1.2.3", 4) == "c47f"


def test_a_folder_name_cannot_leave_its_folder():
    for text in ("../../etc", "a/b", "..", "", ".hidden", "C:\\x", "a\nb"):
        name = folder_name(text)
        assert name
        assert not name.startswith(".")
        assert not set(name) & set('/\\:*?"<>|\n')
    assert folder_name("Leber_größe-1.v2") == "Leber_größe-1.v2"
    assert len(folder_name("x" * 500)) == 100
