"""What is exported: equations, the shapes of their operands, configurations, and how much of a result has to be equal."""

from dataclasses import dataclass

V4 = "preset = 'v4'\n"
# A float step: its sums have no bits to be equal in but those of the engine's own order.
UNQUANTIZED = None


@dataclass(frozen=True)
class Case:
    name: str
    equation: str
    shapes: tuple
    # `--bits` where a number, else the text of a configuration without its version; none for a plan in floats.
    config: object = 8
    dtype: str = "f32"
    # "bits": every bit; "values": as numbers, so that -0 is 0; "near": within the rounding of sums of floats.
    equal: str = "bits"
    # What the operands are: "normal" numbers, small "integers", "signs" alone, magnitudes of
    # "all" sizes with subnormal ones among them, or some that are "not finite".
    values: str = "normal"
    path: str = ""
    # The operands' axes that are sharded over four devices, by the name of what is sharded.
    shards: tuple = ()
    engines: tuple = ("stablehlo", "onnx")


def side(text):
    return V4 + text


CASES = [
    # Quantized, of every way in which a plan can be lowered.
    Case("batch matmul", "bij,bjk->bik", ((4, 5, 8), (4, 8, 3)), shards=(("batch", (0, 0)), ("contracted", (2, 1)))),
    Case("matmul", "ij,jk->ik", ((16, 64), (64, 24)), shards=(("contracted", (1, 0)), ("free", (0, None)))),
    Case("swapped", "ij,jk->ki", ((8, 12), (12, 4)), shards=(("contracted", (1, 0)), ("free", (0, None)))),
    Case("swapped and transposed", "bij,bjk->ibk", ((4, 5, 8), (4, 8, 3)), shards=(("batch", (0, 0)), ("contracted", (2, 1)))),
    Case("attention scores", "bqhd,bkhd->bhqk", ((4, 6, 3, 8), (4, 7, 3, 8)), shards=(("batch", (0, 0)), ("contracted", (3, 3)))),
    Case("attention values", "bhqk,bkhd->bqhd", ((4, 3, 6, 8), (4, 8, 3, 5)), shards=(("batch", (0, 0)), ("contracted", (3, 1)))),
    Case("attention whole", "bqhd,bkhd,bkhe->bqhe", ((4, 6, 3, 8), (4, 7, 3, 8), (4, 7, 3, 5)), shards=(("batch", (0, 0, 0)),)),
    Case("three operands", "ab,bc,cd->ad", ((4, 9), (9, 8), (8, 3)), shards=(("free", (0, None, None)),)),
    Case("two labels contracted", "abc,cbd->da", ((4, 8, 5), (5, 8, 3)), shards=(("contracted", (1, 1)),)),
    Case("ellipsis", "...ij,jk->...ik", ((4, 2, 3, 5), (5, 6)), shards=(("batch", (0, None)),)),
    Case("inner product", "i,i->", ((64,), (64,)), shards=(("contracted", (0, 0)),)),
    Case("outer product", "i,j->ji", ((4,), (8,)), shards=(("free", (0, None)),)),
    Case("hadamard", "ij,ji->ij", ((4, 8), (8, 4)), shards=(("batch", (0, 1)),)),
    Case("broadcast batch", "bij,bjk->bik", ((1, 3, 5), (4, 5, 2)), shards=(("batch", (None, 0)),)),
    Case("broadcast contracted", "ij,jk->ik", ((3, 1), (4, 5)), values="integers"),
    Case("sum out", "ijl,jk->ik", ((4, 8, 3), (8, 5)), values="integers", shards=(("contracted", (1, 0)),)),
    Case("diagonal", "iij,jk->ik", ((4, 4, 8), (8, 3)), shards=(("contracted", (2, 0)),)),
    Case("diagonal of three", "iiji,jk->ki", ((3, 3, 5, 3), (5, 2))),
    Case("trace and product", "ii,ij->j", ((4, 4), (4, 5)), values="integers"),
    Case("long contraction", "ij,jk->ik", ((2, 140000), (140000, 2))),
    Case("ends of the range", "ij,jk->ik", ((9, 264), (264, 17)), values="signs", shards=(("contracted", (1, 0)),)),
    Case("given path", "ab,bc,cd->ad", ((4, 9), (9, 8), (8, 3)), path="(0,2) (0,1)"),
    # Configurations.
    Case("4 bits", "bij,bjk->bki", ((2, 5, 8), (2, 8, 3)), config=4),
    Case("2 bits", "ij,jk->ik", ((5, 8), (8, 3)), config=2),
    Case("8 and 4 bits, swapped", "ij,jk->ki", ((5, 8), (8, 3)), config=side("[operand.1]\nbits = 4")),
    Case("constant bounds", "ij,jk->ki", ((50, 8), (8, 30)), config=side("static_bound = 1.7"),
         shards=(("contracted", (1, 0)),)),
    Case("constant bound of one side", "ij,jk->ik", ((50, 8), (8, 30)),
         config=side("[operand.0]\nbits = 4\ncalibration = { constant = 0.9 }")),
    Case("powers of two", "ij,jk->ik", ((50, 8), (8, 30)), config=side("[fwd.lhs]\nscale_rounding = 'power-of-two'\n[fwd.rhs]\nscale_rounding = 'power-of-two'")),
    Case("constant powers of two", "ij,jk->ik", ((50, 8), (8, 30)),
         config=side("static_bound = 1.7\n[fwd.lhs]\nscale_rounding = 'power-of-two'")),
    Case("largest value kept, unclipped", "ij,jk->ik", ((50, 8), (8, 30)),
         config=side("[fwd.lhs]\nmax = 'preserved'\n[fwd.rhs]\nclip = 'unclipped'")),
    Case("unrounded", "ij,jk->ik", ((50, 8), (8, 30)), config=side("[fwd.lhs]\nrounding = 'unrounded'\n[fwd.rhs]\nrounding = 'unrounded'\nclip = 'unclipped'")),
    Case("halves stored as integers", "ij,jk->ik", ((50, 8), (8, 30)), config=side("[fwd.lhs]\nzero = 'halfway'")),
    Case("intermediate passes", "ab,bc,cd->ad", ((4, 9), (9, 8), (8, 3)), config=side("[intermediates]\nbits = 'none'"),
         equal="near"),
    Case("one side passes", "ij,jk->ik", ((5, 8), (8, 3)), config=side("fwd_bits = 8\n[operand.1]\nbits = 'none'\n[fwd]\naccumulator = 'auto'"), equal="bits", values="integers"),
    Case("12 bits", "ij,jk->ik", ((5, 8), (8, 3)), config=12, equal="bits"),
    Case("1 bit", "ij,jk->ik", ((5, 8), (8, 3)), config="preset = 'v3'\nfwd_bits = 1", equal="bits"),
    Case("dequantized inputs", "ij,jk->ik", ((5, 8), (8, 3)),
         config=side("fwd_bits = 8\n[fwd]\ndequantize = 'inputs'\naccumulator = 'auto'\n"
                     "[fwd.lhs]\nstorage = 'float'\nscale_rounding = 'power-of-two'\n"
                     "[fwd.rhs]\nstorage = 'float'\nscale_rounding = 'power-of-two'")),
    Case("step of its own", "ab,bc,cd->ad", ((4, 9), (9, 8), (8, 3)), config=side("[step.1]\npreset = 'v4'\nfwd_bits = 3")),
    # Types.
    Case("bf16", "bij,bjk->bki", ((2, 50, 8), (2, 8, 30)), dtype="bf16"),
    Case("bf16 constant bounds", "ij,jk->ik", ((50, 8), (8, 30)), dtype="bf16", config=side("static_bound = 1.7")),
    Case("bf16 powers of two", "ij,jk->ik", ((50, 8), (8, 30)), dtype="bf16",
         config=side("[fwd.lhs]\nscale_rounding = 'power-of-two'\n[fwd.rhs]\nscale_rounding = 'power-of-two'")),
    Case("bf16 three operands", "ab,bc,cd->ad", ((4, 9), (9, 8), (8, 3)), dtype="bf16"),
    Case("f16", "bij,bjk->bki", ((2, 50, 4), (2, 4, 30)), dtype="f16"),
    Case("f16 constant bounds", "ij,jk->ik", ((50, 4), (4, 30)), dtype="f16", config=side("static_bound = 1.7")),
    Case("f16 powers of two", "ij,jk->ik", ((50, 4), (4, 30)), dtype="f16",
         config=side("[fwd.lhs]\nscale_rounding = 'power-of-two'\n[fwd.rhs]\nscale_rounding = 'power-of-two'")),
    Case("f16 constant powers of two", "ij,jk->ik", ((50, 4), (4, 30)), dtype="f16",
         config=side("static_bound = 1.7\n[fwd.lhs]\nscale_rounding = 'power-of-two'")),
    # Numbers at the ends of the range: scales that overflow, products that are subnormal, slices of zeros.
    Case("all magnitudes", "ij,jk->ik", ((200, 3), (3, 100)), values="all"),
    Case("all magnitudes, bf16", "ij,jk->ik", ((200, 3), (3, 100)), values="all", dtype="bf16"),
    Case("all magnitudes, f16", "ij,jk->ik", ((200, 3), (3, 100)), values="all", dtype="f16"),
    Case("all magnitudes, outer", "i,j->ij", ((300,), (200,)), values="all"),
    Case("all magnitudes, powers of two", "i,j->ij", ((300,), (200,)), values="all",
         config=side("[fwd.lhs]\nscale_rounding = 'power-of-two'\n[fwd.rhs]\nscale_rounding = 'power-of-two'")),
    Case("not finite", "ij,jk->ik", ((6, 5), (5, 4)), values="not finite",
         engines=("stablehlo",)),
    # Floats.
    Case("floats of integers", "bij,bjk->ibk", ((4, 5, 8), (4, 8, 3)), config=UNQUANTIZED, values="integers", equal="values"),
    Case("floats", "ab,bc,cd->ad", ((4, 90), (90, 80), (80, 3)), config=UNQUANTIZED, equal="near"),
    Case("floats in f64", "ij,jk->ki", ((5, 80), (80, 3)), config=UNQUANTIZED, dtype="f64", equal="near"),
    Case("floats in bf16", "ij,jk->ki", ((5, 80), (80, 3)), config=UNQUANTIZED, dtype="bf16", equal="near"),
    Case("floats in f16", "ij,jk->ki", ((5, 80), (80, 3)), config=UNQUANTIZED, dtype="f16", equal="near"),
    Case("complex", "ij,jk->ki", ((5, 80), (80, 3)), config=UNQUANTIZED, dtype="c32", equal="near", engines=("stablehlo",)),
    Case("complex in f64", "ijk,jk->i", ((5, 8, 3), (8, 3)), config=UNQUANTIZED, dtype="c64", equal="near", engines=("stablehlo",)),
    Case("diagonal alone", "iji->ji", ((5, 3, 5),), config=UNQUANTIZED),
    Case("transpose alone", "ijk->kij", ((3, 4, 5),), config=UNQUANTIZED),
    Case("nothing to do", "ij->ij", ((3, 4),), config=UNQUANTIZED),
    Case("empty sum", "ij,jk->ik", ((3, 0), (0, 2)), config=UNQUANTIZED),
]
