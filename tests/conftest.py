import os
import signal

import torch
from hypothesis import settings

# random examples are fixed in CI, so that a red run can be repeated; machines there are slow
settings.register_profile("default", deadline=None, max_examples=60)
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("ci" if os.environ.get("CI") else "default")

torch.set_num_threads(1)  # the networks are small, and tests may run on every core at once

# a shell's background jobs ignore interrupts, and so would the commands that tests interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
