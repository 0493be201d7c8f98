"""Look through an ONNX file's bytes without the onnx package, before any of it reaches ONNX Runtime.

Covered: whether the bytes are a complete protobuf message with a graph, its metadata_props, what makes a file unsafe
or not self-contained (`graph`), and how much memory it can take (`sizes`). Not covered: whether the graph
makes sense; ONNX Runtime finds that out when the session opens.
"""

from __future__ import annotations

from dataclasses import dataclass

from dermedge_runtime.errors import ModelFileError
from dermedge_runtime.model.strict_json import printable

from .graph import ALLOWED_DOMAINS, read_graph
from .sizes import check_sizes
from .tensors import Unsafe
from .wire_format import Malformed

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
    :raises ModelFileError: no ONNX, truncated, or something that `graph` or `sizes` refuses.
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
