"""Fixed buffers give the answers of plain runs; real ONNX Runtime, bound to the CPU's memory."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
import pytest
from make_tiny_model import SIZE, TINY

from dermedge_runtime.devices import bound_session
from dermedge_runtime.devices.bound_session import BoundSession

OUTPUTS = ("probabilities",)


@pytest.fixture(scope="module")
def session() -> Any:
    return onnxruntime.InferenceSession(TINY, providers=["CPUExecutionProvider"])


def feed(rows: int, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        "image": generator.integers(0, 256, (rows, SIZE, SIZE, 3), np.uint8),
        "numeric": generator.uniform(0, 90, (rows, 1)).astype(np.float32),
        "categorical": generator.integers(-1, 2, (rows, 2)).astype(np.int32),
    }


def plain(session: Any, arrays: dict[str, np.ndarray]) -> np.ndarray:
    return session.run(list(OUTPUTS), arrays)[0]


def test_answers_are_those_of_plain_runs_and_outlive_later_ones(session: Any) -> None:
    bound = BoundSession(session, "cpu")
    cases = [feed(rows, seed) for seed, rows in enumerate((1, 3, 1, 2, 3, 1))]
    answers = [bound.run(OUTPUTS, case)[0] for case in cases]
    for case, answer in zip(cases, answers, strict=True):
        np.testing.assert_array_equal(answer, plain(session, case))


def test_the_callers_arrays_are_not_written_to(session: Any) -> None:
    bound, first = BoundSession(session, "cpu"), feed(2, 0)
    before = {name: array.copy() for name, array in first.items()}
    bound.run(OUTPUTS, first)
    bound.run(OUTPUTS, feed(2, 1))
    for name, array in before.items():
        np.testing.assert_array_equal(first[name], array)


def test_arrays_of_any_layout(session: Any) -> None:
    case = feed(2, 0)
    turned = {**case, "image": np.asfortranarray(case["image"])}
    np.testing.assert_array_equal(BoundSession(session, "cpu").run(OUTPUTS, turned)[0], plain(session, case))


def test_threads_get_their_own_answers(session: Any) -> None:
    bound, cases = BoundSession(session, "cpu"), [feed(1, seed) for seed in range(40)]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda case: bound.run(OUTPUTS, case)[0], cases))
    for case, answer in zip(cases, answers, strict=True):
        np.testing.assert_array_equal(answer, plain(session, case))


class Watched:
    """A real session that remembers which captured graph every run asked for."""

    def __init__(self, session: Any) -> None:
        self.session, self.graphs = session, []

    def io_binding(self) -> Any:
        return self.session.io_binding()

    def run(self, outputs: list[str], arrays: dict[str, np.ndarray], options: Any) -> Any:
        self.graphs.append(options.get_run_config_entry("gpu_graph_id"))
        return self.session.run(outputs, arrays, options)

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        self.graphs.append(options.get_run_config_entry("gpu_graph_id"))
        self.session.run_with_iobinding(binding, options)


def test_one_graph_per_batch_size_after_a_run_without(
    session: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bound_session, "_MOST_SIZES", 2)
    watched = Watched(session)
    bound = BoundSession(watched, "cpu", ["gpu_graph_id"])
    for seed, rows in enumerate((1, 1, 4, 4, 2, 1)):
        case = feed(rows, seed)
        np.testing.assert_array_equal(bound.run(OUTPUTS, case)[0], plain(session, case))
    assert watched.graphs == ["-1", "1", "1", "-1", "4", "4", "-1", "1"]
    assert caplog.messages == ["batches of 2 run without a CUDA graph: 2 other sizes have one already"]
