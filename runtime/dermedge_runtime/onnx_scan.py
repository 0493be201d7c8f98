"""Look through an ONNX file's bytes without the onnx package, before any of it reaches ONNX Runtime.

Covered: whether the bytes are a complete protobuf message with a graph, its metadata_props, what makes a file unsafe
or not self-contained (`onnx_graph`), and how much memory it can take (`onnx_sizes`). Not covered: whether the graph
makes sense; ONNX Runtime finds that out when the session opens.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ModelFileError
from .onnx_graph import ALLOWED_DOMAINS, read_graph
from .onnx_sizes import check_sizes
from .onnx_tensor import Unsafe
from .onnx_wire import Malformed
from .strict_json import printable

__all__ = ["ALLOWED_DOMAINS", "Findings", "scan"]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a scan saw."""

    metadata: dict[str, str]
    domains: set[str]
    nodes: int


def scan(content: bytes | memoryview, source: str) -> Findings:
    """Scan a model file and refuse an unsafe one.

    :param source: name of the file, for messages.
    :raises ModelFileError: no ONNX, truncated, or something that `onnx_graph` or `onnx_sizes` refuses.
    """
    try:
        graph = read_graph(content)
        if graph.nodes:
            check_sizes(graph, len(content))
    except Malformed as error:
        raise ModelFileError(
            f"{source} is no complete ONNX file ({printable(str(error))}). Export or copy it again."
        ) from error
    except Unsafe as error:
        raise ModelFileError(f"{source} {printable(str(error))}") from error
    if not graph.nodes:
        raise ModelFileError(f"{source} is no ONNX model: it holds no graph with operators. Export or copy it again.")
    return Findings(graph.metadata, graph.domains, len(graph.nodes))
