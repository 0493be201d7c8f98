"""Encode lossless JPEG (process 14, first predictor), which Pillow reads and does not write."""

import struct

import numpy as np


def lossless_jpeg(pixels: np.ndarray, adobe: bool = False) -> bytes:
    """Encode uint8 [H, W, 3] or [H, W], with a Huffman table whose codes all have four bits."""
    values = (pixels if pixels.ndim == 3 else pixels[..., None]).astype(int)
    height, width, channels = values.shape

    def segment(code: int, body: bytes) -> bytes:
        return bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body

    numbers = range(1, channels + 1)
    head = b"\xff\xd8" + (segment(0xEE, b"Adobe\0\x64\0\0\0\0\0") if adobe else b"")
    head += segment(
        0xC3, struct.pack(">BHHB", 8, height, width, channels) + b"".join(bytes([k, 0x11, 0]) for k in numbers)
    )
    head += segment(0xC4, bytes([0, 0, 0, 0, 9, *[0] * 12, *range(9)]))
    head += segment(0xDA, bytes([channels, *(value for k in numbers for value in (k, 0)), 1, 0, 0]))
    predicted = np.empty_like(values)
    predicted[:, 1:], predicted[1:, 0], predicted[0, 0] = values[:, :-1], values[:-1, 0], 128
    bits = []
    for difference in (values - predicted).ravel().tolist():
        size = abs(difference).bit_length()
        bits.append(f"{size:04b}")
        if size:
            bits.append(f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return head + int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0") + b"\xff\xd9"
