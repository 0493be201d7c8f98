"""A graph that takes pictures of any size: it resizes as Pillow does, and answers as before at its own size."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from any_size_models import resizing_only, spec_of
from export_networks import SIZE, open_session, random_inputs, random_model_file
from needs_openvino import run_openvino
from onnx.reference import ReferenceEvaluator
from PIL import Image

from dermedge.data.synthetic import picture
from dermedge_export.engine.build import build_engine
from dermedge_export.engine.target import EngineTarget, engine_target
from dermedge_export.graph.any_size import described_as_any_size, taking_any_size
from dermedge_export.pipeline import write_described
from dermedge_runtime import UsageError
from dermedge_runtime.model.model_file import ModelFile

SIZES = [(450, 600), (225, 300), (128, 128), (64, 500), (40, 33), (1, 1), (1, 300), (769, 2)]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def squashed(pixels: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))


def differences(found: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.abs(found.astype(int) - right)


@pytest.mark.parametrize("size", [128, 224, 256])
def test_it_resizes_as_pillow_does(size: int) -> None:
    """Noise and odd sizes are the worst case: many values lie on the border between two grey levels, in both steps."""
    session = open_session(resizing_only(size))
    for pixels in (noise(*shape) for shape in SIZES):
        off = differences(session.run(None, {"image": pixels[None]})[0][0], squashed(pixels, size))
        assert off.max() <= 2 and off.mean() < 0.12 and (off == 2).mean() < 1e-3, pixels.shape


@pytest.mark.parametrize("size", [64, 128, 224])
def test_on_pictures_of_skin_few_pixels_differ(size: int) -> None:
    session, rng = open_session(resizing_only(size)), np.random.default_rng(0)
    for code in ("nv", "mel", "bcc"):
        pixels = np.asarray(picture(code, rng))
        off = differences(session.run(None, {"image": pixels[None]})[0][0], squashed(pixels, size))
        assert off.max() <= 1 and off.mean() < 0.005


def test_the_operators_mean_what_pillow_does() -> None:
    """ONNX's own reference, which knows nothing of ONNX Runtime; it rounds down, and once where Pillow rounds twice."""
    evaluator = ReferenceEvaluator(resizing_only(16))
    for pixels in (noise(40, 33), noise(9, 50), noise(16, 16)):
        found = np.asarray(evaluator.run(None, {"image": pixels[None]})[0])
        assert differences(found[0], squashed(pixels, 16)).max() <= 1


def test_a_batch_is_resized_picture_by_picture() -> None:
    session, pixels = open_session(resizing_only(64)), np.stack([noise(90, 70), noise(90, 70)[::-1]])
    (found,) = session.run(None, {"image": pixels})
    assert found.dtype == np.uint8 and found.shape == (2, 64, 64, 3)
    for row, one in zip(found, pixels, strict=True):
        np.testing.assert_array_equal(row, session.run(None, {"image": one[None]})[0][0])


@pytest.fixture(scope="module", params=["fp32", "fp16", "int8"])
def fixed(request: pytest.FixtureRequest, converted, tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    """A file of one size, with explanations, in every precision."""
    return random_model_file(
        converted("concat", request.param), tmp_path_factory.mktemp("fixed"), "concat", request.param
    )


def graphs(file: ModelFile) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    proto = onnx.load_from_string(file.content)
    return proto, taking_any_size(proto, file.spec)


def feed(batch: int) -> dict[str, np.ndarray]:
    inputs = {name: value.numpy() for name, value in random_inputs(batch, seed=1).items()}
    return inputs | {"target": np.array([-1, 2, 5][:batch], np.int32)}


@pytest.mark.parametrize("batch", [1, 3])
def test_at_its_own_size_every_output_is_the_same(fixed: ModelFile, batch: int) -> None:
    one, other = graphs(fixed)
    onnx.checker.check_model(other, full_check=True)
    pairs = zip(*(open_session(graph).run(None, feed(batch)) for graph in (one, other)), strict=True)
    for right, found in pairs:
        np.testing.assert_array_equal(found, right)


def test_a_larger_picture_gives_the_answer_of_the_resized_one(fixed: ModelFile) -> None:
    _, graph = graphs(fixed)
    session, pixels = open_session(graph), noise(300, 200)
    whole, small = ({**feed(1), "image": given[None]} for given in (pixels, squashed(pixels, SIZE)))
    for found, right in zip(session.run(None, whole), session.run(None, small), strict=True):
        assert found.shape == right.shape
        np.testing.assert_allclose(found, right, atol=0.1)
    assert not np.array_equal(session.run(None, whole)[0], session.run(None, {**whole, "image": noise(9, 9)[None]})[0])


def test_openvino_gives_the_same_at_the_own_size(fixed: ModelFile) -> None:
    one, other = graphs(fixed)
    right, found = (run_openvino(graph.SerializeToString(), feed(3)) for graph in (one, other))
    for name, values in right.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5, err_msg=name)


def test_the_given_graph_stays_as_it_is(fixed: ModelFile) -> None:
    proto, made = graphs(fixed)
    assert proto == onnx.load_from_string(fixed.content)
    own = list(made.graph.node)[5:]
    for node in own:
        node.input[:] = ["image" if name == "image_of_own_size" else name for name in node.input]
    assert own == list(proto.graph.node)
    axes = {value.name: value.type.tensor_type.shape.dim for value in made.graph.input}["image"]
    assert [axis.dim_param or axis.dim_value for axis in axes] == ["batch", "height", "width", 3]


def test_the_description_says_so_and_nothing_else_changes() -> None:
    spec = spec_of(64)
    made = described_as_any_size(spec)
    assert made.image is not None and made.image.any_size
    assert replace(made, image=spec.image) == spec


def test_a_run_without_pictures_is_refused() -> None:
    with pytest.raises(UsageError, match="--any-size is for models that read a picture, and clinical_only reads none"):
        described_as_any_size(replace(spec_of(64), image=None, fusion="clinical_only"))


@pytest.mark.parametrize("resample", ["nearest", "bicubic", "lanczos"])
def test_another_filter_is_refused(resample: str) -> None:
    spec = spec_of(64)
    assert spec.image is not None
    with pytest.raises(UsageError, match=f"bilinear filter, and this run was trained with {resample}"):
        described_as_any_size(replace(spec, image=replace(spec.image, resample=resample)))


def test_tensorrt_is_refused_with_the_reason(tmp_path) -> None:
    reason = "TensorRT has no resizing with antialias"
    spec = described_as_any_size(spec_of(64))
    with pytest.raises(UsageError, match=f"--any-size and --target rtx exclude each other: {reason}"):
        described_as_any_size(replace(spec_of(64), precision="int8", flavour="rtx"))
    with pytest.raises(UsageError, match=f"--any-size and --engine exclude each other: {reason}"):
        engine_target("fp16", "cpu", engine=True, any_size=True)
    assert engine_target("fp16", "cpu", engine=False, any_size=True) is None
    path = tmp_path / "any.onnx"
    write_described(resizing_only(64), spec, path)
    with pytest.raises(UsageError, match=f"takes pictures of any size, and {reason}. Export it again without"):
        build_engine(ModelFile(path, path.read_bytes(), spec), EngineTarget(), None)  # type: ignore[arg-type]
