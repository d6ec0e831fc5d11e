"""Confines this process, and those that it starts, to a number of threads."""

import os


def confine(threads):
    """To be called before the first import of a library that starts threads or reads these variables when it loads."""
    # They choose kernels for other processors than this one.
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TBLIS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["JAX_PLATFORMS"] = "cpu"
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    # The size of XLA's pool follows from the processors that it may run on, as do those of others.
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < threads:
        raise SystemExit(f"{threads} threads need as many processors, and there are {len(cores)}")
    os.sched_setaffinity(0, cores[-threads:])
