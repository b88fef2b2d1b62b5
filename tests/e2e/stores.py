"""What stands behind `store_url`, seen from outside the program: a folder, or a bucket of the S3 server
of rados.py. Both look alike to the tests: keys, sizes and hashes, and nothing that does not belong there."""

import hashlib
import http.client
import itertools
import os
import secrets
import urllib.parse

import rados

PREFIX = "autos/e2e"
NUMBERS = itertools.count(1)


def sha256_file(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(1 << 20):
            h.update(piece)
    return h.hexdigest()


class Folder:
    """`dir:`, in the data folder of the program that it is given to."""

    kind = "dir"
    settings = {}
    secrets = ()

    def __init__(self):
        self.autos = None  # whose data folder

    @property
    def root(self):
        return self.autos.data_dir / "objects"

    def path(self, key):
        return self.root / key

    def sizes(self, below=""):
        """{key: size} of what is visible below a folder of the store."""
        found = self.path(below).rglob("*") if below else self.root.rglob("*")
        return {str(p.relative_to(self.root)): p.stat().st_size for p in found
                if not p.is_dir() and p.parent != self.root / "tmp"}

    def keys(self, below=""):
        return sorted(self.sizes(below))

    def gone(self, below):
        """Nothing is left there, not even the folder."""
        return not self.path(below).exists()

    def read(self, key):
        return self.path(key).read_bytes()

    def measure(self, keys):
        """{key: (size, SHA-256)}, None for what is not there."""
        there = {key: self.path(key) for key in keys}
        return {key: (p.stat().st_size, sha256_file(p)) if p.is_file() else None for key, p in there.items()}

    def replace(self, key, data):
        """Other bytes, as a broken disk would leave them."""
        self.path(key).unlink()
        self.path(key).write_bytes(data)

    def remove(self, key):
        self.path(key).unlink()

    def leftovers(self):
        """What an end in order leaves nothing of."""
        tmp = self.root / "tmp"
        return sorted(p.name for p in tmp.iterdir()) if tmp.is_dir() else []

    def killed_leaves(self, leftover):
        """Whether this may be there after a kill."""
        return leftover.startswith("put-")

    def owns(self, link):
        """Whether a download link leads to the store itself, and not to the service."""
        return False

    def close(self):
        pass


class Bucket:
    """`s3://`, one bucket for each; removed with all it holds by `close`."""

    kind = "s3"

    def __init__(self, server, prefix=PREFIX, account=None):
        self.server, self.prefix = server, prefix
        self.account = account or server.owner
        self.name = f"autos-{os.getpid():x}-{next(NUMBERS):x}-{secrets.token_hex(3)}"
        self.endpoint = f"http://127.0.0.1:{server.port}"
        self.client = client(server.port, self.account)
        self.client.create_bucket(Bucket=self.name)
        self.autos = None

    def url(self, endpoint=None, **query):
        """store_url by way of any endpoint."""
        query = {"endpoint": endpoint or self.endpoint, "region": rados.REGION, **query}
        where = f"s3://{self.name}/{self.prefix}".rstrip("/")
        return where + "?" + "&".join(f"{k}={v}" for k, v in query.items() if v is not None)

    @property
    def settings(self):
        return {"store_url": self.url(), "s3_access_key": self.account.access, "s3_secret_key": self.account.secret,
                "s3_retry_delay": "5ms"}

    @property
    def secrets(self):
        return (self.account.secret,)

    def full(self, key):
        return f"{self.prefix}/{key}" if self.prefix else key

    def everything(self):
        """{key: size} of the bucket, ours or not."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {o["Key"]: o["Size"] for page in pages for o in page.get("Contents", ())}

    def sizes(self, below=""):
        """{key: size} of what is visible below a folder of the store."""
        start, found = self.full(""), self.everything()
        strange = [key for key in found if not key.startswith(start)]
        assert not strange, f"written beside the prefix: {strange}"
        return {key[len(start):]: size for key, size in found.items() if key.startswith(self.full(below))}

    def keys(self, below=""):
        return sorted(self.sizes(below))

    def gone(self, below):
        """Nothing is left there, not even parts of an upload."""
        return not self.sizes(below) and not [key for key, _ in self.uploads() if key.startswith(self.full(below))]

    def read(self, key):
        return self.client.get_object(Bucket=self.name, Key=self.full(key))["Body"].read()

    def head(self, key):
        return self.client.head_object(Bucket=self.name, Key=self.full(key))

    def link(self, key):
        return self.client.generate_presigned_url("get_object", {"Bucket": self.name, "Key": self.full(key)}, 600)

    def measure(self, keys):
        """{key: (size, SHA-256)}, None for what is not there. What is there tells its own SHA-256."""
        found, connection = {}, http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        for key in keys:
            parts = urllib.parse.urlsplit(self.link(key))
            connection.request("GET", f"{parts.path}?{parts.query}")
            r = connection.getresponse()
            h, size = hashlib.sha256(), 0
            while piece := r.read(1 << 20):
                h.update(piece)
                size += len(piece)
            assert r.status in (200, 404), (key, r.status)
            found[key] = (size, h.hexdigest()) if r.status == 200 else None
            if r.status == 200:
                assert r.headers["x-amz-meta-sha256"] == h.hexdigest(), key
        connection.close()
        return found

    def replace(self, key, data):
        """Other bytes under the same name, type and promises."""
        old = self.head(key)
        kept = {k: old[k] for k in ("ContentType", "ContentDisposition", "Metadata") if k in old}
        self.client.put_object(Bucket=self.name, Key=self.full(key), Body=bytes(data), **kept)

    def remove(self, key):
        self.client.delete_object(Bucket=self.name, Key=self.full(key))

    def uploads(self):
        """Unfinished multipart uploads: [(key, id)]."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name)
        return [(u["Key"], u["UploadId"]) for page in pages for u in page.get("Uploads", ())]

    def leftovers(self):
        """Uploads that nobody finished, and whatever is no document."""
        return self.uploads() + [key for key in self.keys() if not key.startswith("processos/")]

    def killed_leaves(self, leftover):
        return isinstance(leftover, tuple) or leftover.startswith("autos-probe/")

    def owns(self, link):
        parts = urllib.parse.urlsplit(link)
        return parts.netloc in (urllib.parse.urlsplit(self.endpoint).netloc, f"{self.name}.localhost:{self.server.port}")

    def empty(self):
        for key, upload in self.uploads():
            self.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload)
        keys = list(self.everything())
        for at in range(0, len(keys), 1000):
            self.client.delete_objects(Bucket=self.name, Delete={"Objects": [{"Key": k} for k in keys[at:at + 1000]]})

    def close(self):
        """What a killed program sent last may still arrive: so more than once."""
        for _ in range(20):
            self.empty()
            try:
                self.client.delete_bucket(Bucket=self.name)
                return
            except self.client.exceptions.ClientError as e:
                assert e.response["Error"]["Code"] == "BucketNotEmpty", e
        raise AssertionError(f"bucket {self.name} does not get empty")


CLIENTS = {}


def client(port, account):
    """A client that is not ours (boto3), one for each account of a process. It retries nothing."""
    import boto3
    from botocore.config import Config

    if (port, account) not in CLIENTS:
        CLIENTS[port, account] = boto3.session.Session().client(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", aws_access_key_id=account.access,
            aws_secret_access_key=account.secret, region_name=rados.REGION,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1},
                          proxies={}, max_pool_connections=32))
    return CLIENTS[port, account]
