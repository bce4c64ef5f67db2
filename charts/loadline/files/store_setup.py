"""How the chart's object store gets its bucket, and who may do what in it.

Runs as a Helm hook on nothing but Python's standard library. It may run any number of times: what is there
already stays. The writer (the operator) reads, writes and lists everything in the bucket; the reader (model
pods) gets model files and nothing else.
"""

import datetime as dt
import hashlib
import hmac
import json
import logging
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

log = logging.getLogger("store-setup")

ANSWER_WITHIN_SECONDS = 240
ASK_EVERY_SECONDS = 1.0


class StoreSetupError(Exception):
    """The store answered, but not as asked."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """An S3 server and the account that speaks to it."""

    endpoint: str
    access_key_id: str
    secret_access_key: str
    region: str = "us-east-1"

    def put(self, path: str, *, query: str = "", body: bytes = b"") -> int:
        """Send a signed PUT and say how it was answered."""
        now = dt.datetime.now(dt.UTC)
        headers = self._signed_headers(path=path, query=query, body=body, now=now)
        url = self.endpoint.rstrip("/") + path + (f"?{query}" if query else "")
        request = urllib.request.Request(url, data=body, method="PUT", headers=headers)  # noqa: S310 - the chart gives the address
        try:
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - as above
                return int(response.status)
        except urllib.error.HTTPError as error:
            if error.code == 409:
                return 409
            answer = error.read(500).decode(errors="replace")
            raise StoreSetupError(f"PUT {path}?{query} was answered {error.code}: {answer}") from error

    def _signed_headers(self, *, path: str, query: str, body: bytes, now: dt.datetime) -> dict[str, str]:
        """Sign a request as AWS Signature Version 4 asks."""
        host = urllib.parse.urlsplit(self.endpoint).netloc
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        content = hashlib.sha256(body).hexdigest()
        headers = {"host": host, "x-amz-content-sha256": content, "x-amz-date": stamp}
        names = ";".join(sorted(headers))
        canonical_query = f"{query}=" if query and "=" not in query else query
        lines = [f"{name}:{headers[name]}" for name in sorted(headers)]
        canonical = "\n".join(["PUT", path, canonical_query, *lines, "", names, content])
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, digest])
        key = f"AWS4{self.secret_access_key}".encode()
        for part in (*scope.split("/"), to_sign):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        credential = f"{self.access_key_id}/{scope}"
        signed = f"Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
        return {**headers, "authorization": f"AWS4-HMAC-SHA256 {signed}"}


def bucket_policy(bucket: str, *, writer: str, reader: str) -> dict[str, object]:
    """Say what the writer and the reader may do; what is not said is refused."""
    arn = f"arn:aws:s3:::{bucket}"
    uploads = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", *uploads]
    listing = ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow("WriterKeepsObjects", writer, objects, f"{arn}/*"),
            _allow("WriterListsTheBucket", writer, listing, arn),
            _allow("ReaderGetsModelFiles", reader, ["s3:GetObject"], f"{arn}/models/*"),
        ],
    }


def _allow(sid: str, who: str, actions: list[str], resource: str) -> dict[str, object]:
    principal = {"AWS": [who]}
    return {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": actions, "Resource": resource}


def set_up(store: Store, *, bucket: str, writer: str, reader: str) -> None:
    """Make the bucket unless it is there, and set its policy."""
    created = store.put(f"/{bucket}") != 409
    policy = json.dumps(bucket_policy(bucket, writer=writer, reader=reader)).encode()
    store.put(f"/{bucket}", query="policy", body=policy)
    log.info("Bucket %s %s; policy set for %s and %s", bucket, "made" if created else "found", writer, reader)


def wait_until_it_answers(store: Store, *, within: float) -> None:
    """Ask for the store's health until it answers, since it may start after this job."""
    deadline = time.monotonic() + within
    while True:
        try:
            with urllib.request.urlopen(f"{store.endpoint.rstrip('/')}/health", timeout=5):  # noqa: S310 - as above
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise StoreSetupError(
                    f"The object store at {store.endpoint} did not answer within {within:.0f} s ({error}); "
                    "see its pod's log"
                ) from error
            time.sleep(ASK_EVERY_SECONDS)


def main() -> None:
    """Set the store up as the environment says."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    store = Store(
        endpoint=os.environ["STORE_ENDPOINT"],
        access_key_id=os.environ["STORE_ADMIN_ACCESS_KEY_ID"],
        secret_access_key=os.environ["STORE_ADMIN_SECRET_ACCESS_KEY"],
    )
    wait_until_it_answers(store, within=ANSWER_WITHIN_SECONDS)
    set_up(
        store,
        bucket=os.environ["STORE_BUCKET"],
        writer=os.environ["STORE_WRITER_ACCESS_KEY_ID"],
        reader=os.environ["STORE_READER_ACCESS_KEY_ID"],
    )


if __name__ == "__main__":
    main()
