"""Fixtures of all tests: generated data, one tiny trained run, the real data where it is there."""

import gc
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_once import SharedFolder

import dermedge_runtime  # noqa: F401, turns ONNX Runtime's telemetry off before a test imports it

# Set before torch is imported: on tensors this small, threads only wait for each other (seconds on a busy machine).
os.environ.setdefault("OMP_NUM_THREADS", "1")

REAL_DATA = Path("..", "shared", "data", "ham10000")  # seen from the repository's root
PAD_UFES_20 = REAL_DATA.with_name("pad_ufes_20")


def pytest_collection_finish() -> None:
    """Take what the imports left, half a million objects for good, out of all further garbage collections."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the pixel cache of the tests out of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMEDGE_CACHE", os.fspath(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> SharedFolder:
    """What all workers of this test run share."""
    return SharedFolder(tmp_path_factory)


@pytest.fixture(scope="session")
def synthetic_data(shared_folder: SharedFolder) -> Path:
    """A data folder with 28 lesions (4 per class) on 42 pictures. Read only: copy it before changing it."""
    from dermedge.data.synthetic import write_dataset

    return shared_folder.once("synthetic", lambda folder: write_dataset(folder, lesions_per_class=4))


@pytest.fixture(scope="session")
def trained_run(synthetic_data: Path, shared_folder: SharedFolder):
    """The run of a narrow cross_attention at 32 px after two tiny epochs. Read only: copy it before changing it."""
    from quarter_branch import quarter_widths

    from dermedge.config import TrainConfig
    from dermedge.data.ham10000 import read_samples
    from dermedge.data.splits import make_split
    from dermedge.training.run import Run
    from dermedge.training.run_folder import RunFolder
    from dermedge.training.train import start_run, train

    small = {"image_size": 32, "epochs": 2, "per_class": 8, "batch_size": 28}
    config = TrainConfig(data=str(synthetic_data), widths=quarter_widths(), **small)

    def make(folder: Path) -> None:
        samples = read_samples(synthetic_data)
        run = start_run(config, make_split(samples, config.protocol, config.seed), RunFolder(folder))
        train(config, samples, run)

    return Run.open(shared_folder.once(config.fusion, make))


@pytest.fixture(scope="module")
def traced_once(shared_folder: SharedFolder) -> Iterator[None]:
    """Exports of this file take the graph of a network that was traced before from there."""
    from traced_once import tracing_once

    with tracing_once(shared_folder):
        yield


@pytest.fixture(scope="session")
def exported(trained_run, synthetic_data: Path, shared_folder: SharedFolder) -> dict:
    """Reports of the three precisions of the tiny run, by precision. Read only, and shared by all workers."""
    from traced_once import tracing_once

    from dermedge.data.ham10000 import read_samples
    from dermedge_export import pipeline
    from dermedge_export.check.parity import Limits

    loose = Limits(agreement=0, balanced_accuracy_drop=1)  # two epochs on a handful of pictures decide by a hair

    def export(folder: Path) -> None:
        samples = read_samples(synthetic_data)
        with tracing_once(shared_folder):
            reports = {
                precision: pipeline.export_model(
                    trained_run, samples, precision, folder / f"cross_attention-{precision}.onnx", limits=loose
                )
                for precision in pipeline.PRECISIONS
            }
        (folder / "reports").write_bytes(pickle.dumps(reports))

    reports: dict = pickle.loads((shared_folder.once("exported", export) / "reports").read_bytes())
    return reports


@pytest.fixture(scope="session")
def ham10000() -> Path:
    """The folder of the real data; a test that asks for it is skipped where it is absent."""
    folder = Path(__file__).parents[1] / REAL_DATA
    if not (folder / "HAM10000_metadata.csv").is_file():
        pytest.skip(f"the real data is absent: no {REAL_DATA.as_posix()} beside the repository")
    return folder


@pytest.fixture(scope="session")
def pad_ufes_20() -> Path:
    """The folder of the real PAD-UFES-20; a test that asks for it is skipped where it is absent."""
    folder = Path(__file__).parents[1] / PAD_UFES_20
    if not (folder / "metadata.csv").is_file():
        pytest.skip(f"the real data is absent: no {PAD_UFES_20.as_posix()} beside the repository")
    return folder
