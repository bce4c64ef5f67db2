"""Can an image be pulled, and from where?"""

import os
from functools import cache

from loadline_cluster.run import succeeds

PROBE_SECONDS = 20.0


def source(image: str) -> str | None:
    """Where `image` can be pulled from; None where it has to be built.

    `LOADLINE_REGISTRY` names a mirror (`host:port` or `host/prefix`) to ask in place of the image's own registry;
    `none` spares the question.
    """
    mirror = os.environ.get("LOADLINE_REGISTRY", "")
    if mirror == "none":
        return None
    host, _, path = image.partition("/")
    if mirror:
        candidate = f"{mirror.rstrip('/')}/{path}"
        return candidate if _is_there(candidate, insecure=True) else None
    return image if _is_reached(host, image) else None


def _is_reached(host: str, image: str) -> bool:
    return host not in _unreached() and (_is_there(image, insecure=False) or _remember(host))


def _remember(host: str) -> bool:
    """Ask a registry that did not answer once no second time in this run."""
    _unreached().add(host)
    return False


@cache
def _unreached() -> set[str]:
    return set()


@cache
def _is_there(reference: str, *, insecure: bool) -> bool:
    flags = ["--insecure"] if insecure else []
    return succeeds(["docker", "manifest", "inspect", *flags, reference], deadline=PROBE_SECONDS)
