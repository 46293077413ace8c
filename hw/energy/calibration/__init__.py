"""What others measured on silicon, the designs that they measured, and the fit of the model."""
