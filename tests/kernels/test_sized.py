"""Records of all sizes through code that is compiled once."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from rtdenoise.kernels.jit import kernel, kernel_apart
from rtdenoise.kernels.sized import Size, fill_places, header_of, headers, opened, sized_dtype
from rtdenoise.methods.can.compiled.grid import frames_dtype, frames_header
from rtdenoise.methods.spectral.state import spectral_dtype, spectral_header
from rtdenoise.streaming.overlap_add import Framing


def records(rows: int, columns: int, n: int = 1) -> np.ndarray:
    """Records with a scalar, an array of a fixed size and arrays of every kind; random numbers in all of them."""
    fields = [
        ("bytes", "u1", (Size(columns),)),
        ("level", "f8"),
        ("table", "f4", (2, 3)),
        ("line", "f4", (Size(columns),)),
        ("plane", "c8", (Size(rows), Size(columns))),
        ("counts", "i8", (3, Size(columns))),
        ("none", "f4", (Size(0),)),
    ]
    found = np.zeros(n, sized_dtype(fields))
    rng = np.random.default_rng(rows)
    for name, *_ in fields:
        found[name] = rng.integers(1, 100, found[name].shape)
    fill_places(found)
    return found


@kernel
def total(states: np.ndarray) -> float:
    """The sum of everything in all records, by index."""
    found = 0.0
    for n in range(states.size):
        state = opened(states[n])
        found += state.level + state.none.size
        for j in range(state.table.shape[0]):
            for k in range(state.table.shape[1]):
                found += state.table[j, k]
        for k in range(state.line.size):
            found += state.line[k] + np.float64(state.bytes[k])
        for j in range(state.plane.shape[0]):
            for k in range(state.plane.shape[1]):
                found += state.plane[j, k].real
        for j in range(state.counts.shape[0]):
            for k in range(state.counts.shape[1]):
                found += state.counts[j, k]
    return found


@kernel
def write(states: np.ndarray) -> None:
    """Write into an array of two dimensions, a scalar and an array of a fixed size of the last record."""
    state = opened(states[states.size - 1])
    state.plane[:] = np.complex64(7)
    state.level = 9.0
    state.table[1] = np.float32(8)


def sum_of(states: np.ndarray) -> float:
    names = [name for name in states.dtype.names or () if not name.startswith("place_")]
    return float(sum(states[name].real.sum() for name in names))


SIZES = [(1, 1, 1), (2, 5, 1), (7, 257, 1), (3, 769, 4), (1, 4, 2)]


@pytest.mark.parametrize(("rows", "columns", "n"), SIZES)
def test_compiled_code_reads_what_python_wrote(rows, columns, n):
    states = records(rows, columns, n)
    assert total(headers(states)) == sum_of(states)


@pytest.mark.parametrize(("rows", "columns", "n"), SIZES)
def test_compiled_code_writes_that_field_and_no_other(rows, columns, n):
    states = records(rows, columns, n)
    expected = states.copy()
    expected["plane"][-1], expected["level"][-1], expected["table"][-1, 1] = 7, 9, 8
    write(headers(states))
    for name in states.dtype.names:
        assert_array_equal(states[name], expected[name])


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_all_sizes_run_one_compiled_function():
    for rows, columns, n in SIZES:
        total(headers(records(rows, columns, n)))
    assert len(total.signatures) <= 2, "one for a record, one for several, which may be the same"


def test_headers_are_one_object_because_comparing_two_takes_long():
    assert header_of(records(2, 3).dtype) is header_of(records(9, 8, 4).dtype)


@pytest.mark.parametrize("framing", [(8000, 256, 64, 32), (192000, 6144, 6144, 1536)])
def test_headers_of_our_records_are_the_same_for_all_sizes(framing):
    rate, frame, span, hop = framing
    scheme = Framing(sample_rate=rate, frame=frame, span=span, hop=hop)
    for n_bands, has_fine, reach in ((1, False, 1), (16, True, 4)):
        assert header_of(spectral_dtype(scheme, n_bands, has_fine, reach)) is spectral_header()
    for n_bins in (129, 4097):
        assert header_of(frames_dtype(scheme, n_bins)) is frames_header()


def test_records_without_the_regression_per_bin_have_no_memory_for_it():
    scheme = Framing(sample_rate=16000, frame=512, span=512, hop=256)
    without, with_it = (spectral_dtype(scheme, 1, has_fine) for has_fine in (False, True))
    arrays = [name for name in without.names if name.startswith("fine_") and with_it[name].itemsize > 500]
    assert len(arrays) > 10 and all(without[name].itemsize == 0 for name in arrays)


@kernel_apart
def many_sums(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray, e: np.ndarray, f: np.ndarray) -> None:
    """More arrays than the compiler would compare."""
    for k in range(a.size):
        total = b[k] + c[k]
        d[k] += total
        e[k] += total * b[k]
        f[k] += total * c[k]
        a[k] = total


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="looks at compiled code")
def test_loops_over_arrays_that_share_no_memory_vectorise_without_a_check():
    line = numba.types.Array(numba.types.float32, 1, "C")
    many_sums._cache.disable()  # what comes from the disk has no assembly
    many_sums.compile((line,) * 6)
    code = many_sums.inspect_llvm((line,) * 6)
    assert "vector.body" in code and "vector.memcheck" not in code


@kernel
def level_of(state: np.ndarray) -> float:
    """A scalar of a record of any kind."""
    return state.level


@kernel
def opened_level(states: np.ndarray) -> float:
    """`level_of` the first record."""
    return level_of(opened(states[0]))


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_a_whole_record_is_not_taken_for_a_header():
    states = records(2, 3)
    opened_level._cache.disable()  # what comes from the disk needs no other kernel
    assert opened_level(headers(states)) == level_of(states[0]) == states["level"][0]
    assert len(level_of.signatures) == 2
