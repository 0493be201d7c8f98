"""A model repository that Triton's own parser of configurations reads, with the very file that was exported."""

from pathlib import Path

import onnx
import pytest
from make_tiny_model import CLASSES, TINY

from dermedge_export.triton_repository import write_triton
from dermedge_runtime import UsageError, model_in_the_box


@pytest.mark.parametrize("model", [TINY, model_in_the_box()], ids=["tiny", "box"])
def test_the_configuration_tells_every_tensor(tmp_path: Path, model: Path) -> None:
    config_pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="tritonclient is not installed")
    from google.protobuf import text_format

    folder = write_triton(model, tmp_path)
    assert (folder / "1" / "model.onnx").read_bytes() == model.read_bytes()
    config = text_format.Parse((folder / "config.pbtxt").read_text(), config_pb2.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == (model.stem, "onnxruntime", 32)
    graph = onnx.load(model).graph
    for told, real in ((config.input, graph.input), (config.output, graph.output)):
        assert [each.name for each in told] == [each.name for each in real]
        for each, value in zip(told, real, strict=True):
            shape = value.type.tensor_type.shape.dim
            expected = [size.dim_value for size in shape[1:]]
            dims = list(each.reshape.shape) if each.HasField("reshape") else list(each.dims)
            assert dims == expected
            kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
            assert config_pb2.DataType.Name(each.data_type) == f"TYPE_{kind.replace('FLOAT', 'FP32')}"
    if model == TINY:
        assert (folder / "classes.txt").read_text().split() == list(CLASSES)


def test_a_second_model_lies_beside_the_first_and_bad_places_are_told(tmp_path: Path) -> None:
    write_triton(TINY, tmp_path)
    write_triton(TINY, tmp_path)
    odd = tmp_path / "a b.onnx"
    odd.write_bytes(TINY.read_bytes())
    with pytest.raises(UsageError, match="not a b; rename the file"):
        write_triton(odd, tmp_path)
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "tiny").touch()
    with pytest.raises(UsageError, match="is in the way of the model's folder"):
        write_triton(TINY, tmp_path / "repo")
