"""A convolutional network there and back in float32, patches -> latent -> patches, as sums that stay in registers.

Whatever its kind, a layer sums over *segments* of its input, each of which lies in one piece: a 3 x 3 convolution on
channels-last memory has three, a row each; a transposed one of stride 2 two, for each of the four phases of its output;
a matrix product one. `models.plan` says where they lie. The sums of a few neighbouring outputs, sixteen channels of
each, stay in registers until they are done: nothing is gathered beforehand, and a layer costs nothing a call.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, Final

import numpy.typing as npt
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.extending import intrinsic

from models.compiled import compiled

Array = npt.NDArray[Any]

WIDE: Final = 16
"""Channels of a block, whose sums are taken together: one register of AVX-512, two of AVX2, four of NEON."""

MOST: Final = (12, 10) if get_host_cpu_features().get("avx512f") else (6,)
"""Outputs whose sums are taken together: of one block of channels, and of two.

One for each register that holds sums: of AVX-512's thirty-two, twelve keep both multipliers busy, and with two blocks
each value is loaded once for both. Six are twelve of AVX2's sixteen.
"""

_INT, _LANE = ir.IntType(64), ir.IntType(32)
_CHANNELS = ir.VectorType(ir.FloatType(), WIDE)


def _typed(_, rows, blocks, x, x_at, x_step, segments, segment_step, run, weights, at, relu, y, y_at, y_step):  # type: ignore[no-untyped-def]  # these are numba's types
    """The types of `_tile`, and what writes its code: for LLVM itself, since numba keeps arrays in memory."""
    takes = rows, blocks, x, x_at, x_step, segments, segment_step, run, weights, at, relu, y, y_at, y_step
    return types.void(*takes), _by_size


def _by_size(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Code for every size of a tile, and the choice between them."""
    rows, blocks, _, x_at, x_step, segments, segment_step, run, _, at, relu, _, y_at, y_step = args
    x, weights, y = (
        builder.gep(context.make_array(signature.args[array])(context, builder, args[array]).data, [first])
        for array, first in ((2, x_at), (8, at), (11, y_at))
    )
    apart = builder.mul(_INT(WIDE), builder.add(_INT(1), builder.mul(segments, run)))  # a block's weights and the next
    after = builder.append_basic_block("after")
    choice = builder.switch(builder.add(rows, builder.mul(blocks, _INT(max(MOST) + 1))), after)
    for wide, most in enumerate(MOST, 1):
        for high in range(1, most + 1):
            size = builder.append_basic_block("size")
            choice.add_case(_INT(high + wide * (max(MOST) + 1)), size)
            builder.position_at_end(size)
            seen = [builder.mul(x_step, _INT(row)) for row in range(high)]
            factors = [builder.mul(apart, _INT(block)) for block in range(wide)]
            made = [
                builder.gep(y, [builder.add(builder.mul(y_step, _INT(row)), _INT(block * WIDE))])
                for block in range(wide)
                for row in range(high)
            ]
            sums = _sums(builder, (x, seen), (segments, segment_step, run), (weights, factors))
            _store(builder, sums, relu, made)
            builder.branch(after)
    builder.position_at_end(after)
    return context.get_dummy_value()


def _sums(
    builder: Any, inputs: tuple[Any, list[Any]], pieces: tuple[Any, Any, Any], factors: tuple[Any, list[Any]]
) -> list[Any]:
    """For every block of *factors* of each output. *inputs* and *factors*: a pointer, and where from there each begins.

    Over segments and over what lies in one piece: two loops around one block of code.
    """
    (x, seen), (segments, segment_step, run), (weights, blocks) = inputs, pieces, factors
    before = builder.block
    segment, inner, done, after = map(builder.append_basic_block, ("segment", "inner", "done", "after"))

    def turning(first: Any, origin: Any) -> Any:
        """What has another value in each turn of the loop that begins here, *first* that from *origin*."""
        value = builder.phi(first.type)
        value.add_incoming(first, origin)
        return value

    biases = [builder.load(_channels_at(builder, builder.gep(weights, [block])), align=4) for block in blocks]
    weights = builder.gep(weights, [_INT(WIDE)])
    builder.branch(segment)

    builder.position_at_end(segment)
    outer = [turning(first, before) for first in (_INT(0), x, weights, *(bias for bias in biases for _ in seen))]
    builder.branch(inner)

    builder.position_at_end(inner)
    number, piece, *held = outer
    index, weight, *sums = (turning(first, segment) for first in (_INT(0), *held))
    value = builder.gep(piece, [index])
    wide = [builder.load(_channels_at(builder, builder.gep(weight, [block])), align=4) for block in blocks]
    values = [_spread(builder, builder.load(builder.gep(value, [one]), align=4)) for one in seen]
    # Contracted, product and sum are one instruction where the processor has it.
    added = [
        builder.fadd(total, builder.fmul(one, factor, ("contract",)), ("contract",))
        for total, (factor, one) in zip(sums, product(wide, values), strict=True)
    ]
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


def _store(builder: Any, sums: list[Any], relu: Any, places: list[Any]) -> None:
    zeros = ir.Constant(_CHANNELS, [0.0] * WIDE)
    for total, place in zip(sums, places, strict=True):
        # Not the larger of both: what is no number must stay none.
        positive = builder.select(builder.fcmp_ordered("<", total, zeros), zeros, total)
        builder.store(builder.select(relu, positive, total), _channels_at(builder, place), align=4)


def _channels_at(builder: Any, pointer: Any) -> Any:
    return builder.bitcast(pointer, _CHANNELS.as_pointer())


def _spread(builder: Any, value: Any) -> Any:
    """*value* for every channel."""
    nothing = ir.Constant(_CHANNELS, ir.Undefined)
    first = builder.insert_element(nothing, value, _LANE(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_LANE, WIDE), [0] * WIDE))


_tile: Callable[..., None] = intrinsic(_typed)
"""*rows* neighbouring outputs of *blocks* of channels: see `_line`."""


@compiled
def _line(
    count: int,
    blocks: int,
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
    """*count* outputs of *blocks* of sixteen channels, from *y_at* on, *y_step* apart.

    The first sees *segments* of *run* values from *x_at* on, *segment_step* apart, the next the same *x_step* further.
    A block's weights, sixteen for each value, stand in this order after sixteen biases, the first block's from *at* on.
    """
    most = MOST[blocks - 1]
    tiles = (count + most - 1) // most
    while count > 0:
        rows = (count + tiles - 1) // tiles  # 15 are eight and seven
        _tile(rows, blocks, x, x_at, x_step, segments, segment_step, run, weights, at, relu, y, y_at, y_step)
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
    for block in range(0, blocks, len(MOST)):  # their weights are in the nearest cache, the frame in the next
        bias = at + block * (1 + segments * run) * WIDE
        for row in range(rows):
            _line(
                columns, min(len(MOST), blocks - block),
                x, x_at + row * x_row, x_step, segments, segment_step, run, weights, bias, relu,
                y, y_at + row * y_row + block * WIDE, y_step,
            )  # fmt: skip
