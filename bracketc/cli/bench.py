"""``bench``: emitted kernels timed against each other, and against peers."""

NAME = "bench"
READS_SOURCE = True


def arguments(command): pass
def run(arguments, terminal): return 0
