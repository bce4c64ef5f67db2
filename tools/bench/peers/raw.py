"""What does the model cost when nothing stands between? `raw.py SECONDS` prints one line of JSON."""

import json
import sys
import time

import numpy as np
from model import run, session

begun = time.perf_counter()
loaded = session()
load_seconds = time.perf_counter() - begun
shape = [1 if not isinstance(length, int) else length for length in loaded.get_inputs()[0].shape]
rows = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
for _ in range(20):
    run(loaded, rows)

runs, begun, cpu = 0, time.perf_counter(), time.process_time()
until = begun + float(sys.argv[1])
while time.perf_counter() < until:
    for _ in range(10):
        run(loaded, rows)
    runs += 10
figures = {
    "runs": runs,
    "seconds": time.perf_counter() - begun,
    "cpu_us": (time.process_time() - cpu) / runs * 1e6,
    "load_seconds": load_seconds,
}
print(json.dumps(figures))
