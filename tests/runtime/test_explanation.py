"""Heat maps at the picture's size and place, their colours, and relevance by field."""

import io

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from dermedge_runtime import DermedgeError, Prediction, UsageError, explanation
from dermedge_runtime.explanation import Explanation, colours, enlarge, overlay

GRID = np.zeros((4, 4), dtype=np.float32)
GRID[0, 3] = 1  # top right


def _prediction(picture: object, size: tuple[int, int] | None, grid: np.ndarray | None = GRID) -> Prediction:
    explanation = Explanation("mel", grid, {"age": 0.5, "sex=male": 0.25, "sex=female": 0.5}, None)
    return Prediction("mel", {"mel": 1.0}, "x.jpg", "m.onnx", "cpu", "CPU", "1.0", "a CPU", explanation, picture, size)


@pytest.mark.parametrize("size", [(600, 450), (100, 37), (3, 5), (4000, 3000)])
def test_heat_map_has_the_pictures_size_and_stays_in_its_corner(size: tuple[int, int]) -> None:
    heat = enlarge(GRID, *size)
    assert heat.shape == (size[1], size[0])
    assert heat.dtype == np.float32
    assert heat[0, -1] == heat.max() <= 1
    assert heat[-1, 0] == heat.min() == 0


def test_heat_map_of_a_uniform_grid_is_uniform() -> None:
    np.testing.assert_allclose(enlarge(np.full((8, 8), 0.3, np.float32), 77, 50), 0.3, atol=1e-6)


def test_colours_are_infernos() -> None:
    values = np.linspace(0, 1, 64, dtype=np.float32)
    expected = 255 * colormaps["inferno"](values)[:, :3]
    assert np.abs(colours(values) - expected).max() < 8
    assert (np.diff(colours(values).astype(int).sum(axis=1)) > 0).mean() > 0.9  # readable in grey


def test_overlay_changes_the_picture_only_where_it_is_hot() -> None:
    picture = Image.new("RGB", (200, 100), (120, 90, 80))
    result = np.asarray(overlay(picture, GRID))
    assert result.shape[0] == 100
    assert result.shape[1] > 200
    np.testing.assert_array_equal(result[60:, :100], np.asarray(picture)[60:, :100])
    assert np.abs(result[0, 199].astype(int) - (120, 90, 80)).max() > 50


def test_bar_runs_from_bright_to_dark() -> None:
    picture = Image.new("RGB", (200, 140), "white")
    bar = np.asarray(overlay(picture, GRID))[:, 203]
    assert bar[12].sum() > bar[70].sum() > bar[126].sum()


def test_overlay_is_upright_for_a_rotated_photograph() -> None:
    # Stored on its side: the upright picture is 40 wide and 20 high, red on the right.
    upright = np.zeros((20, 40, 3), dtype=np.uint8)
    upright[:, 20:] = (255, 0, 0)
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(stream, format="PNG", exif=exif)
    result = np.asarray(_prediction(stream.getvalue(), (40, 20), np.zeros((2, 2), np.float32)).overlay())
    np.testing.assert_array_equal(result[:, :40], upright)


def test_overlay_without_a_heat_map_is_refused() -> None:
    with pytest.raises(DermedgeError, match=r"m\.onnx gave no heat map for x\.jpg"):
        _prediction(None, None, grid=None).overlay()


def test_relevance_is_summed_per_field() -> None:
    assert _prediction(None, None).relevance_by_field == {"age": 0.5, "sex": 0.75}


def test_a_prediction_without_explanation_has_none() -> None:
    plain = Prediction("mel", {"mel": 1.0}, "x.jpg", "m.onnx", "cpu", "CPU", "1.0", "a CPU")
    assert plain.heatmap is plain.relevance is plain.relevance_by_field is None
    assert "explanation" not in plain.to_record(explain=True)


def test_an_overlay_is_no_larger_than_asked() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (2400, 1200), (120, 90, 80)).save(stream, format="JPEG")
    prediction = _prediction(stream.getvalue(), (2400, 1200))
    assert prediction.overlay().height == 800
    assert prediction.overlay(largest=300).height == 150
    assert prediction.overlay(largest=None).height == 1200
    assert prediction.overlay(largest=5000).height == 1200
    with pytest.raises(UsageError, match="at least 1 pixel, got 0"):
        prediction.overlay(largest=0)


@pytest.mark.parametrize("size", [(601, 403), (3, 997), (997, 3), (1, 1)])
def test_bands_of_an_overlay_fit_together(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    grid = np.random.default_rng(0).random((7, 7), np.float32)
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*size[::-1], 3), np.uint8))
    heat, whole = enlarge(grid, *size), np.asarray(overlay(picture, grid)).astype(int)
    monkeypatch.setattr(explanation, "_BAND_PIXELS", 5000)
    np.testing.assert_allclose(enlarge(grid, *size), heat, atol=1e-5)
    assert np.abs(np.asarray(overlay(picture, grid)) - whole).max() <= 1


def test_an_overlay_where_numpy_raises_and_pillow_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = np.array([[1e-40, 1], [0, 1e-20]], np.float32)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with np.errstate(all="raise"):
        assert overlay(Image.new("RGB", (64, 48)), grid).height == 48
        assert enlarge(grid, 64, 48).shape == (48, 64)


def test_whether_there_is_a_heat_map_takes_no_memory() -> None:
    assert _prediction("missing.jpg", (10**6, 10**6)).has_heatmap
    assert not _prediction(None, None).has_heatmap
    assert not _prediction("missing.jpg", (4, 4), grid=None).has_heatmap
