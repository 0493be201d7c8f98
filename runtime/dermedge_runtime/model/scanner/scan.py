"""Look through an ONNX file's bytes without the onnx package, before any of it reaches ONNX Runtime.

Covered: whether the bytes are a complete protobuf message with a graph, its metadata_props, what makes a file unsafe
or not self-contained (`graph`), and how much memory it can take (`sizes`). Not covered: whether the graph
makes sense; ONNX Runtime finds that out when the session opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dermedge_runtime.errors import ModelFileError
from dermedge_runtime.model.strict_json import printable

from .graph import ALLOWED_DOMAINS, Graph, read_graph
from .sizes import Rows, check_sizes
from .tensors import Unsafe
from .wire_format import Malformed

__all__ = ["ALLOWED_DOMAINS", "Findings", "check_memory", "scan"]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a scan saw."""

    graph: Graph
    file_bytes: int

    @property
    def metadata(self) -> dict[str, str]:
        """metadata_props of the model."""
        return self.graph.metadata

    @property
    def domains(self) -> set[str]:
        """Operator domains of the graph."""
        return self.graph.domains

    @property
    def nodes(self) -> int:
        """Number of operators."""
        return len(self.graph.nodes)


def scan(content: bytes | memoryview, source: str) -> Findings:
    """Scan a model file and refuse an unsafe one; `check_memory` must follow before it is run.

    :param source: name of the file, for messages.
    :raises ModelFileError: no ONNX, truncated, or something that `graph` refuses.
    """
    with _refusing(source):
        graph = read_graph(content)
    if not graph.nodes:
        raise ModelFileError(f"{source} is no ONNX model: it holds no graph with operators. Export or copy it again.")
    return Findings(graph, len(content))


def check_memory(findings: Findings, source: str, rows: Rows) -> None:
    """Refuse a graph that could take more memory than its file and its inputs explain.

    :param rows: by input, the shape of the rows that it is fed with, for those to which the graph gives no size.
    :raises ModelFileError: something that `sizes` refuses.
    """
    with _refusing(source):
        check_sizes(findings.graph, findings.file_bytes, rows)


@contextmanager
def _refusing(source: str) -> Iterator[None]:
    try:
        yield
    except Malformed as error:
        raise ModelFileError(
            f"{source} is no complete ONNX file ({printable(str(error))}). Export or copy it again."
        ) from error
    except Unsafe as error:
        raise ModelFileError(f"{source} {printable(str(error))}") from error
