"""What TensorBoard and MLflow are told of a training, and where they keep it."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from medseg.errors import PlanRefused
from medseg.training import load_config, tracking
from medseg.training.epochs import read_epochs
from medseg.training.fit import fit
from medseg.training.opening import open_training


class Client:
    """An MLflow client whose store is a dictionary."""

    def __init__(self, store):
        self.store = store

    def get_experiment_by_name(self, name):
        found = self.store["experiments"].get(name)
        return found and SimpleNamespace(experiment_id=found)

    def create_experiment(self, name, artifact_location):
        self.store["experiments"][name] = name
        return name

    def search_runs(self, experiments, max_results):
        newest = reversed(range(len(self.store["runs"])))
        return [SimpleNamespace(info=SimpleNamespace(run_id=n)) for n in newest][:max_results]

    def create_run(self, experiment):
        self.store["runs"].append({"params": {}, "metrics": {}, "status": "RUNNING"})
        return SimpleNamespace(info=SimpleNamespace(run_id=len(self.store["runs"]) - 1))

    def update_run(self, run, status):
        self.store["runs"][run]["status"] = status

    def log_param(self, run, key, value):
        assert key not in self.store["runs"][run]["params"], "MLflow refuses another value"
        self.store["runs"][run]["params"][key] = value

    def log_metric(self, run, key, value, step):
        self.store["runs"][run]["metrics"].setdefault(key, []).append((step, value))

    def set_terminated(self, run):
        self.update_run(run, "FINISHED")


@pytest.fixture
def mlflow(monkeypatch):
    """Put a module in MLflow's place and return the stores that it will have, by address."""
    stores = {}
    made = ModuleType("mlflow")
    made.MlflowClient = lambda uri: Client(stores.setdefault(uri, {"experiments": {}, "runs": []}))
    monkeypatch.setitem(sys.modules, "mlflow", made)
    monkeypatch.setattr(tracking, "find_spec", lambda name: made)
    return stores


def stopped_after_an_epoch(training, out):
    """Train until the second epoch has begun."""

    def stop(stage, done, total, note):
        if stage == "train" and done > 3:  # steps of an epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(training, out, progress=stop)


def test_tensorboard_shows_every_epoch_of_a_resumed_training(config, tmp_path):
    training = open_training(load_config(config, ["track=[tensorboard]"]))
    stopped_after_an_epoch(training, tmp_path / "run")
    fit(training, tmp_path / "run", resume=True)
    told = EventAccumulator(str(tmp_path / "run" / "tensorboard" / "train")).Reload()
    losses = [float(make_ndarray(event.tensor_proto)) for event in told.Tensors("epoch_loss")]
    epochs = read_epochs(tmp_path / "run" / "metrics.csv")
    assert losses == pytest.approx([one.loss for one in epochs], rel=1e-5)


def test_mlflow_keeps_settings_and_epochs_in_the_folder_of_the_training(config, tmp_path, mlflow):
    training = open_training(load_config(config, ["track=[mlflow]"]))
    out = tmp_path / "run"
    fit(training, out)
    [(address, store)] = mlflow.items()
    assert address == f"sqlite:///{out}/mlflow/mlflow.db"
    [run] = store["runs"]
    assert run["status"] == "FINISHED"
    assert run["params"]["epochs"] == "2"
    assert not {"dataset", "card"} & run["params"].keys()
    losses = [(one.epoch, pytest.approx(one.loss)) for one in read_epochs(out / "metrics.csv")]
    assert run["metrics"]["loss"] == losses


def test_a_resumed_training_goes_on_with_its_mlflow_run(config, tmp_path, mlflow):
    training = open_training(load_config(config, ["track=[mlflow]"]))
    stopped_after_an_epoch(training, tmp_path / "run")
    fit(training, tmp_path / "run", resume=True)
    [store] = mlflow.values()
    assert [[step for step, _ in run["metrics"]["loss"]] for run in store["runs"]] == [[1, 2]]
    assert store["runs"][0]["status"] == "FINISHED"
    fit(training, tmp_path / "run", overwrite=True)
    assert len(store["runs"]) == 2


def test_a_tracker_that_is_not_installed_is_refused_before_anything_is_written(
    config, tmp_path, monkeypatch
):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(PlanRefused, match="track names mlflow, which is not installed") as refusal:
        fit(open_training(load_config(config, ["track=[mlflow]"])), tmp_path / "run")
    assert refusal.value.code == "tracker-missing"
    assert not (tmp_path / "run").exists()
