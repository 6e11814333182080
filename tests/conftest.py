"""Before torch starts its threads: wait without spinning, as the command line does."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
