"""Under which names do the measurements of serving lie, and which code do they speak of?"""

from pathlib import Path

DOCS = Path("docs")
BENCHMARK = "serving-benchmark"
MEMORY = "serving-memory"
COLD_START = "serving-cold-start"
PATHS = (
    "serving/loadline_serving",
    "platform/contracts/loadline_contracts",
    "requirements/peers",
    "tools/bench",
    ":(exclude)tools/bench/loadline_bench/telling",
)
"""How the figures are told changes nothing in them."""
