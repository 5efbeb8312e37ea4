import re

from medseg.dicom.uids import new_uid, uid_from

VALID = re.compile(r"2\.25\.(0|[1-9][0-9]*)")  # PS3.5 9.1: no leading zero, 64 characters


def test_new_uids_are_valid_and_differ():
    uids = {new_uid() for _ in range(100)}
    assert len(uids) == 100
    assert all(VALID.fullmatch(uid) and len(uid) <= 64 for uid in uids)


def test_a_uid_from_texts_is_the_same_on_every_machine():
    # SHA-256 of "1.2.3\0Liver", first 16 bytes with version and variant of RFC 9562 set.
    assert uid_from("1.2.3", "Liver") == "2.25.101622140872911877793022190934566471522"
    assert VALID.fullmatch(uid_from("x"))


def test_texts_are_told_apart_by_where_they_are_split():
    assert uid_from("1.2", "3") != uid_from("1.23")
