"""Every tolerance of the network's tests, with its reason."""

CAN_EXACT_ATOL = 1e-5  # full scale 1.0; float32 sums of a few thousand products, several layers deep
TRAINED_ATOL = 1e-6  # the same graph run twice in float32
HALF_RTOL = 1e-2  # weights rounded to 16 bits: half an ulp is 5e-4 of each, through six layers
DIFFERENCE_RTOL = 1e-5  # a step of 1e-7 in float64 crosses hardly any kink of the rectifiers
HALF_ATOL = 1e-3  # weights around 1, rounded to 16 bits
PCM_ATOL = 5e-5  # two roundings to 16 bits below full scale
