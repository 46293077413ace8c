"""Synthesis: tools, targets, the flow from RTLIL to a routed design, and the result store."""
