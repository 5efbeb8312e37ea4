import shutil
import subprocess
import sys

import numpy as np
import pytest

from medseg.errors import EngineFailed, PlanRefused
from medseg.inference import engines, machine
from medseg.inference.engines import choose


@pytest.fixture(scope="module")
def tile():
    return np.random.default_rng(1).normal(size=(1, 16, 24, 16, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def keras_engine(package):
    return choose(package, engine="keras", device="cpu")[0]


def graphs(cache):
    return [entry for entry in (cache / "graphs").iterdir() if not entry.name.startswith(".")]


def test_both_engines_agree(keras_engine, warm, tile):
    one, other = keras_engine(tile), warm(tile)
    assert one.shape == other.shape == (1, 16, 24, 16, 3)
    assert one.dtype == other.dtype == np.float32
    assert np.abs(one - other).max() < 1e-4 * np.abs(one).max()


def test_engines_take_several_tiles(keras_engine, warm, tile):
    two = np.concatenate([tile, tile[:, ::-1]])
    for engine in (keras_engine, warm):
        assert engine(two).shape == (2, 16, 24, 16, 3)
        np.testing.assert_allclose(engine(two)[:1], engine(tile), atol=1e-5)


def test_engines_agree_on_a_2d_network(make_package, tmp_path):
    package = make_package(patch=(1, 16, 24))
    tile = np.random.default_rng(1).normal(size=(1, 16, 24, 1)).astype(np.float32)
    one = choose(package, engine="keras", device="cpu")[0](tile)
    other = choose(package, engine="openvino", cache=tmp_path)[0](tile)
    assert one.shape == other.shape == (1, 16, 24, 3)
    assert np.abs(one - other).max() < 1e-4 * np.abs(one).max()


def test_every_instance_norm_becomes_one_mvn_node(package, warm):
    from medseg.models.weights import network_of
    from medseg.networks.layers import InstanceNorm

    kinds = [
        node.get_rt_info()["layerType"].astype(str)
        for node in warm.compiled.get_runtime_model().get_ops()
    ]
    norms = [layer for layer in network_of(package).layers if isinstance(layer, InstanceNorm)]
    assert kinds.count("MVN") == len(norms) == 10
    assert "Reduce" not in kinds


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_precision_and_threads_are_always_set(package, cache, warm, monkeypatch, precision):
    # Not asked of the compiled graph: without bf16 in the processor f32 is the default.
    import openvino

    given, own = {}, openvino.Core.compile_model

    def spy(core, graph, device, settings):
        given.update(settings)
        return own(core, graph, device, settings)

    monkeypatch.setattr(openvino.Core, "compile_model", spy)
    choose(package, engine="openvino", precision=precision, cache=cache)
    assert given["INFERENCE_PRECISION_HINT"] == precision
    assert given["INFERENCE_NUM_THREADS"] == machine.cores()


def test_a_precision_that_the_processor_lacks_is_told(warm, package, cache):
    assert warm.precision == "f32"
    fast, findings = choose(package, engine="openvino", precision="bf16", cache=cache)
    told = "precision-unavailable" in [finding.code for finding in findings]
    assert (fast.precision == "bf16") != told  # one processor has it, the other says so


def test_keras_in_bf16_is_near_and_leaves_the_policy(package, keras_engine, tile):
    import keras

    fast = choose(package, engine="keras", device="cpu", precision="bf16")[0]
    exact, near = keras_engine(tile), fast(tile)
    assert 0 < np.abs(exact - near).mean() < 0.1 * exact.std()
    assert keras.config.dtype_policy().name == "float32"


def test_a_model_in_training_can_be_an_engine(package):
    from medseg.inference.engines.keras_engine import KerasEngine
    from medseg.models.weights import network_of

    model = network_of(package)
    engine = KerasEngine(model)
    tile = np.ones((1, 16, 24, 16, 1), np.float32)
    before = engine(tile)
    model.get_layer("head_0").bias.assign_add([1.0, 2.0, 3.0])
    np.testing.assert_allclose(engine(tile) - before, np.broadcast_to([1, 2, 3], before.shape),
                               atol=1e-4)  # fmt: skip


# The cache


def run_warm(package, cache, tail=""):
    script = (
        "import sys; from pathlib import Path; import numpy as np;"
        "from medseg.inference import Segmenter;"
        f"s = Segmenter.load({str(package.path)!r}, engine='openvino', cache=Path({str(cache)!r}));"
        "s.engine(np.zeros((1, 16, 24, 16, 1), np.float32));" + tail
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_the_second_run_imports_neither_tensorflow_nor_keras_nor_telemetry(package, cache, warm):
    done = run_warm(
        package,
        cache,
        "heavy = {'tensorflow', 'keras', 'scipy', 'safetensors', 'openvino_telemetry.main'};"
        "loaded = heavy & sys.modules.keys(); sys.exit(str(loaded) if loaded else 0)",
    )
    assert done.returncode == 0, done.stderr


def test_openvino_leaves_no_trace_in_the_home_folder(package, cache, warm, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run_warm(package, cache).returncode == 0
    assert not list(tmp_path.iterdir())


def test_conversion_opens_no_socket(package, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    script = (
        "import socket, sys\n"
        "def refuse(*_): sys.exit('a socket was opened')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from pathlib import Path\n"
        "from medseg.inference import Segmenter\n"
        f"Segmenter.load({str(package.path)!r}, engine='openvino', cache=Path({str(tmp_path)!r}))\n"
        "assert 'keras' in sys.modules and not sys.modules['openvino_telemetry']\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={"HOME": str(home)}
    )
    assert done.returncode == 0, done.stderr
    assert not (home / "intel").exists()


@pytest.mark.parametrize("harm", ["bits", "cut", "missing", "no sums", "foreign sums"])
def test_a_damaged_graph_is_rebuilt_and_said(package, cache, warm, tile, tmp_path, harm):
    shutil.copytree(cache, tmp_path / "cache")
    (folder,) = graphs(tmp_path / "cache")
    graph = folder / "graph.bin"
    data = bytearray(graph.read_bytes())
    if harm == "bits":
        data[len(data) // 2] ^= 255
        graph.write_bytes(data)
    elif harm == "cut":
        graph.write_bytes(data[:100])
    elif harm == "missing":
        graph.unlink()
    else:
        (folder / "sha256.json").write_text("{}" if harm == "foreign sums" else "")
    engine, findings = choose(package, engine="openvino", cache=tmp_path / "cache")
    assert [finding.code for finding in findings] == ["cache-rebuilt"]
    np.testing.assert_allclose(engine(tile), warm(tile), atol=1e-5)
    assert choose(package, engine="openvino", cache=tmp_path / "cache")[1] == ()
    assert len(graphs(tmp_path / "cache")) == 1


def test_a_cache_that_cannot_be_written_is_done_without(package, warm, tile, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    engine, findings = choose(package, engine="openvino", cache=tmp_path / "file")
    assert [finding.code for finding in findings] == ["cache-unwritable"]
    np.testing.assert_allclose(engine(tile), warm(tile), atol=1e-5)


def test_another_run_that_was_first_is_no_trouble(package, cache, warm, tmp_path, monkeypatch):
    from medseg.inference.engines import openvino_engine

    def beaten(*_):
        shutil.copytree(cache, tmp_path, dirs_exist_ok=True)
        raise OSError("Directory not empty")

    monkeypatch.setattr(openvino_engine, "_save", beaten)
    _, findings = choose(package, engine="openvino", cache=tmp_path)
    assert findings == ()
    assert len(list((tmp_path / "graphs").iterdir())) == 1


# Choosing


@pytest.fixture
def loaded(monkeypatch):
    """Record which engine would be loaded where; Keras finds GPUs when ``gpus`` says so."""
    calls = []

    def setup(*, driver, gpus):
        def load(name, package, device, precision, cache):
            calls.append((name, device))
            if device == "gpu" and not gpus:
                raise EngineFailed("gpu-missing", "Keras sees no GPU")
            return name, ()

        monkeypatch.setattr(engines, "has_nvidia_driver", lambda: driver)
        monkeypatch.setattr(engines, "_load", load)
        return calls

    return setup


@pytest.mark.parametrize(
    ("device", "driver", "gpus", "calls"),
    [
        ("auto", False, False, [("openvino", "cpu")]),
        ("auto", True, True, [("keras", "gpu")]),
        ("auto", True, False, [("keras", "gpu"), ("openvino", "cpu")]),
        ("cpu", True, True, [("openvino", "cpu")]),
        ("gpu", False, True, [("keras", "gpu")]),
    ],
)
def test_auto_takes_keras_for_a_gpu_and_openvino_for_a_cpu(
    loaded, package, device, driver, gpus, calls
):
    made = loaded(driver=driver, gpus=gpus)
    _, findings = choose(package, device=device)
    assert made == calls
    assert [f.code for f in findings] == (["gpu-unused"] if len(calls) == 2 else [])


def test_a_gpu_that_was_asked_for_and_is_not_there_fails(loaded, package):
    loaded(driver=True, gpus=False)
    with pytest.raises(EngineFailed) as failure:
        choose(package, device="gpu")
    assert failure.value.code == "gpu-missing"


def test_keras_says_what_to_install_for_a_gpu(package):
    import keras

    if keras.distribution.list_devices("gpu"):
        pytest.skip("there is a GPU")
    with pytest.raises(EngineFailed) as failure:
        choose(package, engine="keras", device="gpu")
    assert "medseg[gpu]" in failure.value.do


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"engine": "onnx"}, "engine-unknown"),
        ({"device": "tpu"}, "device-unknown"),
        ({"precision": "f8"}, "precision-unknown"),
        ({"engine": "openvino", "device": "gpu"}, "engine-device"),
    ],
)
def test_what_no_engine_does_is_refused(package, asked, code):
    with pytest.raises(PlanRefused) as refusal:
        choose(package, **asked)
    assert refusal.value.code == code
    assert refusal.value.do


@pytest.mark.parametrize(("quota", "cores"), [("100000 100000", 1), ("150000 100000", 2)])
def test_cores_respect_the_quota_of_a_container(tmp_path, monkeypatch, quota, cores):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: range(8))
    assert machine.cores() == cores


def test_memory_respects_the_limit_of_a_container(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("1000000")
    (tmp_path / "memory.current").write_text("400000")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert machine.available_memory() == 600_000
