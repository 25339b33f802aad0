"""Every tolerance of the network's tests, with its reason."""

from rtdenoise.methods.can.spec import CanSpec

CAN_EXACT_ATOL = 1e-5  # full scale 1.0; float32 sums of a few thousand products, several layers deep
EIGHT_BITS_ATOL = 3e-4  # full scale 1.0; compiled dense layers round their inputs to 14 bits and more
TRAINED_ATOL = 1e-6  # the same graph run twice in float32
HALF_RTOL = 1e-2  # weights rounded to 16 bits: half an ulp is 5e-4 of each, through six layers
DIFFERENCE_RTOL = 1e-5  # a step of 1e-7 in float64 crosses hardly any kink of the rectifiers
HALF_ATOL = 1e-3  # weights around 1, rounded to 16 bits
PCM_ATOL = 5e-5  # two roundings to 16 bits below full scale


def compiled_atol(spec: CanSpec) -> float:
    """Tolerance for the default engine: compiled dense layers are less exact than everything else."""
    return EIGHT_BITS_ATOL if spec.domain == "spectral" and not spec.bands else CAN_EXACT_ATOL
