"""Count what the compiled hop asks of the C library: heap allocations and mutex locks per hop.

Preloads a counter (built with the C compiler `cc`) into a fresh process and runs each preset for a while.

    python benchmarks/allocations.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

COUNTER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
static long allocations, locks;
long count_allocations(void) { return allocations; }
long count_locks(void) { return locks; }
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
void *malloc(size_t n) { allocations++; return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { allocations++; return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { allocations++; return __libc_realloc(p, n); }
void *aligned_alloc(size_t a, size_t n) { allocations++; return __libc_memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) { allocations++; *p = __libc_memalign(a, n); return *p ? 0 : 12; }
int pthread_mutex_lock(pthread_mutex_t *m) {
    static int (*real)(pthread_mutex_t *);
    if (!real) real = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_lock");
    locks++;
    return real(m);
}
"""

COUNTED = """
import ctypes, numpy as np
from rtdenoise.config import load_settings
from rtdenoise.registry import build
library = ctypes.CDLL(None)
print("| method | preset | rate | allocations per hop | locks per hop |")
print("|---|---|---:|---:|---:|")
for method in ("WF", "SS"):
    for preset, rate in (("quality", 16000), ("balanced", 16000), ("low", 16000), ("ultra", 16000), ("low", 48000)):
        denoiser = build(load_settings(method=method, preset=preset), rate)
        signal = np.random.default_rng(0).normal(0, 0.1, 2000 * denoiser.hop).astype(np.float32)
        counts = []
        for n_hops in (1000, 2000):
            before = library.count_allocations(), library.count_locks()
            denoiser.process_hops(signal[: n_hops * denoiser.hop], signal[: n_hops * denoiser.hop])
            counts.append((library.count_allocations() - before[0], library.count_locks() - before[1]))
        per_hop = [(after - first) / 1000 for first, after in zip(*counts)]
        print(f"| {method} | {preset} | {rate} | {per_hop[0]:g} | {per_hop[1]:g} |")
"""


def main() -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        sys.exit("this benchmark needs Linux and a C compiler: apt install gcc")
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "counter.c", Path(folder) / "counter.so"
        source.write_text(COUNTER)
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", source, "-o", library, "-ldl"], check=True)
        subprocess.run([sys.executable, "-c", COUNTED], env=os.environ | {"LD_PRELOAD": str(library)}, check=True)


if __name__ == "__main__":
    main()
