"""Does the kernel give enough of what many nodes on one machine use up?"""

import os
from pathlib import Path

from loadline_cluster.errors import ClusterToolError

LIMITS = {"fs/inotify/max_user_instances": 1024, "fs/inotify/max_user_watches": 524288}
"""Each node takes about 40 inotify instances; the default of 128 ends with the third cluster's kubelets."""

FOLDER = Path("/proc/sys")


def ensure() -> list[str]:
    """Raise those limits that are lower; return what was raised."""
    low = [name for name, wanted in LIMITS.items() if int((FOLDER / name).read_text()) < wanted]
    if low and os.geteuid() != 0:
        settings = " ".join(f"{name.replace('/', '.')}={LIMITS[name]}" for name in low)
        raise ClusterToolError(
            f"Too few inotify instances or watches for a cluster\n  What to do: sudo sysctl -w {settings}"
        )
    for name in low:
        (FOLDER / name).write_text(str(LIMITS[name]))
    return [f"{name.replace('/', '.')} raised to {LIMITS[name]}" for name in low]
