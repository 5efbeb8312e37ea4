import os
from importlib import import_module
from types import SimpleNamespace

import pytest

from medseg.doctor import checks
from medseg.doctor.checks import Check


@pytest.fixture
def light(monkeypatch):
    """Leave out the checks that load frameworks."""
    for name in ("keras", "gpu", "onednn", "precision", "openvino"):
        monkeypatch.setattr(checks, name, lambda name=name: Check(name, "ok", ""))


def test_every_check_reports_and_counts(light, tmp_path):
    heard = []
    found = checks.examine(tmp_path, lambda done, total: heard.append((done, total)))
    assert [check.name for check in found][:3] == ["Python", "medseg", "Packages"]
    assert heard == [(n, len(found)) for n in range(len(found))]
    assert not [check for check in found if check.level == "error"]


def test_a_check_that_fails_is_an_error_and_stops_no_other(light, tmp_path, monkeypatch):
    def broken():
        raise ImportError("libtensorflow.so.2: no such file\nand a second line")

    monkeypatch.setattr(checks, "keras", broken)
    found = {check.name: check for check in checks.examine(tmp_path)}
    assert found["Keras"].level == "error"
    assert found["Keras"].words == "ImportError: libtensorflow.so.2: no such file"
    assert "new environment" in found["Keras"].do
    assert found["Disk"].level in ("ok", "warning")


@pytest.mark.parametrize("pair", checks.TWINS)
def test_packages_that_overwrite_one_another_are_a_warning(monkeypatch, pair):
    monkeypatch.setattr(checks, "_version", lambda name: "1.0" if name in pair else "")
    found = checks.packages()
    assert found.level == "warning"
    assert " and ".join(pair) in found.words
    assert "pip uninstall" in found.do


def test_one_of_two_packages_is_fine(monkeypatch):
    ours = {"opencv-python-headless", "tensorflow"}
    monkeypatch.setattr(checks, "_version", lambda name: "1.0" if name in ours else "")
    assert checks.packages().level == "ok"


@pytest.fixture
def tensorflow(monkeypatch):
    """Stand in for Keras on a backend, and for what TensorFlow says of oneDNN."""

    def stand_in(backend="tensorflow", *, on=True):
        library = SimpleNamespace(backend=SimpleNamespace(backend=lambda: backend))
        monkeypatch.setattr(checks, "load_keras", lambda: library)
        monkeypatch.setattr(checks, "import_module",
                            lambda name: SimpleNamespace(IsMklEnabled=lambda: on))  # fmt: skip

    return stand_in


@pytest.mark.parametrize(("on", "level"), [(True, "ok"), (False, "warning")])
def test_onednn_off_is_a_warning_that_says_how_to_turn_it_on(tensorflow, on, level):
    tensorflow(on=on)
    found = checks.onednn()
    assert (found.level, found.details) == (level, {"on": on})
    assert ("TF_ENABLE_ONEDNN_OPTS=1" in found.do) is not on


def test_onednn_is_of_no_concern_to_other_backends(tensorflow):
    tensorflow("jax")
    assert checks.onednn().level == "info"


def test_keras_on_another_backend_is_told_what_does_not_work(tensorflow):
    tensorflow("jax")
    found = checks.keras()
    assert found.level == "info"
    assert "--engine keras" in found.do


def test_frameworks_answer_for_themselves_and_in_silence(capfd):
    # Fails when TensorFlow no longer says where it did whether oneDNN is on.
    for check in (checks.keras, checks.gpu, checks.onednn, checks.precision, checks.openvino):
        found = check()
        assert found.level != "error"
        assert found.words
    assert checks.onednn().details["on"] in (True, False)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("driver", "level"), [(True, "warning"), (False, "info")])
def test_a_driver_without_a_gpu_for_keras_is_a_warning(monkeypatch, driver, level):
    monkeypatch.setattr("medseg.training.precision.has_gpu", lambda: False)
    monkeypatch.setattr("medseg.inference.machine.has_nvidia_driver", lambda: driver)
    found = checks.gpu()
    assert found.level == level
    assert ("medseg[gpu]" in found.do) is driver


def test_little_memory_is_a_warning(monkeypatch):
    monkeypatch.setattr("medseg.inference.machine.available_memory", lambda: 10**9)
    assert checks.machine().level == "warning"
    monkeypatch.setattr("medseg.inference.machine.available_memory", lambda: None)
    assert checks.machine().words.endswith("free memory unknown")


def test_missing_decoders_are_a_warning_with_one_line_for_pip(monkeypatch):
    from medseg.reading import decoders

    gone = [decoders.Decoder("1.2", "HTJ2K", (), "pylibjpeg pylibjpeg-openjpeg"),
            decoders.Decoder("1.3", "JPEG lossless", (), "python-gdcm"),
            decoders.Decoder("1.4", "Explicit", ("pydicom",)),
            decoders.Decoder("1.5", "HTJ2K too", (), "pylibjpeg pylibjpeg-openjpeg")]  # fmt: skip
    monkeypatch.setattr(decoders, "decoders", lambda: gone)
    found = checks.decoders()
    assert found.level == "warning"
    assert found.words.startswith("1 of 4")
    assert found.do == "pip install pylibjpeg pylibjpeg-openjpeg python-gdcm"
    monkeypatch.setattr(decoders, "decoders", lambda: gone[2:3])
    assert checks.decoders().level == "ok"


def test_a_shipped_model_that_changed_is_an_error_with_a_remedy(tmp_path, packed, monkeypatch):
    monkeypatch.setattr(import_module("medseg.models.shipped"), "home", lambda: tmp_path)
    monkeypatch.setattr(import_module("medseg.models.listing"), "home", lambda: tmp_path)
    assert checks.models().level == "warning"
    package = packed("whole")
    packed("harmed")
    found = checks.models()
    assert found.level == "ok"
    assert found.details["hashes"]["tiny"] == package.hash
    weights = tmp_path / "harmed" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    found = checks.models()
    assert found.level == "error"
    assert found.words == "harmed: weights.safetensors is not the file that was packed"
    assert "--force-reinstall" in found.do


def test_a_cache_that_cannot_be_written_is_a_warning_without_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    good = checks.cache_folder(tmp_path / "cache" / "medseg")
    assert (good.level, good.words) == ("ok", "~/cache/medseg can be written to")
    assert os.listdir(tmp_path / "cache" / "medseg") == []  # noqa: PTH208
    (tmp_path / "file").touch()
    bad = checks.cache_folder(tmp_path / "file" / "medseg")
    assert bad.level == "warning"
    assert "MEDSEG_CACHE" in bad.do


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch):
    assert checks.disk(tmp_path / "not" / "there").details["cache_gb"] > 0
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**9))
    assert checks.disk(tmp_path).level == "warning"
