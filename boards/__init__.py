"""Boards: the accelerator on a real FPGA board."""
