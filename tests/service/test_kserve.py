"""Standard clients of the Open Inference Protocol get the model file's outputs, by the official client and by hand."""

import httpx
import numpy as np
import pytest
from make_tiny_model import CLASSES, SIZE, TINY
from service.serving import Running

from dermedge_runtime import Classifier

http = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed (extra: dev)")
IMAGES = np.random.default_rng(3).integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.uint8)
AGES = np.array([[50], [np.nan], [7]], np.float32)
WORDS = np.array([[0, 1], [-1, -1], [1, 2]], np.int32)
EXPECTED = Classifier(TINY, "cpu").run(IMAGES, AGES, WORDS)


@pytest.mark.parametrize("binary", [True, False])
def test_the_official_client(service: Running, binary: bool) -> None:
    client = http.InferenceServerClient(service.address.removeprefix("http://"))
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("tiny")
    told = client.get_model_metadata("tiny")
    assert {each["name"]: each["datatype"] for each in told["inputs"]} == {
        "image": "UINT8", "numeric": "FP32", "categorical": "INT32",
    }  # fmt: skip
    inputs = []
    for name, array, kind in (("image", IMAGES, "UINT8"), ("numeric", AGES, "FP32"), ("categorical", WORDS, "INT32")):
        inputs.append(http.InferInput(name, array.shape, kind))
        if binary or name == "numeric":  # its JSON has no NaN
            inputs[-1].set_data_from_numpy(array, binary_data=True)
        else:
            inputs[-1].set_data_from_numpy(array, binary_data=False)
    outputs = [http.InferRequestedOutput("probabilities", binary_data=binary)]
    answer = client.infer("tiny", inputs, outputs=outputs, request_id="7")
    assert answer.get_response()["id"] == "7"
    np.testing.assert_allclose(answer.as_numpy("probabilities"), EXPECTED["probabilities"], atol=1e-6)
    client.close()


def test_by_hand_and_without_clinical_values(client: httpx.Client) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(IMAGES.shape), "data": IMAGES.ravel().tolist()}
    answer = client.post("/v2/models/tiny/infer", json={"inputs": [tensor]}).json()
    [found] = [each for each in answer["outputs"] if each["name"] == "probabilities"]
    assert (found["datatype"], found["shape"]) == ("FP32", [3, len(CLASSES)])
    unknown = Classifier(TINY, "cpu").run(IMAGES, np.full((3, 1), np.nan, np.float32), np.full((3, 2), -1, np.int32))
    np.testing.assert_allclose(np.reshape(found["data"], found["shape"]), unknown["probabilities"], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "body", "status", "words"),
    [
        ("other", {"inputs": []}, 404, "There is no model other here; it is tiny."),
        ("tiny", {}, 400, "The request cannot be read (KeyError"),
        (
            "tiny",
            {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 2], "data": [1]}]},
            400,
            "cannot be read",
        ),
        (
            "tiny",
            {"inputs": [{"name": "x", "datatype": "UINT8", "shape": [1], "data": [1]}]},
            400,
            "There is no input x",
        ),
        ("tiny", {"inputs": [{"name": "image", "datatype": "FP64", "shape": [1], "data": [1]}]}, 400, "cannot be read"),
        (
            "tiny",
            {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 3]}]},
            400,
            "image",
        ),
    ],
)
def test_refusals_are_in_the_protocols_words(
    client: httpx.Client, name: str, body: dict, status: int, words: str
) -> None:
    answer = client.post(f"/v2/models/{name}/infer", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]
