"""Networks: lowered from torch, trained at every format, turned into integers, exchanged."""
