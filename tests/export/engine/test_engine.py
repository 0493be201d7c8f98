"""Real engines, built without a GPU, of every fusion and precision."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from export_networks import SIZE, random_inputs, random_model_file
from needs_tensorrt import needs_tensorrt

from dermedge.models.fusion import FUSIONS, PAPERS_FUSIONS
from dermedge_export.decision.early_stages import add_statistics, early_stages
from dermedge_export.decision.unfamiliar import RESIDUAL, add_score, fit
from dermedge_export.description import write_described
from dermedge_export.engine import build as engine
from dermedge_export.engine.build import build_engine, write_engine
from dermedge_export.engine.target import EngineTarget
from dermedge_export.engine.tensorrt_library import load_tensorrt
from dermedge_export.graph.graph_parts import run_all
from dermedge_runtime.errors import DermedgeError, UsageError
from dermedge_runtime.model.model_file import read_model_file

pytestmark = needs_tensorrt
ALL = ("8.6", "8.9", "12.0")
_ALWAYS = ("concat", "cross_attention", "clinical_only")
"""Fusions that are compiled in every precision; of the paper's others, what is not FP16 is exhaustive, of the further
ones everything."""
CASES = [
    pytest.param(
        fusion,
        precision,
        marks=() if fusion in _ALWAYS or (precision == "fp16" and fusion in PAPERS_FUSIONS) else pytest.mark.exhaustive,
    )
    for fusion in FUSIONS
    for precision in ("fp32", "fp16", "int8")
]


@pytest.fixture(scope="module")
def trt() -> ModuleType:
    return load_tensorrt(EngineTarget())


@pytest.fixture(scope="module")
def clinical(traced, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest model file: FP32, clinical values alone."""
    return random_model_file(traced("clinical_only"), tmp_path_factory.mktemp("clinical"), "clinical_only", "fp32").path


@pytest.mark.parametrize(("fusion", "precision"), CASES)
def test_every_fusion_compiles_with_its_explanations(
    fusion: str, precision: str, converted, trt: ModuleType, tmp_path: Path
) -> None:
    file = random_model_file(converted(fusion, precision, "rtx"), tmp_path, fusion, precision, "rtx")
    content, record = build_engine(file, EngineTarget(), trt)
    assert len(content) > 0.8 * len(file.content)  # the weights are in it
    tensors = {(tensor.side, tensor.name): (tensor.dtype, tensor.shape) for tensor in record.tensors}
    assert [name for side, name in tensors if side == "output"] == list(file.spec.outputs)
    assert {name for side, name in tensors if side == "input"} == {*file.spec.array_inputs, "target"}
    assert tensors["output", "probabilities"] == ("float32", ("batch", 7))
    assert tensors["input", "target"] == ("int32", ("batch",))
    if file.spec.image is not None:
        assert tensors["input", "image"] == ("uint8", ("batch", SIZE, SIZE, 3))
        assert record.layers["convolution"] == 17
        assert ("quantize" in record.layers) == (precision == "int8")
    assert (record.library, record.compute_capabilities, record.max_batch) == ("tensorrt_rtx", ALL, 32)


def test_the_target_changes_the_engine(clinical: Path, trt: ModuleType) -> None:
    file = read_model_file(clinical)
    targets = [EngineTarget(("8.9",)), EngineTarget(("12.0",)), EngineTarget(("8.9",), 4), EngineTarget(ALL)]
    sizes = [len(build_engine(file, target, trt)[0]) for target in (*targets, targets[0])]
    # Two builds of one target differ in bytes, but not in size.
    assert sizes[-1] == sizes[0]
    assert len(set(sizes)) == len(targets)


def test_turing_is_refused_for_the_reason_given(clinical: Path, trt: ModuleType) -> None:
    with pytest.raises(DermedgeError, match=r"Turing .*FP32 GEMM is not supported"):
        build_engine(read_model_file(clinical), EngineTarget(("7.5",)), trt)


def test_a_graph_that_does_not_compile_leaves_the_onnx_alone(converted, trt: ModuleType, tmp_path: Path) -> None:
    onnx = random_model_file(converted("image_only", "int8"), tmp_path, "image_only", "int8", "cpu").path
    before = onnx.read_bytes()
    with pytest.raises(DermedgeError) as caught:
        write_engine(onnx, EngineTarget(), trt)
    assert "image_only-int8.onnx: node " in str(caught.value)
    assert "zero point" in str(caught.value) or "Int32" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (onnx.read_bytes(), list(tmp_path.iterdir())) == (before, [onnx])


def test_nothing_is_printed(clinical: Path, trt: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    build_engine(read_model_file(clinical), EngineTarget(), trt)
    with pytest.raises(DermedgeError):
        build_engine(read_model_file(clinical), EngineTarget(("7.5",)), trt)
    assert tuple(capfd.readouterr()) == ("", "")


def test_without_tensorrt_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt_rtx", "tensorrt"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DermedgeError, match=r"pip install 'dermedge\[engine\]'"):
        load_tensorrt(EngineTarget())


def test_full_tensorrt_builds_for_this_machine_alone(
    clinical: Path, trt: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = ModuleType("tensorrt")
    full.__dict__.update({name: value for name, value in vars(trt).items() if name != "__name__"})
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    monkeypatch.setitem(sys.modules, "tensorrt", full)
    with pytest.raises(UsageError, match=r"GPU of this machine only.*--compute-capability"):
        load_tensorrt(EngineTarget(("8.9",)))
    monkeypatch.setattr(engine, "_capabilities", lambda target, library: ("9.0",))  # needs the GPU
    record = build_engine(read_model_file(clinical), EngineTarget(), load_tensorrt(EngineTarget()))[1]
    assert (record.library, record.compute_capabilities) == ("tensorrt", ("9.0",))


def test_a_broken_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> ModuleType:
        raise OSError(f"lib{name}.so: cannot open shared object file")

    monkeypatch.setattr("dermedge_export.engine.tensorrt_library.import_module", fail)
    with pytest.raises(DermedgeError, match=r"tensorrt_rtx is installed but does not load: libtensorrt_rtx\.so"):
        load_tensorrt(EngineTarget())


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_scores_for_unfamiliar_pictures_compile(precision: str, converted, trt: ModuleType, tmp_path: Path) -> None:
    file = random_model_file(converted("concat", precision, "rtx"), tmp_path, "concat", precision, "rtx")
    proto = onnx.load_from_string(file.content)
    wanted = {value.name for value in proto.graph.input}
    feed = {name: value.numpy() for name, value in random_inputs(24, 0).items() if name in wanted}
    feed["target"] = np.full(24, -1, dtype=np.int32)
    stage = early_stages(proto, feed)[0]
    add_statistics(proto, stage)
    rows = next(run_all(proto, [stage.statistics], [feed]))[stage.statistics]
    add_score(proto, fit(stage.statistics, RESIDUAL, 8, rows, rows), "ood_score", in_bytes=False)
    spec = replace(file.spec, outputs=(*file.spec.outputs, "ood_score"))
    write_described(proto, spec, tmp_path / "scored.onnx")
    _, record = build_engine(read_model_file(tmp_path / "scored.onnx"), EngineTarget(("8.9",)), trt)
    tensors = {tensor.name: (tensor.side, tensor.dtype, tensor.shape) for tensor in record.tensors}
    assert tensors["ood_score"] == ("output", "float32", ("batch",))
