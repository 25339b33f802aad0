"""Every tolerance of the network's tests, with its reason."""

CAN_EXACT_ATOL = 1e-5  # full scale 1.0; float32 sums of a few thousand products, several layers deep
TRAINED_ATOL = 1e-6  # the same graph run twice in float32
