"""Before torch starts its threads: wait without spinning, as the command line does."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # another one has the other core
    os.environ.setdefault("OMP_NUM_THREADS", "1")
