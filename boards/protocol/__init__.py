"""The protocol of the line: frames, the device's description, outcomes at the host.

`frame` encodes and decodes frames, `info` has what a device says of itself, `outcome` the answers
that a host gets.
"""
