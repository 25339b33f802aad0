"""Every tolerance in the suite, with its reason.  A test may not invent its own."""

KERNEL_RTOL = 4e-6  # ~32 float32 ulp: eight roundings, ratios up to 1e6 apart
EXPONENTIAL_RTOL = 4e-5  # exp(x) by a fifth-order series to the 64th power: rounding grows 64-fold
EXPONENTIAL_FAR_RTOL = 2e-3  # the series itself, 30 away from 0
ROUND_TRIP_ATOL = 2e-6  # full-scale signal through float32 FFT, window, IFFT, window
RESAMPLED_ATOL = 3e-4  # 80 dB stop band twice, 0.5 dB below full scale
RESAMPLER_TWIN_ATOL = 3e-6  # float32 sum of 50-600 products of a full-scale signal
SPECTRUM_ATOL = 2e-5  # 512-point float32 transform of a full-scale signal: values up to 60
TRACKER_RTOL = 2e-3  # the exponential far from 0 inside a sigmoid, sliding sums of ratios 1e4 apart
INTEGRAL_RTOL = 6e-5  # Abramowitz & Stegun 5.1.53 and 5.1.56 in float32
SLIDING_RTOL = 2e-2  # a running sum over 33 bins whose terms are up to 1e5 apart loses the small ones
FEATURE_ATOL = 2e-4  # logarithms of float32 sums
SUBTRACTION_RTOL = 1e-3  # a difference of nearly equal powers under a root
LOGARITHM_ATOL = 3e-7  # two float32 roundings around 1
MEAN_ATOL = 4e-6  # running sums of some hundred values around 1
FINE_ATOL = 2e-3  # three layers in float32 behind logarithms of ratios, an argmax between nearly equal peaks
TRANSFORM_ATOL = 2e-6  # nine stages of a float32 transform of values around 1
COHERENCE_ATOL = 3e-6  # a ratio of sums of a few products, in float32
VOICING_ATOL = 2e-4  # float32 filters that start on a sample, norms of what is 100 dB below it
LINKED_ATOL = 2e-5  # coherence, steep weight and a weighted mean, in float32
LINKED_SIGNAL_ATOL = 2e-6  # a mean of equal gains, weighted: two roundings, then the transforms
GRADIENT_RTOL = 1e-4  # float32 sums over thousands of rows, in another order, through a dozen layers
TWIN_RTOL = 1e-5  # as before, of an output
MEASURE_RTOL = 1e-9  # float64 sums of a thousand values in another order
