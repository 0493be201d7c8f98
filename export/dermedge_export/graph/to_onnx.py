"""Trained network -> ONNX graph with the inputs and outputs of the model file's contract.

Covered: division by 255, preparation of the picture, imputation, scaling, one-hot encoding and explanations inside the
graph; a dynamic batch. Not covered: lower precisions (`fp16`, `int8`) and the description (`pipeline`).
"""

from __future__ import annotations

import onnx
import torch
from torch import Tensor, nn

from dermedge.models.classifier import FusedClassifier
from dermedge.models.ensemble import Ensemble
from dermedge.models.modalities import Modalities
from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.inputs.clinical import ClinicalSchema

from .ensemble_graph import EnsembleContract, with_bias
from .explain_graph import ExplainedHead, TracedHead, heatmap, relevance
from .ig_steps import DEFAULT_STEPS
from .layers import FEATURE_MAP, name_layers
from .merged_layers import with_merged_layers
from .normalised_input import fold_normalisation
from .own_weights import own_weights
from .silenced_libraries import silenced

OPSET = 20
MAX_BATCH = 1024


class ContractModule(nn.Module):
    """The network behind the inputs and outputs of a model file."""

    def __init__(
        self, model: FusedClassifier, *, explain: bool, ig_steps: int = DEFAULT_STEPS, traced: bool = True
    ) -> None:
        """Prepare a network.

        :param traced: with merged layers and traced gradients, for `torch.export`; otherwise as it was trained.
        """
        super().__init__()
        self.model = with_merged_layers(model) if traced else model
        self.ends = () if model.trunk is None else (FEATURE_MAP,)
        self.explained: nn.Module | None = None
        if explain:
            head = self.model.head
            self.explained = TracedHead(head, n_features(model), ig_steps) if traced else ExplainedHead(head, ig_steps)

    def forward(
        self,
        image: Tensor | None = None,
        numeric: Tensor | None = None,
        categorical: Tensor | None = None,
        target: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Map uint8 [B, H, W, 3], float32 [B, Nn], int32 [B, Nc], int32 [B] to the outputs by name.

        The last one, where a picture is read, is no output of the file: it marks the end of the image branch.
        """
        seen, feature_map, pooled, clinical = None, None, None, None
        if self.model.trunk is not None:
            assert image is not None
            # The cast comes first: TensorRT refuses to transpose uint8.
            scaled = image.to(torch.float32).permute(0, 3, 1, 2) / 255
            seen = self.model.last_map(self.model.prepare(scaled))
            feature_map = self.model.attended(seen)
            pooled = self.model.pooled(feature_map)
        if self.model.encoder is not None:
            clinical = self.model.encoder(numeric, categorical)
        end = {} if seen is None else {FEATURE_MAP: seen}
        if self.explained is None:
            return {"probabilities": torch.softmax(self.model.head(pooled, clinical), dim=1), **end}
        logits, gradient, attribution = self.explained(pooled, clinical, target)
        outputs = {"probabilities": torch.softmax(logits, dim=1)}
        if feature_map is not None and gradient is not None and self.model.has_heatmap:
            outputs["heatmap"] = heatmap(feature_map, self.model.summed_gradient(feature_map, gradient))
        if attribution is not None:
            outputs |= {"relevance": relevance(attribution), "attribution": attribution}
        return outputs | end


def n_features(model: FusedClassifier) -> int:
    """Length F of the encoded clinical vector; 0 for a model that reads none."""
    if model.head.clinical is None:
        return 0
    first = model.head.clinical[0]
    assert isinstance(first, nn.Linear)
    return first.in_features


def contract_of(
    model: FusedClassifier | Ensemble, *, explain: bool, ig_steps: int = DEFAULT_STEPS, traced: bool = True
) -> ContractModule | EnsembleContract:
    """Put a network, or an ensemble, behind the contract; parameters as `ContractModule` takes them."""
    if isinstance(model, Ensemble):
        return EnsembleContract(model, explain=explain, ig_steps=ig_steps, traced=traced).eval()
    return ContractModule(model, explain=explain, ig_steps=ig_steps, traced=traced).eval()


def output_names(reads: Modalities, *, explain: bool, heatmap: bool = True) -> tuple[str, ...]:
    """Names of the graph's outputs, in their order.

    :param heatmap: whether an image branch has one.
    """
    names = ["probabilities"]
    if explain and reads.image and heatmap:
        names += ["heatmap"]
    if explain and reads.clinical:
        names += ["relevance", "attribution"]
    return tuple(names)


def example_inputs(reads: Modalities, schema: ClinicalSchema, image_size: int, *, explain: bool) -> dict[str, Tensor]:
    """Inputs that the graph is traced with; two rows, because a batch of one would become a constant."""
    inputs: dict[str, Tensor] = {}
    if reads.image:
        inputs["image"] = torch.zeros(2, image_size, image_size, 3, dtype=torch.uint8)
    if reads.clinical:
        if schema.numeric:
            inputs["numeric"] = torch.full((2, len(schema.numeric)), torch.nan)
        if schema.categorical:
            inputs["categorical"] = torch.full((2, len(schema.categorical)), -1, dtype=torch.int32)
    if explain:
        inputs["target"] = torch.full((2,), -1, dtype=torch.int32)
    return inputs


def to_onnx(
    model: FusedClassifier | Ensemble,
    schema: ClinicalSchema,
    image_size: int,
    *,
    explain: bool = True,
    ig_steps: int = DEFAULT_STEPS,
) -> onnx.ModelProto:
    """Export a network, or an ensemble, in float32, without description; image branches are named layer by layer.

    :param explain: with the outputs heatmap, relevance and attribution, and the input target.
    :param ig_steps: of the integrated gradients, see `ig_steps`.
    :raises DermedgeError: the exporter fails.
    """
    outputs = output_names(model.modalities, explain=explain, heatmap=model.has_heatmap)
    explain = len(outputs) > 1
    module = contract_of(model, explain=explain, ig_steps=ig_steps)
    inputs = example_inputs(model.modalities, schema, image_size, explain=explain)
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    try:
        with silenced():
            program = torch.onnx.export(
                module,
                (),
                kwargs=inputs,
                dynamo=True,
                external_data=False,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=(*outputs, *module.ends),
                dynamic_shapes={name: {0: batch} for name in inputs},
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise DermedgeError(f"torch could not export the network: {str(error).splitlines()[0]}") from error
    assert program is not None
    proto = program.model_proto
    del proto.graph.output[len(outputs) :]
    name_layers(proto)
    _strip(proto)
    fold_normalisation(proto)
    if isinstance(model, Ensemble):
        with_bias(proto)
    own_weights(proto)
    return proto


def _strip(proto: onnx.ModelProto) -> None:
    """Take out the exporter's traces (source lines of this machine), a third of a megabyte of nothing."""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    proto.graph.doc_string = ""
    for item in (*proto.graph.node, *proto.graph.initializer, *proto.graph.value_info, *proto.graph.input):
        del item.metadata_props[:]
        item.doc_string = ""
    del proto.graph.value_info[:]
