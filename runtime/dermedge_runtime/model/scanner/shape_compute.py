"""The shape of what an operator computes, from the shapes of what it takes: arithmetic, products, windows, reductions.

The shapes are exact, as in ONNX's specification of the versions from 13 on. Not covered: operators whose sizes depend
on the data, and those that move numbers without computing (`shape_layout`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from .shape_given import Given, Misfit, Rule, axes_of, broadcast
from .tensors import Shape


def _same(given: Given) -> list[Shape]:
    return [given.shape(0)]


def _elementwise(given: Given) -> list[Shape]:
    return [broadcast([given.shape(index) for index in range(len(given))])]


def _prelu(given: Given) -> list[Shape]:
    if broadcast([given.shape(0), given.shape(1)]) != given.shape(0):
        raise Misfit("the shapes do not fit together")
    return [given.shape(0)]


def _with_scale(given: Given) -> list[Shape]:
    """QuantizeLinear and its kind: a scale is one number, or one per row or block, never more than the tensor."""
    if prod(given.shape(1)) > max(1, prod(given.shape(0))):
        raise Misfit("the shapes do not fit together")
    return [given.shape(0)]


def _dropout(given: Given) -> list[Shape]:
    return [given.shape(0), given.shape(0)]


def _reduced(shape: Shape, axes: Sequence[int], keep: int) -> Shape:
    chosen = set(axes_of(axes, len(shape)))
    if keep:
        return tuple(1 if place in chosen else size for place, size in enumerate(shape))
    return tuple(size for place, size in enumerate(shape) if place not in chosen)


def _reduce(given: Given) -> list[Shape]:
    shape, keep = given.shape(0), given.integer("keepdims", 1)
    axes = given.integers("axes", ())
    if given.has(1):
        if axes:
            raise Misfit("axes are given twice")
        axes = given.ints(1)
    if not axes:
        if given.integer("noop_with_empty_axes", 0):
            return [shape]
        axes = list(range(len(shape)))
    return [_reduced(shape, axes, keep)]


def _arg(given: Given) -> list[Shape]:
    return [_reduced(given.shape(0), [given.integer("axis", 0)], given.integer("keepdims", 1))]


def matrix_product(first: Shape, second: Shape) -> Shape:
    """Give the shape of a product, as numpy's matmul."""
    if not first or not second:
        raise Misfit("a number is no matrix")
    left = (1, *first) if len(first) == 1 else first
    right = (*second, 1) if len(second) == 1 else second
    if left[-1] != right[-2]:
        raise Misfit("the shapes do not fit together")
    result = [*broadcast([left[:-2], right[:-2]]), left[-2], right[-1]]
    if len(second) == 1:
        del result[-1]
    if len(first) == 1:
        del result[-1 if len(second) == 1 else -2]
    return tuple(result)


def _matmul(first: int, second: int) -> Rule:
    return lambda given: [matrix_product(given.shape(first), given.shape(second))]


def _gemm(given: Given) -> list[Shape]:
    first, second = given.shape(0), given.shape(1)
    if len(first) != 2 or len(second) != 2:
        raise Misfit("it takes matrices")
    first = first[::-1] if given.integer("transA", 0) else first
    second = second[::-1] if given.integer("transB", 0) else second
    result = matrix_product(first, second)
    if given.has(2) and broadcast([given.shape(2), result]) != result:
        raise Misfit("the shapes do not fit together")
    return [result]


def _windows(given: Given, sizes: Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Number of places of a sliding window along each axis; convolution and pooling."""
    count = len(sizes)
    strides, dilations = given.integers("strides", [1] * count), given.integers("dilations", [1] * count)
    pads, rule = given.integers("pads", [0] * 2 * count), given.text("auto_pad", "NOTSET")
    lengths = len(kernel), len(strides), len(dilations), len(pads)
    if lengths != (count, count, count, 2 * count) or min([1, *kernel, *strides, *dilations]) < 1 or min(pads) < 0:
        raise Misfit("its window makes no sense")
    ceil, result = given.integer("ceil_mode", 0), []
    for place, size in enumerate(sizes):
        stride, reach = strides[place], dilations[place] * (kernel[place] - 1) + 1
        if rule in ("SAME_UPPER", "SAME_LOWER"):
            if dilations[place] > 1:  # ONNX Runtime's own rule differs between operators
                raise Misfit(f"auto_pad {rule} with dilations")
            result.append(-(-size // stride))
            continue
        if rule not in ("NOTSET", "VALID", ""):
            raise Misfit(f"auto_pad {rule} is unknown")
        room = size + (0 if rule == "VALID" else pads[place] + pads[place + count]) - reach
        if room < 0:
            raise Misfit("its window is larger than the picture")
        places = (-(-room // stride) if ceil else room // stride) + 1
        # A last window that would begin behind the picture and its first padding is left out.
        late = ceil and (places - 1) * stride >= size + (0 if rule == "VALID" else pads[place])
        result.append(places - 1 if late else places)
    return result


def _convolution(picture: int, weight: int) -> Rule:
    def rule(given: Given) -> list[Shape]:
        shape, kernel = given.shape(picture), given.shape(weight)
        if len(shape) < 3 or len(kernel) != len(shape) or kernel[1] * given.integer("group", 1) != shape[1]:
            raise Misfit("the shapes do not fit together")
        if given.integers("kernel_shape", kernel[2:]) != list(kernel[2:]):
            raise Misfit("kernel_shape is not the weight's")
        return [(shape[0], kernel[0], *_windows(given, shape[2:], kernel[2:]))]

    return rule


def work_space(given: Given, result: Shape) -> int:
    """Count the numbers that a convolution may lay out beside its result: the window's content at every place."""
    weight = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}.get(given.node.operator)
    return 0 if weight is None else prod(given.shape(weight)[1:]) * prod(result[2:])


def _pool(given: Given) -> list[Shape]:
    shape = given.shape(0)
    if len(shape) < 3:
        raise Misfit("it takes pictures")
    result = (*shape[:2], *_windows(given, shape[2:], given.integers("kernel_shape", ())))
    return [result, result]


def _global_pool(given: Given) -> list[Shape]:
    shape = given.shape(0)
    return [(*shape[:2], *(1 for _ in shape[2:]))]


def _dynamic_quantize(given: Given) -> list[Shape]:
    return [given.shape(0), (), ()]


_SAME = """Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization BitwiseNot Cast CastLike Ceil Celu Clip Cos Cosh
    CumSum Elu Erf Exp Floor Gelu GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf
    IsNaN LRN LayerNormalization LeakyRelu Log LogSoftmax LpNormalization MeanVarianceNormalization Mish Neg Not
    RMSNormalization Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Swish Tan
    Tanh ThresholdedRelu Trilu"""
_ELEMENTWISE = """Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max
    Mean Min Mod Mul Or Pow Sub Sum Where Xor"""
_REDUCE = """ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReduceSumSquare"""

COMPUTING: dict[str, Rule] = {
    **dict.fromkeys(_SAME.split(), _same),
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(_REDUCE.split(), _reduce),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _with_scale),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    **dict.fromkeys(("AveragePool", "MaxPool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    "Conv": _convolution(0, 1),
    "ConvInteger": _convolution(0, 1),
    "Dropout": _dropout,
    "DynamicQuantizeLinear": _dynamic_quantize,
    "Gemm": _gemm,
    "MatMul": _matmul(0, 1),
    "MatMulInteger": _matmul(0, 1),
    "PRelu": _prelu,
    "QLinearConv": _convolution(0, 3),
    "QLinearMatMul": _matmul(0, 3),
}
