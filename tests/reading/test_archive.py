"""Archives: read like their folder, stopped at every limit, and nothing of them stays."""

import gc
import io
import lzma
import os
import signal
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from collections import namedtuple
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from medseg.errors import InputRefused
from medseg.reading import archive, members, read, read_labels, scan
from tests.reading.factory import series, write

SHARED = Path(__file__).parents[3] / "shared" / "data"
TARS = ("", "gz", "bz2", "xz")


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files, which each test must leave empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    gc.collect()
    assert list(folder.iterdir()) == []


def zipped(path, files, packing=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", packing) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return path


def tarred(path, files, packing="", form=tarfile.PAX_FORMAT):
    with tarfile.open(path, f"w:{packing}", format=form) as out:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            out.addfile(entry, io.BytesIO(content))
    return path


def with_entry(path, kind, target=""):
    """Write a tar with one entry that is no file."""
    entry = tarfile.TarInfo("image")
    entry.type, entry.linkname = kind, target
    with tarfile.open(path, "w") as out:
        out.addfile(entry)
    return path


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}  # fmt: skip


def told(found):
    """Return all that a scan tells of a path but where its files lie."""
    return (
        [(one.case, one.findings, one.do, one.images, one.identity,
          [path.relative_to(found.root) for path in one.files],
          one.geometry and (one.geometry.shape, one.geometry.affine.tolist())) for one in found],
        found.skipped,
    )  # fmt: skip


def refused(path, code, words=""):
    with pytest.raises(InputRefused) as refusal:
        scan(path)
    assert refusal.value.code == code
    assert words in str(refusal.value)
    return str(refusal.value)


@pytest.fixture
def study(tmp_path):
    """Series in folders of their own, notes, a hidden file, two images of one name, damage."""
    root = tmp_path / "study"
    series(root / "Doe^Jane" / "a")
    series(root / "Doe^Jane" / "b c", series="2", slices=4)
    save_nifti(root / "x" / "scan.nii.gz")
    save_nifti(root / "y" / "scan.nii")
    (root / "notes.txt").write_text("hello")
    (root / ".DS_Store").write_bytes(b"x")
    (root / "x" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM")
    return root


def save_nifti(path, values=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5) if values is None else values
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 2, 3, 1])), path)
    return path


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_zip_is_read_like_its_folder(tmp_path, study, packing):
    packed = scan(zipped(tmp_path / "odd.name", contents(study), packing))
    assert told(packed) == told(scan(study))
    assert [one.read().array.sum() for one in packed if one.usable] == [
        one.read().array.sum() for one in scan(study) if one.usable
    ]


@pytest.mark.parametrize("packing", TARS)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_is_read_like_its_folder(tmp_path, study, packing, form):
    packed = scan(tarred(tmp_path / "odd.name", contents(study), packing, form))
    assert told(packed) == told(scan(study))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_of_a_tar_are_kept(tmp_path, form):
    name = "/".join(["folder" * 9] * 4) + "/" + "näme" * 30 + ".nii"
    content = save_nifti(tmp_path / "a.nii").read_bytes()
    assert scan(tarred(tmp_path / "a.tar", {name: content}, "", form))[0].case.startswith("nämenäm")


def test_what_tar_itself_packs_is_read(tmp_path, study):
    subprocess.run(["tar", "-czf", tmp_path / "a.tgz", "-C", study, "."], check=True)
    assert told(scan(tmp_path / "a.tgz")) == told(scan(study))


def test_two_runs_name_cases_alike(tmp_path, study):
    path = zipped(tmp_path / "a.zip", contents(study))
    cases = [one.case for one in scan(path)]
    assert cases == [one.case for one in scan(path)]
    assert len(set(cases)) == len(cases)


def test_a_packed_nifti_file_is_no_archive(tmp_path):
    path = save_nifti(tmp_path / "a.nii.gz")
    assert archive.kind_of(path) == ""
    assert read(path).array.shape == (3, 4, 5)
    path.rename(tmp_path / "a.gz")
    assert archive.kind_of(tmp_path / "a.gz") == ""


def test_a_pair_of_analyze_files_is_read(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(np.ones((2, 3, 4), np.int16), np.eye(4)), tmp_path / "a.img")
    files = {name: (tmp_path / name).read_bytes() for name in ("a.hdr", "a.img")}
    assert read(zipped(tmp_path / "a.zip", files)).array.shape == (2, 3, 4)


def test_labels_are_read_from_an_archive(tmp_path):
    mask = save_nifti(tmp_path / "mask.nii", np.ones((2, 3, 4), np.uint8))
    labels = read_labels(zipped(tmp_path / "a.zip", {"mask.nii": mask.read_bytes()}))
    assert labels.array.all()


def test_archives_in_folders_and_archives_are_counted(tmp_path):
    files = {"notes.txt": b"hello"}
    inner = zipped(tmp_path / "inner", files).read_bytes()
    more = tarred(tmp_path / "more", files, "gz").read_bytes()
    counted = {"archive (give it by itself)": 2, "no image": 1}
    assert scan(zipped(tmp_path / "a.zip", {"i": inner, "m": more, **files})).skipped == counted
    folder = tmp_path / "tree"
    folder.mkdir()
    for name, content in {"i": inner, "m.nothing": more, **files}.items():
        (folder / name).write_bytes(content)
    assert scan(folder).skipped == counted


def test_the_folder_is_private_and_lives_as_long_as_the_volume(tmp_path, temporary):
    path = zipped(tmp_path / "a.zip", contents(series(tmp_path / "in")))
    found = scan(path)
    (folder,) = temporary.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    volume = found[0].read()
    del found
    gc.collect()
    assert all(file.exists() for file in volume.source.files)
    moved = volume.moved(volume.array, volume.geometry)
    del volume
    assert all(file.exists() for file in moved.source.files)
    assert "keeps" not in repr(moved.source)
    assert str(folder) not in repr(moved.source)
    del moved
    assert not folder.exists()


def test_closing_removes_the_folder_at_once(tmp_path, temporary):
    with scan(zipped(tmp_path / "a.zip", contents(series(tmp_path / "in")))) as found:
        assert list(temporary.iterdir())
    assert not list(temporary.iterdir())
    assert found[0].usable
    scan(tmp_path / "in").close()
    assert list((tmp_path / "in").iterdir())


def test_a_refused_series_leaves_nothing_though_the_error_is_kept(tmp_path, temporary):
    path = zipped(tmp_path / "a.zip", contents(series(tmp_path / "in")))
    with pytest.raises(InputRefused) as refusal:
        read(path, "number=7")
    assert not list(temporary.iterdir())
    assert refusal.value.code == "rule-matches-none"


@pytest.mark.parametrize("when", ["unpacking", "progress"])
def test_an_interruption_leaves_nothing(tmp_path, temporary, when):
    path = zipped(tmp_path / "a.zip", contents(series(tmp_path / "in")))

    def stop(done, total):
        assert list(temporary.iterdir())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interruption:
        scan(path, **{when: stop})
    assert not list(temporary.iterdir())
    assert interruption.value is not None


@pytest.mark.faults
@pytest.mark.parametrize(
    ("then", "status"),
    [("found = scan(path)", 0),
     ("found = scan(path); raise ValueError", 1),
     ("scan(path, unpacking=lambda done, total: os.kill(os.getpid(), signal.SIGINT))",
      -signal.SIGINT)],
)  # fmt: skip
def test_the_end_of_python_removes_the_folder(tmp_path, temporary, then, status):
    path = zipped(tmp_path / "a.zip", contents(series(tmp_path / "in")))
    # a shell's background jobs, these tests among them, are born deaf to Ctrl-C
    code = ("import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
            f"from medseg.reading import scan; path = sys.argv[1]; {then}")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, path], check=False, capture_output=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert done.returncode == status
    assert not list(temporary.iterdir())


UNSAFE = ["/etc/x", "../x", "a/../../x", "a/..", "\\x", "..\\x", "a\\..\\..\\x", "C:\\x", "c:x"]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", UNSAFE)
def test_no_name_leads_out_of_the_folder(tmp_path, pack, name):
    path = pack(tmp_path / "archive", {"first": b"1", name: b"2"})
    before = set(tmp_path.rglob("*"))
    said = refused(path, "archive-unsafe")
    assert set(tmp_path.rglob("*")) == before
    assert "etc" not in said


@pytest.mark.parametrize("mode", [0o120777, 0o010644, 0o020644, 0o060644])
def test_a_zip_with_a_link_or_a_device_is_refused(tmp_path, mode):
    entry = zipfile.ZipInfo("image")
    entry.external_attr = mode << 16
    refused(zipped(tmp_path / "a.zip", {entry: b"/etc/passwd"}), "archive-special")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_a_tar_with_a_link_or_a_device_is_refused(tmp_path, kind):
    refused(with_entry(tmp_path / "a.tar", kind, "/etc/passwd"), "archive-special")


def test_a_sparse_tar_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as out:
        entry = tarfile.TarInfo("image")
        entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.realsize": str(1 << 50)}
        out.addfile(entry)
    refused(tmp_path / "a.tar", "archive-unsupported")


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["n" * 256, "/".join(["n" * 250] * 5), "n/" * 51 + "n"])
def test_a_name_too_long_or_too_deep_is_refused(tmp_path, pack, name):
    refused(pack(tmp_path / "archive", {name: b"1"}), "archive-name")


def test_a_name_that_comes_twice_is_refused(tmp_path):
    files = {zipfile.ZipInfo("a/b"): b"1", "a/b": b"2"}
    with pytest.warns(UserWarning, match="Duplicate name"):
        zipped(tmp_path / "a.zip", files)
    refused(tmp_path / "a.zip", "archive-repeated")
    refused(tarred(tmp_path / "a.tar", {"a/b": b"1", "a/./b": b"2"}), "archive-repeated")
    refused(tarred(tmp_path / "a.tar", {"a": b"1", "a/b": b"2"}), "archive-repeated")
    refused(tarred(tmp_path / "a.tar", {"a/b": b"1", "a": b"2"}), "archive-repeated")


def test_names_that_cannot_be_printed_are_replaced(tmp_path):
    content = save_nifti(tmp_path / "a.nii").read_bytes()
    bytes_of_another_time = b"M\xfcller.nii".decode("utf-8", "surrogateescape")
    files = {bytes_of_another_time: content, "b\x1b[2J.nii": content, "d\\e\\c.nii": content}
    found = scan(tarred(tmp_path / "a.tar", files, "", tarfile.GNU_FORMAT))
    assert sorted(len(one.case) for one in found) == [1, 16, 16]
    assert all(one.usable and one.case.isprintable() for one in found)
    assert [one.case for one in found] == [one.case for one in scan(tmp_path / "a.tar")]


def test_modes_in_an_archive_mean_nothing(tmp_path):
    entry = zipfile.ZipInfo("a.nii")
    entry.external_attr = 0o104777 << 16
    found = scan(zipped(tmp_path / "a.zip", {entry: save_nifti(tmp_path / "a.nii").read_bytes()}))
    assert not found[0].files[0].stat().st_mode & 0o4111


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_too_many_files_are_refused(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(members, "MOST_ENTRIES", 5)
    path = pack(tmp_path / "archive", {str(n): b"" for n in range(6)})
    refused(path, "archive-entries")
    scan(pack(tmp_path / "archive", {str(n): b"" for n in range(5)}))


def test_a_directory_of_too_many_entries_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", {f"{n:0200}": b"" for n in range(5000)})
    monkeypatch.setattr(members, "MOST_ENTRIES", 4000)
    monkeypatch.setattr(zipfile, "ZipInfo", None)
    refused(path, "archive-entries")
    monkeypatch.setattr(members, "_DIRECTORY", 1 << 20)
    refused(path, "archive-entries")


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_too_many_bytes_are_refused(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(members, "MOST_BYTES", 1 << 20)
    path = pack(tmp_path / "archive", {"a": os.urandom(600_000), "b": os.urandom(600_000)})
    refused(path, "archive-too-large")


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_beyond_the_free_disk_is_refused(tmp_path, monkeypatch, pack):
    usage = namedtuple("usage", "free")(members.KEPT_FREE + 1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    refused(pack(tmp_path / "archive", {"a": b"1" * 2000}), "archive-no-space")


def test_a_disk_that_fills_meanwhile_is_told(tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device", str(self))

    path = zipped(tmp_path / "a.zip", {"Doe/a": b"1"})
    monkeypatch.setattr(Path, "mkdir", full)
    assert "Doe" not in refused(path, "archive-no-space")


def bomb(path, packing):
    files = {"a.dcm": bytes(24 << 20)}
    return zipped(path, files, packing) if packing in range(20) else tarred(path, files, packing)


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, "gz", "bz2", "xz"])
def test_a_bomb_is_stopped_early_in_flat_memory(tmp_path, monkeypatch, temporary, packing):
    path = bomb(tmp_path / "bomb", packing)
    monkeypatch.setattr(members, "RATIO_FROM", 4 << 20)
    monkeypatch.setattr(members, "MOST_RATIO", 2)
    written = []
    monkeypatch.setattr(members.Meter, "count", counted(members.Meter.count, written))
    tracemalloc.start()
    try:
        refused(path, "archive-ratio")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20  # xz has a dictionary of 8 MiB
    assert sum(written) <= (4 << 20) + members.BLOCK


def counted(count, written):
    def counting(meter, size):
        written.append(size)
        count(meter, size)

    return counting


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize("claim", [10, 1 << 20, (24 << 20) + 1])
def test_a_zip_that_lies_about_its_size_is_damaged(tmp_path, monkeypatch, claim, packing):
    path = zipped(tmp_path / "bomb", {"a": bytes(24 << 20)}, packing)
    content = path.read_bytes()
    lie = content.replace(struct.pack("<L", 24 << 20), struct.pack("<L", claim))
    assert lie != content
    path.write_bytes(lie)
    written = []
    monkeypatch.setattr(members.Meter, "count", counted(members.Meter.count, written))
    refused(path, "archive-damaged")
    assert sum(written) <= claim + members.BLOCK


def test_an_extended_header_of_any_size_is_not_taken_into_memory(tmp_path):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    path = tmp_path / "a.tar"
    path.write_bytes(header.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    os.truncate(path, (1 << 30) + 2048)  # a hole on the disk
    tracemalloc.start()
    try:
        refused(path, "archive-damaged")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text", [b"", b"5", b"99 path=x\n", b"0 path=x\n", b"-1 a=b\n", b"x a=b\n"]
)
def test_an_extended_header_of_nonsense_is_damage(tmp_path, text):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, len(text)
    record = text + bytes(-len(text) % 512)
    path = tmp_path / "a.tar"
    path.write_bytes(header.tobuf(tarfile.USTAR_FORMAT) + record + bytes(1024))
    if text:
        refused(path, "archive-damaged")
    else:
        assert not scan(path)


def test_an_xz_that_wants_much_memory_is_refused(tmp_path):
    content = lzma.compress(tarred(tmp_path / "a.tar", {"a": b"1"}).read_bytes())
    at = content.index(b"\x21\x01") + 2  # after the filter LZMA2 and the size of its property
    header = content[12:at] + bytes([36]) + content[at + 1 : 20]  # a dictionary of 1 GiB
    path = tmp_path / "a.txz"
    path.write_bytes(content[:12] + header + struct.pack("<L", crc32(header)) + content[24:])
    refused(path, "archive-unsupported", "much memory")


def test_streams_of_xz_may_follow_each_other(tmp_path, study):
    plain = tarred(tmp_path / "a.tar", contents(study)).read_bytes()
    path = tmp_path / "a.txz"
    path.write_bytes(lzma.compress(plain[:5000]) + bytes(8) + lzma.compress(plain[5000:]))
    assert told(scan(path)) == told(scan(study))


def test_a_locked_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a": b"1"})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag of encryption, in the file's own header and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    refused(path, "archive-encrypted")


def test_a_zip_by_another_method_is_refused(tmp_path):
    path = zipped(tmp_path / "a", {"a": b"1"}, zipfile.ZIP_LZMA)
    refused(path, "archive-unsupported", "method 14")


@pytest.mark.parametrize("magic", [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x00", b"\x28\xb5\x2f\xfd"])
def test_archives_without_a_reader_are_refused(tmp_path, magic):
    (tmp_path / "a").write_bytes(magic + bytes(100))
    refused(tmp_path / "a", "archive-unsupported", "of the kind")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(packing=st.sampled_from(["zip", *TARS]), share=st.floats(0, 1))
@example(packing="gz", share=1.0)
@example(packing="zip", share=1.0)
def test_an_archive_cut_anywhere_is_refused(tmp_path_factory, packing, share):
    folder = tmp_path_factory.mktemp("cut")
    files = {str(n): os.urandom(700) for n in range(5)}
    path = folder / "archive"
    zipped(path, files) if packing == "zip" else tarred(path, files, packing)
    whole = 8192 if packing == "" else path.stat().st_size  # a plain tar ends with its mark
    path.write_bytes(path.read_bytes()[: 513 + int(share * (whole - 514))])
    refused(path, "archive-damaged")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(packing=st.sampled_from(["zip", "gz", "bz2", "xz"]), share=st.floats(0, 1, exclude_max=True),
       bit=st.integers(0, 7))  # fmt: skip
def test_a_flipped_bit_is_refused_or_changes_no_content(tmp_path_factory, packing, share, bit):
    folder = tmp_path_factory.mktemp("flip")
    files = {str(n): os.urandom(700) for n in range(5)}
    path = folder / "archive"
    zipped(path, files) if packing == "zip" else tarred(path, files, packing)
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1 << bit
    path.write_bytes(content)
    if archive.kind_of(path):
        with suppress(InputRefused):
            unpacked = archive.unpack(path)
            assert sorted(contents(unpacked.folder).values()) == sorted(files.values())


def test_a_damaged_header_within_a_tar_is_not_taken_for_its_end(tmp_path):
    path = tarred(tmp_path / "a.tar", {"a": b"1" * 600, "b": b"2" * 600})
    content = bytearray(path.read_bytes())
    content[1536] ^= 1
    path.write_bytes(content)
    assert "after 1 whole" in refused(path, "archive-damaged")


def test_an_archive_without_images_says_so(tmp_path):
    with pytest.raises(InputRefused, match="1 no image") as refusal:
        read(zipped(tmp_path / "a.zip", {"Doe.txt": b"hello"}))
    assert refusal.value.code == "no-images"
    assert scan(zipped(tmp_path / "a.zip", {})) == []


def test_unpacking_tells_how_far_it_is(tmp_path):
    folder = write(tmp_path / "in")
    series(folder)
    for path in (zipped(tmp_path / "a", contents(folder)),
                 tarred(tmp_path / "b", contents(folder), "gz")):  # fmt: skip
        seen = []
        scan(path, unpacking=lambda done, total, seen=seen: seen.append((done, total)))
        assert len(seen) == 6
        assert seen == sorted(seen)
        assert seen[-1][0] <= seen[-1][1]


@pytest.mark.peer
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared scans (../shared/data) are not here")
@pytest.mark.parametrize("path", sorted(SHARED.rglob("*.zip")), ids=lambda path: path.stem)
def test_shared_archives_are_read_like_their_folders(tmp_path, path):
    with zipfile.ZipFile(path) as whole:
        whole.extractall(tmp_path / "in")
    packed, unpacked = scan(path), scan(tmp_path / "in")
    assert told(packed) == told(unpacked)
    for one, other in zip(packed, unpacked, strict=True):
        if one.usable:
            assert np.array_equal(one.read().array, other.read().array)
