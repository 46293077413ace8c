"""The hardware: number formats, arithmetic, the systolic array and the accelerator."""
