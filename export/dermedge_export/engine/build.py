"""Model file -> TensorRT engine, with TensorRT-RTX for cards that are not in this machine, without a GPU.

Precision is a property of the graph, never a flag of the builder. The engine is compiled, not run: what it computes is
compared with nothing here, because that takes one of its cards.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from dermedge_runtime.devices.providers import FIXED_SIZE_MEND, NO_ANTIALIAS
from dermedge_runtime.errors import DermedgeError, UsageError
from dermedge_runtime.model.engine_description import SUFFIX, EngineRecord, Tensor, sha256
from dermedge_runtime.model.model_file import ModelFile, read_model_file

from .engine_file import write_engine_file
from .gpus import BUILDABLE
from .target import EngineTarget, check_graph
from .tensorrt_library import ahead_of_time, first_line, load_tensorrt, log_of

_log = logging.getLogger(__name__)
_TYPES = {"FLOAT": "float32", "HALF": "float16"}


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What a build made."""

    path: Path
    bytes: int
    record: EngineRecord

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary, without what the model file says too."""
        described = self.record.to_record()
        del described["spec"]
        return {"path": str(self.path), "bytes": self.bytes, **described}

    def summary(self) -> str:
        """Give the engine in one line."""
        record = self.record
        cards = ", ".join(record.compute_capabilities) or "of this GPU"
        return (
            f"{self.path}: {self.bytes / 1e6:.1f} MB, {record.library} {record.version}, compute capability {cards},"
            f" batch 1 to {record.max_batch}, {sum(record.layers.values())} layers"
        )


def engine_builder(
    target: EngineTarget, precision: str, flavour: str, *, any_size: bool
) -> Callable[[Path], EngineReport]:
    """Check all that can be known before an export, which takes minutes, and give what builds the engine of its file.

    :param precision: of the model file; so with `flavour` and `any_size`.
    :return: `write_engine` for that target.
    :raises UsageError: a graph that TensorRT refuses, or compute capabilities asked of full TensorRT.
    :raises DermedgeError: no TensorRT is installed, or it does not load.
    """
    check_graph(precision, flavour, any_size=any_size)
    return partial(write_engine, target=target, trt=load_tensorrt(target))


def write_engine(onnx: Path, target: EngineTarget, trt: ModuleType) -> EngineReport:
    """Compile a model file into `NAME.engine` beside it, with its description.

    :param trt: from `tensorrt_library.load_tensorrt`.
    :raises DermedgeError: see `build_engine`; nothing is written then.
    """
    path = onnx.with_suffix(SUFFIX)
    _log.info("compile %s with %s %s", path.name, trt.__name__, trt.__version__)
    content, record = build_engine(read_model_file(onnx), target, trt)
    write_engine_file(path, content, record)
    return EngineReport(path, len(content), record)


def build_engine(file: ModelFile, target: EngineTarget, trt: ModuleType) -> tuple[bytes, EngineRecord]:
    """Compile a checked model file.

    :return: the serialized engine and its description.
    :param trt: from `tensorrt_library.load_tensorrt`.
    :raises UsageError: the graph takes pictures of any size.
    :raises DermedgeError: the parser or the builder refuses the graph; the message is TensorRT's first.
    """
    if file.spec.image is not None and file.spec.image.any_size:
        raise UsageError(f"{file.path.name} takes pictures of any size, and {NO_ANTIALIAS}. {FIXED_SIZE_MEND}.")
    said = log_of(trt)
    said.errors.clear()
    # TensorRT 11 and TensorRT-RTX are strongly typed always; TensorRT 10 has to be told.
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    try:
        builder = trt.Builder(said)
        network = builder.create_network(typed)
        parser = trt.OnnxParser(network, said)
        parsed = parser.parse(file.content)
    except (RuntimeError, TypeError) as error:  # no driver, no GPU: pybind refuses the null pointer
        raise _failure(trt, file, [*said.errors, str(error)]) from error
    if not parsed:
        raise _failure(trt, file, [_parser_error(parser.get_error(index)) for index in range(parser.num_errors)])
    config = _configure(trt, builder, network, target)
    layers = Counter(network.get_layer(index).type.name.lower() for index in range(network.num_layers))
    tensors = _tensors(network)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _failure(trt, file, said.errors)
    content = bytes(plan)
    record = EngineRecord(
        engine_sha256=sha256(content),
        onnx_file=file.path.name,
        onnx_sha256=sha256(file.content),
        library=trt.__name__,
        version=str(trt.__version__),
        compute_capabilities=_capabilities(target, trt),
        max_batch=target.max_batch,
        tensors=tensors,
        layers=dict(sorted(layers.items())),
        spec=file.spec,
    )
    return content, record


def _capabilities(target: EngineTarget, trt: ModuleType) -> tuple[str, ...]:
    """Give what the engine runs on; torch is asked for this machine's GPU, because TensorRT does not tell."""
    if ahead_of_time(trt):
        return target.compute_capabilities or tuple(BUILDABLE)
    import torch

    return ("{}.{}".format(*torch.cuda.get_device_capability()),) if torch.cuda.is_available() else ()


def _configure(trt: ModuleType, builder: Any, network: Any, target: EngineTarget) -> Any:
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        _, *row = tensor.shape
        # A clinic asks one picture at a time, so the engine is at its best for a batch of one.
        profile.set_shape(tensor.name, (1, *row), (1, *row), (target.max_batch, *row))
    config.add_optimization_profile(profile)
    if ahead_of_time(trt):
        capabilities = _capabilities(target, trt)
        config.num_compute_capabilities = len(capabilities)
        for index, capability in enumerate(capabilities):
            config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}"), index)
    return config


def _tensors(network: Any) -> tuple[Tensor, ...]:
    sides = (
        ("input", network.num_inputs, network.get_input),
        ("output", network.num_outputs, network.get_output),
    )
    return tuple(
        Tensor(
            tensor.name,
            side,
            _TYPES.get(tensor.dtype.name, tensor.dtype.name.lower()),
            tuple("batch" if size < 0 else int(size) for size in tensor.shape),
        )
        for side, count, get in sides
        for tensor in map(get, range(count))
    )


def _parser_error(error: Any) -> str:
    # Its first line repeats the node's name; the reason follows.
    said = [line for line in str(error.desc()).splitlines() if not line.startswith("Invalid Node")]
    node = f"node {error.node_name()} ({error.node_operator()}): " if error.node_name() else ""
    return node + first_line("\n".join(said))


def _failure(trt: ModuleType, file: ModelFile, errors: list[str]) -> DermedgeError:
    reason = first_line(errors[0]) if errors else "it gave no reason"
    return DermedgeError(
        f"{trt.__name__} {trt.__version__} cannot build an engine of {file.path.name}: {reason}."
        " The ONNX file stays as it is."
    )
