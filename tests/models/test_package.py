import hashlib
import json
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from medseg.errors import ModelRefused
from medseg.models import ModelPackage, package

BOTH = pytest.mark.parametrize("name", ["tiny", "tiny.zip"])


def refused(path) -> ModelRefused:
    with pytest.raises(ModelRefused) as refusal:
        ModelPackage.open(path)
    return refusal.value


def rewritten(folder, change) -> None:
    """Change the record of a package folder by hand."""
    record = json.loads((folder / "model.json").read_text())
    change(record)
    (folder / "model.json").write_text(json.dumps(record))


def repacked(folder, data: bytes) -> None:
    """Put other bytes in place of the weights, and their size and hash into the record."""
    (folder / "weights.safetensors").write_bytes(data)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    rewritten(folder, lambda record: record["files"].update({"weights.safetensors": entry}))


def safetensors(header: dict, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@BOTH
def test_a_package_comes_back_as_it_was_written(packed, plan, card, weights, name):
    opened = ModelPackage.open(packed(name).path)
    assert (opened.name, opened.version, opened.card) == ("tiny", "1.0", card)
    assert opened.plan.hash == plan.hash
    loaded = opened.weights()
    assert loaded.keys() == weights.keys()
    for path, array in weights.items():
        assert loaded[path].dtype == np.float32
        np.testing.assert_array_equal(loaded[path], array.astype(np.float16))


def test_folder_and_zip_of_one_model_have_one_hash(packed):
    assert packed("tiny").hash == packed("tiny.zip").hash


def test_the_hash_follows_the_weights_and_the_plan(packed, weights, plan):
    first = packed("a").hash
    other = packed("b", weights={**weights, "stem/bias": np.ones(2)}).hash
    third = packed("c", plan=plan.model_copy(update={"spacing": (1, 1, 2)})).hash
    assert len({first, other, third}) == 3


def test_equal_content_makes_an_equal_zip(packed):
    first, second = packed("a.zip").path, packed("b.zip").path
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


@BOTH
def test_a_second_write_replaces_the_package_and_leaves_nothing_beside(packed, tmp_path, name):
    packed(name)
    assert packed(name, version="2.0").version == "2.0"
    assert ModelPackage.open(tmp_path / name).version == "2.0"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@BOTH
def test_a_write_that_fails_leaves_the_older_package(packed, tmp_path, name, monkeypatch):
    packed(name)

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(package.ModelPackage, "open", fail)
    with pytest.raises(KeyboardInterrupt):
        packed(name, version="2.0")
    monkeypatch.undo()
    assert ModelPackage.open(tmp_path / name).version == "1.0"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_folder_of_something_else_is_not_replaced(packed, tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "thesis.txt").write_text("years of work")
    with pytest.raises(ModelRefused) as refusal:
        packed()
    assert refusal.value.code == "package-occupied"
    assert (tmp_path / "tiny" / "thesis.txt").exists()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 7e4])  # 65504 is the largest float16
def test_weights_that_float16_cannot_hold_are_not_written(packed, weights, bad):
    with pytest.raises(ModelRefused) as refusal:
        packed(weights={**weights, "stem/bias": np.array([0, bad])})
    assert refusal.value.code == "weights-not-finite"
    assert "stem/bias" in refusal.value.found


def test_a_name_that_is_no_plain_word_is_not_written(packed, tmp_path):
    with pytest.raises(ModelRefused) as refusal:
        packed(version="../1")
    assert refusal.value.code == "package-invalid"
    assert "version" in refusal.value.found
    assert not list(tmp_path.iterdir())


def test_opening_loads_neither_keras_nor_numerics(packed):
    path = packed().path
    script = (
        f"import sys; from medseg.models import ModelPackage; ModelPackage.open({str(path)!r});"
        "heavy = {'keras', 'tensorflow', 'openvino', 'scipy', 'cv2'} & sys.modules.keys();"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# What is refused


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    assert refused(tmp_path / "none").code == "package-missing"


def test_a_folder_without_a_record_is_refused(tmp_path):
    refusal = refused(tmp_path)
    assert refusal.code == "package-foreign"
    assert "no model.json" in refusal.found
    assert "shipped" in refusal.do


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    (tmp_path / "model.zip").write_bytes(pickle.dumps({"weights": 1}))
    refusal = refused(tmp_path / "model.zip")
    assert refusal.code == "package-foreign"
    assert "neither a folder nor a zip" in refusal.found


@pytest.mark.parametrize("name", ["net.keras", "net.h5", "net.pkl", "net.pth", "NET.PT"])
def test_a_file_that_can_run_code_is_never_loaded(tmp_path, name):
    (tmp_path / name).write_bytes(b"anything")
    refusal = refused(tmp_path / name)
    assert refusal.code == "package-unsafe"
    assert "never loads" in refusal.found
    assert "run code" in refusal.found
    assert "write one with medseg" in refusal.do


@pytest.mark.parametrize("inside", ["model.weights.h5", "data.pkl", "saved_model.pb"])
def test_such_a_file_is_known_inside_a_renamed_zip_and_a_folder(packed, inside):
    folder, archive = packed("tiny").path, packed("tiny.zip").path
    (folder / inside).write_bytes(b"anything")
    with zipfile.ZipFile(archive, "a") as target:
        target.writestr(inside, b"anything")
    assert "never loads" in refused(folder).found
    assert "never loads" in refused(archive).found


def test_a_flipped_bit_in_the_weights_is_refused(packed):
    path = packed().path / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    refusal = refused(path.parent)
    assert refusal.code == "package-damaged"
    assert "weights.safetensors" in refusal.found
    assert "again" in refusal.do


def test_a_flipped_bit_in_a_zip_is_refused(packed):
    path = packed("tiny.zip").path
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") - 1] ^= 1  # the last byte before the directory
    path.write_bytes(data)
    assert refused(path).code == "package-damaged"


def test_weights_that_changed_since_opening_are_refused(packed):
    opened = packed()
    path = opened.path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ModelRefused) as refusal:
        opened.weights()
    assert refusal.value.code == "package-damaged"


def test_cut_off_weights_are_refused(packed):
    path = packed().path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    assert refused(path.parent).code == "package-damaged"


def test_a_missing_file_is_named(packed):
    folder = packed().path
    (folder / "weights.safetensors").unlink()
    refusal = refused(folder)
    assert refusal.code == "package-incomplete"
    assert "weights.safetensors" in refusal.found


def test_a_record_without_weights_is_refused(packed):
    folder = packed().path
    rewritten(folder, lambda record: record["files"].clear())
    assert refused(folder).code == "package-incomplete"


def test_a_file_that_the_record_does_not_know_is_refused(packed):
    folder = packed().path
    (folder / "notes.txt").write_text("mine")
    refusal = refused(folder)
    assert refusal.code == "package-unsafe"
    assert "notes.txt" in refusal.found


def test_hidden_files_of_the_system_are_passed_over(packed):
    folder = packed().path
    (folder / ".DS_Store").write_bytes(b"\0")
    assert ModelPackage.open(folder).name == "tiny"


def test_a_newer_format_asks_for_an_update(packed):
    folder = packed().path
    rewritten(folder, lambda record: record.update(format=2, surprise=True))
    refusal = refused(folder)
    assert refusal.code == "package-newer"
    assert "Update medseg" in refusal.do


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda r: r["plan"].update(patch=[8, 8, 0]), "plan.patch.2"),
        (lambda r: r["plan"].update(orientation="XYZ"), "plan"),
        (lambda r: r["plan"]["labels"]["labels"][0].update(value=0), "above 0"),
        (lambda r: r["card"].pop("intended_use"), "card.intended_use"),
        (lambda r: r["plan"]["network"]["arguments"].update(slope=float("nan")), "not JSON"),
        (lambda r: r.update(lambda_layer="x"), "lambda_layer"),
        (lambda r: r.update(name="../../etc"), "name"),
        (lambda r: r["files"].update({"../x": {"sha256": "0" * 64, "size": 1}}), "files"),
    ],
)
def test_a_record_with_a_wrong_field_is_refused_by_its_name(packed, change, word):
    folder = packed().path
    rewritten(folder, change)
    refusal = refused(folder)
    assert refusal.code == "package-invalid"
    assert word in refusal.found


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b"\xff\xfe", b'{"format": NaN}', b"[" * 100_000], ids=range(5)
)
def test_a_record_that_is_not_json_is_refused(packed, text):
    folder = packed().path
    (folder / "model.json").write_bytes(text)
    assert refused(folder).code == "package-invalid"


def test_a_record_of_many_megabytes_is_refused_before_it_is_read(packed):
    folder = packed().path
    with (folder / "model.json").open("wb") as stream:
        stream.truncate(100 << 20)
    assert refused(folder).code == "package-too-large"


def test_weights_of_many_gigabytes_are_refused_before_they_are_read(packed):
    folder = packed().path
    with (folder / "weights.safetensors").open("wb") as stream:
        stream.truncate(5 << 30)  # sparse: takes no room on the disk
    refusal = refused(folder)
    assert refusal.code == "package-too-large"
    assert str(5 << 30) in refusal.found


# Hostile weights


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(pickle.dumps(np.zeros(9)), id="a pickle"),
        pytest.param(b"", id="empty"),
        pytest.param(struct.pack("<Q", 1 << 62), id="a header of exabytes"),
        pytest.param(safetensors({"a": {"dtype": "F16", "shape": [1 << 40, 1 << 40],
                                        "data_offsets": [0, 4]}}, b"1234"),
                     id="a shape of yottabytes"),
        pytest.param(safetensors({"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}},
                                 b"12345678"), id="another type"),
        pytest.param(safetensors({"a": {"dtype": "F16", "shape": [-2], "data_offsets": [0, 4]}},
                                 b"1234"), id="a negative shape"),
        pytest.param(safetensors({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]},
                                  "b": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}},
                                 b"1234"), id="overlap"),
        pytest.param(safetensors({"a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 4]},
                                  "b": {"dtype": "F16", "shape": [2], "data_offsets": [4, 12]}},
                                 b"123456789012"), id="shapes that fill the file, misplaced"),
        pytest.param(safetensors({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}},
                                 b"123456"), id="more data than arrays"),
        pytest.param(safetensors({"a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}},
                                 b"1234"), id="less data than arrays"),
    ],
)  # fmt: skip
def test_weights_that_are_no_safetensors_file_are_refused(packed, data):
    folder = packed().path
    repacked(folder, data)
    refusal = refused(folder)
    assert refusal.code == "weights-invalid"
    assert "weights.safetensors cannot be read" in refusal.found


def test_a_header_that_is_no_json_is_refused(packed):
    folder = packed().path
    repacked(folder, struct.pack("<Q", 4) + b"\x80\x04K\x01")
    assert refused(folder).code == "package-invalid"


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"stem/kernel": (3, 3, 3, 1, 2)}, "lack stem/bias"),
        ({"stem/kernel": (3, 3, 3, 1, 2), "stem/bias": (2,), "x": (1,)}, "unknown array, x"),
        ({"stem/kernel": (3, 3, 3, 2, 1), "stem/bias": (2,)}, "in place of (3, 3, 3, 1, 2)"),
    ],
)
def test_weights_other_than_the_record_says_are_refused(packed, arrays, words):
    from safetensors.numpy import save

    folder = packed().path
    repacked(folder, save({name: np.zeros(shape, np.float16) for name, shape in arrays.items()}))
    refusal = refused(folder)
    assert refusal.code == "weights-differ"
    assert words in refusal.found


def test_weights_that_are_not_finite_are_refused(packed, weights):
    from safetensors.numpy import save

    weights["stem/bias"][1] = np.nan
    folder = packed(weights={**weights, "stem/bias": np.zeros(2)}).path
    repacked(folder, save({path: array.astype(np.float16) for path, array in weights.items()}))
    with pytest.raises(ModelRefused) as refusal:
        ModelPackage.open(folder).weights()
    assert refusal.value.code == "weights-not-finite"
    assert "stem/bias" in refusal.value.found


# Hostile archives


def with_entry(path, entry, data=b"x", **how):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, data, **how)
    return refused(path)


@pytest.mark.parametrize(
    "entry", ["../out", "/etc/out", "a/b", "C:out", "..\\out", "tiny/model.json"]
)
def test_names_that_lead_out_of_a_zip_are_refused(packed, entry):
    refusal = with_entry(packed("tiny.zip").path, entry)
    assert refusal.code == "package-unsafe"
    assert "leads elsewhere" in refusal.found
    assert "not the folder around them" in refusal.do


def test_a_link_in_a_zip_is_refused(packed):
    entry = zipfile.ZipInfo("link")
    entry.external_attr = 0o120777 << 16
    refusal = with_entry(packed("tiny.zip").path, entry, b"/etc/passwd")
    assert refusal.code == "package-unsafe"
    assert "is a link" in refusal.found


def test_a_link_in_a_folder_is_refused(packed, tmp_path):
    folder = packed().path
    (tmp_path / "elsewhere").write_bytes((folder / "weights.safetensors").read_bytes())
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").symlink_to(tmp_path / "elsewhere")
    assert "link or a folder" in refused(folder).found


def test_a_zip_bomb_is_refused_before_it_is_unpacked(packed):
    refusal = with_entry(
        packed("tiny.zip").path, "bomb", bytes(10 << 20), compress_type=zipfile.ZIP_DEFLATED
    )
    assert refusal.code == "package-too-large"
    assert "made to fill the memory" in refusal.found


def test_a_name_that_comes_twice_in_a_zip_is_refused(packed):
    with pytest.warns(UserWarning, match="Duplicate"):
        refusal = with_entry(packed("tiny.zip").path, "model.json", b"{}")
    assert "comes twice" in refusal.found


def test_a_zip_of_many_files_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(20):
            archive.writestr(f"f{number}", b"")
    assert "20 files" in refused(tmp_path / "many.zip").found


def test_a_cut_off_zip_is_refused(packed):
    path = packed("tiny.zip").path
    path.write_bytes(path.read_bytes()[100:])
    assert refused(path).code in {"package-damaged", "package-foreign"}
