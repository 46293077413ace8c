"""MLPerf Tiny's ResNet-8 for CIFAR-10, the float network that studies share."""
