"""AQT, whose numbers qeinsum reproduces, through jnp.einsum, compiled."""

from contestants import Contestant, Kind
from contestants.jax_numpy import compiled
from server import Refused


def quantized(task):
    from aqt.jax.v2 import config

    if len(task.operands) < 2:
        raise Refused("nothing is quantized: the equation has no product")
    dot_general = config.config_v4(fwd_bits=8, dlhs_bits=None, drhs_bits=None)
    # jnp.einsum wants something that can be hashed.
    return compiled(task, _dot_general=lambda *operands, **options: dot_general(*operands, **options))


CONTESTANTS = [Contestant("AQT", "aqt", Kind.QUANTIZED, quantized)]
