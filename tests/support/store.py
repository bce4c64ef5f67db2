"""How a test looks into the object store, and spoils what lies there."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.store import S3Store
from support import names
from support.cluster import Cluster, decoded_secret
from support.programs import program


class PortForwardError(AssertionError):
    """kubectl port-forward ended before it forwarded."""


@contextmanager
def forwarded(cluster: Cluster, target: str, port: int, *, namespace: str = names.SYSTEM) -> Iterator[int]:
    """A port of 127.0.0.1 that leads to a Service or pod while the block runs."""
    command = [
        program("kubectl"),
        "--context",
        cluster.context,
        "-n",
        namespace,
        "port-forward",
        target,
        f":{port}",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=cluster.environment
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if found is None:
                raise PortForwardError(f"{' '.join(command)}: {line}")
            yield int(found[1])
        finally:
            process.terminate()


@contextmanager
def object_store(cluster: Cluster, *, namespace: str = names.SYSTEM, release: str = names.RELEASE) -> Iterator[S3Store]:
    """The chart's bucket, with the writer's credentials."""
    keys = decoded_secret(cluster.must_get("Secret", f"{release}-store-writer", namespace))
    with forwarded(cluster, f"service/{release}-store", 7070, namespace=namespace) as port:
        yield S3Store(
            names.BUCKET,
            endpoint=f"http://127.0.0.1:{port}",
            access_key_id=keys["accessKeyId"],
            secret_access_key=keys["secretAccessKey"],
            region="us-east-1",
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )
