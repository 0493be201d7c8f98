"""The whole network: preparation of the picture, image branch, attention, pooling, clinical branch, fusion, classifier
(paper, section 3.4, figure 2; attention, and another pooling than the average, are not the paper's).

`head` holds everything after the pooled feature map, a small function of two vectors: explanations differentiate it
alone, the convolutions never.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dermedge.config import Attention, Fields, Pooling
from dermedge_runtime.inputs.clinical import ClinicalSchema

from .branches.branch import OwnPooling
from .branches.families import new_branch
from .clinical_branch import ClinicalEncoder, ClinicalMLP
from .fusion import GivenImage, fusion_class
from .fusions.base import HIDDEN_FEATURES
from .generalised_mean import GeneralisedMean
from .image_head import ImageHead
from .modalities import Modalities
from .narrow import narrow
from .preparation.preparation import Preparation
from .receptive_fields import ReceptiveFields
from .soft_attention import SoftAttention
from .texture_patterns import TexturePatterns

IMAGE_SIDE = ("texture.", "trunk.", "receptive_fields.", "attention.", "pooling.")
"""What the names of the weights begin with that make pooled features of a picture."""


class Head(nn.Module):
    """Pooled map and encoded clinical vector to class scores."""

    def __init__(
        self,
        fusion: str,
        schema: ClinicalSchema,
        n_classes: int,
        dropout: float,
        channels: int | None,
        *,
        selects: bool = False,
    ) -> None:
        """Make an untrained head.

        :param channels: C, of the feature map; None where no picture is read.
        :param selects: see `ImageHead`.
        """
        super().__init__()
        kind = fusion_class(fusion)
        self.image = None if channels is None else ImageHead(channels, selects=selects)
        self.clinical: nn.Sequential | None = ClinicalMLP(schema) if kind.uses_clinical else None
        self.fusion = kind()
        reader = self.fusion.new_reader(HIDDEN_FEATURES)
        self.classifier = nn.Sequential(reader, nn.ReLU(), nn.Dropout(dropout), nn.Linear(HIDDEN_FEATURES, n_classes))

    def forward(self, pooled: Tensor | None, clinical: Tensor | None) -> Tensor:
        """Map float [B, C] and float [B, F] to logits float [B, classes]; None for a modality that is not read."""
        x = None if self.image is None else self.image(pooled)
        y = None if self.clinical is None else self.clinical(clinical)
        logits: Tensor = self.classifier(self.fusion(x, y))
        return logits

    def scores(self, hidden: Tensor) -> Tensor:
        """Map the classifier's hidden layer before its activation, float [B, 256], to logits float [B, classes]."""
        logits: Tensor = self.classifier[1:](hidden)
        return logits

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        last = self.classifier[-1]
        assert isinstance(last, nn.Linear)
        return last.out_features

    def given_image(self, pooled: Tensor | None) -> GivenImage:
        """Hold the images fixed: give the function from clinical vectors to the classifier's hidden layer.

        :param pooled: float [B, C]; None where no image is read.
        :return: function of y float [B, S, 256] to float [B, S, 256], before the activation.
        """
        x: Any = None if self.image is None else self.image(pooled)  # the fusion that reads no image takes None
        return self.fusion.given_image(x, self.classifier[0])


class PatientClassifier(nn.Module, ABC):
    """What is seen of a picture, and raw clinical values, to class scores: what both networks below share."""

    encoder: ClinicalEncoder | None
    head: Head

    def fit_clinical(
        self, numeric: NDArray[np.float32], categorical: NDArray[np.int32], hidden: float, *, anew: bool
    ) -> None:
        """Fit what the clinical branch takes from the training patients before it learns; see `ClinicalEncoder.fit`.

        :param hidden: probability that training hides a known value.
        :param anew: the branch starts from random weights, not from an earlier training's.
        """
        if self.encoder is None:
            return
        self.encoder.fit(numeric, categorical)
        assert isinstance(self.head.clinical, ClinicalMLP)
        self.head.clinical.fit(self.encoder.shares(numeric, categorical), hidden, anew=anew)

    def encode(self, numeric: Tensor | None, categorical: Tensor | None) -> Tensor | None:
        """Map float [B, Nn] and int [B, Nc] to the encoded vector float32 [B, F]; None where it is not read."""
        return None if self.encoder is None else self.encoder(numeric, categorical)

    @abstractmethod
    def score(self, visual: Tensor | None, clinical: Tensor | None) -> Tensor:
        """Map what is seen and encoded values float [B, F] to logits float32 [B, classes].

        Training augments and mixes before this; all others call the network.
        """


class FusedClassifier(PatientClassifier):
    """The whole network: image in [0, 1] and raw clinical values to class scores."""

    def __init__(
        self,
        fusion: str,
        schema: ClinicalSchema,
        n_classes: int,
        dropout: float = 0.2,
        preparation: Preparation | None = None,
        image_branch: str = "dermiresnet",
        widths: Mapping[str, list[int]] | None = None,
        *,
        receptive_fields: Fields = "one",
        attention: Attention = "none",
        pooling: Pooling = "average",
        selects: bool = False,
        texture_patterns: bool = False,
    ) -> None:
        """Make an untrained network.

        :param image_branch: a name of `branches.families`.
        :param widths: of a pruned image branch, as `narrow.widths_of` has them.
        :param receptive_fields: through how many cells the last feature map is looked at.
        :param attention: what the last feature map goes through before it is pooled.
        :param pooling: what makes one number of a channel.
        :param selects: see `ImageHead`.
        :param texture_patterns: whether the image branch reads local patterns beside the picture.
        :raises ValueError: widths that do not fit the image branch; attention, fields or a pooling for one
            that has its own pooling.
        """
        super().__init__()
        kind = fusion_class(fusion)
        self.preparation = preparation or Preparation()
        self.trunk = narrow(new_branch(image_branch, dropout), widths or {}) if kind.uses_image else None
        channels = None if self.trunk is None else self.trunk.channels
        several = channels is not None and receptive_fields == "several"
        self.receptive_fields = ReceptiveFields(channels) if channels is not None and several else None
        self.texture = TexturePatterns() if channels is not None and texture_patterns else None
        self.attention = SoftAttention(channels) if channels is not None and attention == "soft" else None
        self.pooling: GeneralisedMean | OwnPooling | None = None
        if self.trunk is not None:
            plain = receptive_fields == "one" and attention == "none"
            self.pooling = _new_pooling(self.trunk.own_pooling(), pooling, plain=plain)
        self.encoder = ClinicalEncoder(schema) if kind.uses_clinical else None
        channels = self.attention.channels if self.attention else channels
        channels = self.pooling.features if isinstance(self.pooling, OwnPooling) else channels
        self.head = Head(fusion, schema, n_classes, dropout, channels, selects=selects)

    @property
    def modalities(self) -> Modalities:
        """What it reads."""
        return Modalities(image=self.trunk is not None, clinical=self.encoder is not None)

    @property
    def has_heatmap(self) -> bool:
        """Whether it reads a picture, and its features are pooled cells, which Grad-CAM is defined on."""
        return self.trunk is not None and not isinstance(self.pooling, OwnPooling)

    def forward(self, image: Tensor | None, numeric: Tensor | None, categorical: Tensor | None) -> Tensor:
        """Map float [B, 3, H, W], float [B, Nn], int [B, Nc] to logits float32 [B, classes].

        Inputs of a modality that the fusion does not read may be None.
        """
        return self.score(self.prepare(image), self.encode(numeric, categorical))

    def prepare(self, image: Tensor | None) -> Tensor | None:
        """Prepare pictures float32 [B, 3, H, W] in [0, 1] for `score`; None where none is read."""
        return None if image is None or self.trunk is None else self.preparation(image)

    def feature_map(self, image: Tensor) -> Tensor:
        """Map pictures float [B, 3, H, W], not prepared, to the feature map that is pooled, float [B, C, h, w]."""
        return self.attended(self.last_map(self.prepare(image)))

    def last_map(self, visual: Tensor | None) -> Tensor:
        """Map prepared pictures float [B, 3, H, W] to the image branch's own feature map, float [B, T, h, w]."""
        assert self.trunk is not None and visual is not None
        features: Tensor = self.trunk(visual if self.texture is None else self.texture(visual))
        return features

    def attended(self, features: Tensor) -> Tensor:
        """Map the image branch's feature map float [B, T, h, w] to the one that is pooled, float [B, C, h, w]."""
        if self.receptive_fields is not None:
            features = self.receptive_fields(features)
        attended: Tensor = features if self.attention is None else self.attention(features)
        return attended

    def pooled(self, feature_map: Tensor) -> Tensor:
        """Pool the feature map, float [B, C, h, w] to float [B, C]."""
        pooled: Tensor = pool(feature_map) if self.pooling is None else self.pooling(feature_map)
        return pooled

    def summed_gradient(self, feature_map: Tensor, gradient: Tensor) -> Tensor:
        """Give the gradient of a score with respect to the feature map, summed over its cells, float [B, C].

        :param feature_map: float [B, C, h, w].
        :param gradient: of the score with respect to the pooled map, float [B, C].
        """
        assert not isinstance(self.pooling, OwnPooling), "Grad-CAM is not defined on it"
        return gradient if self.pooling is None else gradient * self.pooling.summed_slope(feature_map)

    def see(self, visual: Tensor) -> Tensor:
        """Map prepared pictures float [B, 3, H, W] to pooled features float [B, C]."""
        return self.pooled(self.attended(self.last_map(visual)))

    def score(self, visual: Tensor | None, clinical: Tensor | None) -> Tensor:
        """Map prepared pictures float [B, 3, H, W] and encoded values float [B, F]; see the base class."""
        pooled = None
        if self.trunk is not None:
            assert visual is not None
            pooled = self.see(visual)
        logits: Tensor = self.head(pooled, clinical)
        return logits.float()


class FeatureClassifier(PatientClassifier):
    """A `FusedClassifier` without its trunk: pooled features and raw clinical values to class scores."""

    def __init__(self, encoder: ClinicalEncoder | None, head: Head) -> None:
        """Put a network together.

        :param encoder: None where no clinical value is read.
        :param head: for features, such as that of a whole network.
        """
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, features: Tensor | None, numeric: Tensor | None, categorical: Tensor | None) -> Tensor:
        """Map float [B, C], float [B, Nn], int [B, Nc] to logits float32 [B, classes]; see `FusedClassifier`."""
        return self.score(features, self.encode(numeric, categorical))

    def score(self, visual: Tensor | None, clinical: Tensor | None) -> Tensor:
        """Map features float [B, C] and encoded values float [B, F]; see the base class."""
        logits: Tensor = self.head(visual, clinical)
        return logits.float()


def _new_pooling(own: OwnPooling | None, pooling: Pooling, *, plain: bool) -> GeneralisedMean | OwnPooling | None:
    """Make what pools the last map, if not the average.

    :param plain: the map is pooled as the image branch gives it.
    """
    if own is not None and (pooling != "average" or not plain):
        raise ValueError(f"the map of an image branch that ends in {type(own).__name__} is made for it alone")
    return GeneralisedMean() if pooling == "gem" else own


def pool(feature_map: Tensor) -> Tensor:
    """Global average pooling, float [B, C, h, w] to float [B, C]."""
    return torch.mean(feature_map, dim=(2, 3))
