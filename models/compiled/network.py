"""A convolutional network there and back in float32, patches -> latent -> patches, as sums that stay in registers.

Whatever its kind, a layer sums over *segments* of its input, each of which lies in one piece: a 3 x 3 convolution on
channels-last memory has three, a row each; a transposed one of stride 2 two, for each of the four phases of its output;
a matrix product one. `models.plan` says where they lie. The sums of a few neighbouring outputs, sixteen channels of
each, stay in registers until they are done: nothing is gathered beforehand, and a layer costs nothing a call.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from models.compiled import compiled

Array = npt.NDArray[Any]

WIDE: Final = 16
"""Channels whose sums are taken together: one register of AVX-512, two of AVX2, four of NEON."""

MOST: Final = 6
"""Outputs whose sums are taken together: twelve of AVX2's sixteen registers."""

_INT, _LANE = ir.IntType(64), ir.IntType(32)
_CHANNELS = ir.VectorType(ir.FloatType(), WIDE)


def _tile(rows: int) -> Callable[..., None]:
    """Sums of *rows* neighbouring outputs: see `_line`. Written for LLVM itself, since numba keeps arrays in memory."""

    @intrinsic
    def tile(_, x, x_at, x_step, segments, segment_step, run, weights, at, relu, y, y_at, y_step):  # type: ignore[no-untyped-def]  # these are numba's types
        takes = x, x_at, x_step, segments, segment_step, run, weights, at, relu, y, y_at, y_step
        return types.void(*takes), generate

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, x_at, x_step, segments, segment_step, run, _, at, relu, _, y_at, y_step = args
        x, weights, y = (
            builder.gep(context.make_array(signature.args[array])(context, builder, args[array]).data, [first])
            for array, first in ((0, x_at), (6, at), (9, y_at))
        )
        offsets = [builder.mul(x_step, _INT(row)) for row in range(rows)]
        zeros = ir.Constant(_CHANNELS, [0.0] * WIDE)
        for row, total in enumerate(_sums(builder, x, offsets, (segments, segment_step, run), weights)):
            # Not the larger of both: what is no number must stay none.
            positive = builder.select(builder.fcmp_ordered("<", total, zeros), zeros, total)
            held = builder.select(relu, positive, total)
            builder.store(held, _channels_at(builder, builder.gep(y, [builder.mul(y_step, _INT(row))])), align=4)
        return context.get_dummy_value()

    return tile


def _sums(builder: Any, x: Any, offsets: list[Any], pieces: tuple[Any, Any, Any], weights: Any) -> list[Any]:
    """Of the outputs at *offsets*, over segments and over what lies in one piece: two loops around one block."""
    segments, segment_step, run = pieces
    before = builder.block
    segment, inner, done, after = map(builder.append_basic_block, ("segment", "inner", "done", "after"))

    def turning(first: Any, origin: Any) -> Any:
        """What has another value in each turn of the loop that begins here, *first* that from *origin*."""
        value = builder.phi(first.type)
        value.add_incoming(first, origin)
        return value

    biases = builder.load(_channels_at(builder, weights), align=4)
    weights = builder.gep(weights, [_INT(WIDE)])
    builder.branch(segment)

    builder.position_at_end(segment)
    outer = [turning(first, before) for first in (_INT(0), x, weights, *[biases] * len(offsets))]
    builder.branch(inner)

    builder.position_at_end(inner)
    number, piece, *held = outer
    index, weight, *sums = (turning(first, segment) for first in (_INT(0), *held))
    factors, value = builder.load(_channels_at(builder, weight), align=4), builder.gep(piece, [index])
    added = []
    for offset, total in zip(offsets, sums, strict=True):
        seen = _spread(builder, builder.load(builder.gep(value, [offset]), align=4))
        # Contracted, they are one instruction where the processor has it.
        added.append(builder.fadd(total, builder.fmul(seen, factors, ("contract",)), ("contract",)))
    turned = [builder.add(index, _INT(1)), builder.gep(weight, [_INT(WIDE)]), *added]
    builder.cbranch(builder.icmp_signed("<", turned[0], run), inner, done)
    for one, again in zip((index, weight, *sums), turned, strict=True):
        one.add_incoming(again, inner)

    builder.position_at_end(done)
    turned = [builder.add(number, _INT(1)), builder.gep(piece, [segment_step]), *turned[1:]]
    builder.cbranch(builder.icmp_signed("<", turned[0], segments), segment, after)
    for one, again in zip(outer, turned, strict=True):
        one.add_incoming(again, done)
    builder.position_at_end(after)
    return added


def _channels_at(builder: Any, pointer: Any) -> Any:
    return builder.bitcast(pointer, _CHANNELS.as_pointer())


def _spread(builder: Any, value: Any) -> Any:
    """*value* for every channel."""
    nothing = ir.Constant(_CHANNELS, ir.Undefined)
    first = builder.insert_element(nothing, value, _LANE(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_LANE, WIDE), [0] * WIDE))


_one, _two, _three, _four, _five, _six = (_tile(rows) for rows in range(1, MOST + 1))


@compiled
def _line(
    count: int,
    x: Array,
    x_at: int,
    x_step: int,
    segments: int,
    segment_step: int,
    run: int,
    weights: Array,
    at: int,
    relu: bool,
    y: Array,
    y_at: int,
    y_step: int,
) -> None:
    """*count* outputs of sixteen channels, from *y_at* on, *y_step* apart.

    The first sees *segments* of *run* values from *x_at* on, *segment_step* apart, the next the same *x_step* further.
    Their weights, sixteen for each value, stand in this order from *at* on, after sixteen biases.
    """
    tiles = (count + MOST - 1) // MOST
    while count > 0:
        rows = (count + tiles - 1) // tiles  # 15 are five and five and five
        if rows == 6:
            _six(x, x_at, x_step, segments, segment_step, run, weights, at, relu, y, y_at, y_step)
        elif rows == 5:
            _five(x, x_at, x_step, segments, segment_step, run, weights, at, relu, y, y_at, y_step)
        elif rows == 4:
            _four(x, x_at, x_step, segments, segment_step, run, weights, at, relu, y, y_at, y_step)
        elif rows == 3:
            _three(x, x_at, x_step, segments, segment_step, run, weights, at, relu, y, y_at, y_step)
        elif rows == 2:
            _two(x, x_at, x_step, segments, segment_step, run, weights, at, relu, y, y_at, y_step)
        else:
            _one(x, x_at, x_step, segments, segment_step, run, weights, at, relu, y, y_at, y_step)
        x_at, y_at, count, tiles = x_at + rows * x_step, y_at + rows * y_step, count - rows, tiles - 1


@compiled
def pass_through(
    patches: Array,
    down: Array,
    to_latent: Array,
    from_latent: Array,
    up: Array,
    weights: Array,
    scratch: Array,
    features: Array,
    latent: Array,
    codes: Array,
    drawn: Array,
) -> None:
    """*patches* (n, a) -> *latent* (n, at least p), whitened, and *drawn* (n, a).

    *down*, *to_latent*, *from_latent* and *up* (layers, 16) are products as `models.plan.Product` has them, with their
    *weights*. *features* (n, f) and *codes* (n, g) are what the latent is made of and what it makes; codes and
    *scratch* have borders, which are zero.
    """
    count = len(patches)
    seen, made_of, q, makes, out = (
        patches.reshape(-1),
        features.reshape(-1),
        latent.reshape(-1),
        codes.reshape(-1),
        drawn.reshape(-1),
    )
    for index in range(count):
        for layer in range(len(down)):
            _apply(down[layer], 1, seen, index * patches.shape[1], scratch, weights, made_of, index * features.shape[1])
    # The latent's matrices are larger than the nearest cache: each is gone through once for all frames.
    for layer in range(len(to_latent)):
        _apply(to_latent[layer], count, made_of, 0, scratch, weights, q, 0)
    for layer in range(len(from_latent)):
        _apply(from_latent[layer], count, q, 0, scratch, weights, makes, 0)
    for index in range(count):
        for layer in range(len(up)):
            _apply(up[layer], 1, makes, index * codes.shape[1], scratch, weights, out, index * drawn.shape[1])


@compiled
def _apply(
    product: Array, times: int, given: Array, first: int, scratch: Array, weights: Array, out: Array, out_first: int
) -> None:
    """One *product*, so many *times* in a row; what is *given* of its frame begins at *first*, *out* at *out_first*."""
    x, x_at, x_row, x_step = given, product[1] + first, product[2], product[3]
    if product[0] != 0:
        x, x_at = scratch, product[1]
    y, y_at, y_row, y_step = out, product[5] + out_first, product[6], product[7]
    if product[4] != 0:
        y, y_at = scratch, product[5]
    rows, columns, blocks = product[8], product[9] * times, product[10]
    segments, segment_step, run, at, relu = product[11], product[12], product[13], product[14], product[15] != 0
    for block in range(blocks):  # a block's weights are in the nearest cache, the frame in the next
        bias = at + block * (1 + segments * run) * WIDE
        for row in range(rows):
            _line(
                columns, x, x_at + row * x_row, x_step, segments, segment_step, run, weights, bias, relu,
                y, y_at + row * y_row + block * WIDE, y_step,
            )  # fmt: skip
