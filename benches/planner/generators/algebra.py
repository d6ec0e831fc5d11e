"""Products as programs write them: chains of matrices, transformers, coupled clusters."""

from .network import Network, named

# Occupied and virtual orbitals.
ORBITALS = {**dict.fromkeys("ijklmn", 12), **dict.fromkeys("abcdef", 40)}

# Batch b, positions s and t, model d to g, heads h, their width e, low rank r, hidden k.
TRANSFORMER = {"b": 4, "s": 512, "t": 512, "u": 512, "h": 8, "e": 64, "v": 64, "r": 16, "k": 2048} | dict.fromkeys(
    "dfgxyz", 512
)

TERMS = {
    "ccsd_pair": "klcd,cdij->klij",
    "ccsd_ring": "klcd,acik,dblj->abij",
    "ccsd_ladder": "klcd,cdij,abkl->abij",
    "ccsd_singles": "klcd,ci,ak,dbjl->abij",
    "ccsd_quartic": "klcd,ci,dj,ak,bl->abij",
    "attention_product": "bthe,bshe->bhst",
    "attention_scores": "bsd,dhe,btf,fhe->bhst",
    "attention_linear": "bsd,dhe,btf,fhe,btg,ghv,hvx->bsx",
    "attention_adapted": "bsd,dr,rhe,btf,fhe,btg,ghv,hvx,xk,ky->bsy",
}


def term(_random, name):
    return named({**ORBITALS, **TRANSFORMER} if name.startswith("attention") else ORBITALS, TERMS[name])


def chain(random, matrices, low=2, high=100):
    network = Network()
    left = network.label(random.between(low, high))
    network.output.append(left)
    for _ in range(matrices):
        right = network.label(random.between(low, high))
        network.add(left, right)
        left = right
    network.output.append(left)
    return network


def layers(random, count, batch=64):
    """A stack of layers without activations, for what is linear in one: a scale of every channel, and a matrix of low
    rank in two factors."""
    network = Network()
    rows, width = network.label(batch), network.label(256)
    network.add(rows, width)
    for _ in range(count):
        network.add(width)
        rank, after = network.label(random.between(4, 64)), network.label(64 * random.between(2, 8))
        network.add(width, rank)
        network.add(rank, after)
        width = after
    network.output = [rows, width]
    return network
