"""Our signatures against botocore's: the same requests, thousands of them, must be signed alike.

Every request is random, from a seed that is printed; both sides get the same raw facts. What is sent
is compared with the standard library's percent-encoding, what is signed with botocore's signers, whose
clock is set.
"""

import datetime
import hashlib
import json
import random
import subprocess
import types
import urllib.parse

import botocore.auth
import lib
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SEED = 20150830
TOOL = lib.BUILD / "tests/tool-sigv4"

# What has a meaning in a URL, what encoders disagree about, controls, and characters of 2, 3 and 4 bytes.
ODD = " +%=&~*/:;?#@!$'()[],\"\\<>^`{|}-._" + "\x01\t\n\r\x1f\x7f" + "çãÉß\u0301\u1234€\u2028\ufeff😀𝔸\U0010ffff"
PLAIN = "abcXYZ019"
REGIONS = ["us-east-1", "sa-east-1", "us-gov-west-1", "auto", "garage", "", "região", "a b/c+d%20", "x" * 200]
TOKENS = [None, None, "AQoDYXdzEPT//////////wEXAMPLE+a/b==", "plain", "~*'()!", "x" * 1500]


def word(r, low=0, high=12, extra=""):
    letters = PLAIN * 3 + ODD + extra
    return "".join(r.choice(letters) for _ in range(r.randint(low, high)))


def value(r):
    """A header's value: blanks anywhere, nothing that HTTP forbids."""
    letters = PLAIN * 3 + "  \t" + "".join(c for c in ODD if c.isprintable() and not c.isspace())
    return "".join(r.choice(letters) for _ in range(r.randint(0, 16)))


def path(r):
    segments = [r.choice([word(r), word(r), ".", "..", "", "%2F", "a b+c"]) for _ in range(r.randint(0, 5))]
    return "/" + "/".join(segments)


def query(r):
    names = [word(r) for _ in range(r.randint(1, 4))] + ["prefix", "prefix-", "Prefix", "prefix1", ""]
    return [[r.choice(names), word(r)] for _ in range(r.choice([0, 0, 1, 2, 5, 8]))]


def headers(r):
    names = ["Content-Type", "content-md5", "If-None-Match", "x-amz-meta-a", "X-Amz-Meta-B", "X-AMZ-META-a", "x-amz-meta-a-",
             "Range", "x-amz-storage-class"]
    some = [[r.choice(names), value(r)] for _ in range(r.choice([0, 1, 3, 6]))]
    some.insert(r.randint(0, len(some)), [r.choice(["Host", "host", "HOST"]), "bucket.s3.example.org:9000"])
    return some


def request(r):
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(
        seconds=r.choice([r.randrange(4102444800), r.randrange(1700000000, 1900000000), r.randrange(253402300800)]))
    return {
        "access_key": r.choice(["AKIAIOSFODNN7EXAMPLE", word(r, 1), "GK" + "0" * 24]),
        "secret_key": r.choice(["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", word(r, 1, 80)]),
        "session_token": r.choice([*TOKENS, value(r) or "a"]),
        "region": r.choice(REGIONS),
        "service": "s3",
        "method": r.choice(["GET", "PUT", "POST", "HEAD", "DELETE"]),
        "path": path(r),
        "query": query(r),
        "headers": headers(r),
        "moment": moment,
        "time": int((moment - datetime.datetime(1970, 1, 1)).total_seconds()),
        "normalize": False,
    }


def ask(requests):
    """What our side makes of all of them."""
    lines = "".join(json.dumps({k: v for k, v in q.items() if k != "moment"}) + "\n" for q in requests)
    done = subprocess.run([TOOL], input=lines.encode(), capture_output=True, timeout=lib.PATIENCE * 5)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests)
    return answers


@pytest.fixture
def clock(monkeypatch):
    """Sets the clock that botocore reads."""
    now = []

    class Clock(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return now[0]

    monkeypatch.setattr(botocore.auth, "datetime", types.SimpleNamespace(datetime=Clock))

    def set_to(moment):
        now[:] = [moment]

    return set_to


def credentials(q):
    return Credentials(q["access_key"], q["secret_key"], q["session_token"])


def theirs(q, sent_path, params):
    out = AWSRequest(method=q["method"], url="https://bucket.s3.example.org:9000" + sent_path, params=params)
    for name, text in q["headers"]:
        out.headers[name] = text
    return out


def quoted_path(q):
    return urllib.parse.quote(q["path"], safe="/~")


def quoted_query(pairs):
    quote = [[urllib.parse.quote(s, safe="-_.~") for s in pair] for pair in pairs]
    return "&".join(f"{name}={text}" for name, text in sorted(quote))


def signed_by_header(r, q):
    """The request as whoever sends it must have it: with the date, the hash of the body and the token."""
    body = r.choice([b"", b"", r.randbytes(20)])
    q["payload"] = hashlib.sha256(body).hexdigest() if r.random() < 0.8 else "UNSIGNED-PAYLOAD"
    more = [["X-Amz-Date", q["moment"].strftime("%Y%m%dT%H%M%SZ")], ["X-Amz-Content-SHA256", q["payload"]]]
    if q["session_token"]:
        more.append(["X-Amz-Security-Token", q["session_token"]])
    r.shuffle(more)
    return {**q, "headers": q["headers"] + more}, body


def test_authorization(clock):
    print(f"seed {SEED}")
    r = random.Random(SEED)
    wanted, asked = [], []
    for _ in range(10000):
        q = request(r)
        ours, body = signed_by_header(r, q)
        clock(q["moment"])
        t = theirs(q, quoted_path(q), [tuple(pair) for pair in q["query"]])
        t.data = body
        if q["payload"] == "UNSIGNED-PAYLOAD":
            t.headers["Content-MD5"] = "unsigned needs a checksum"
            ours["headers"] = ours["headers"] + [["Content-MD5", "unsigned needs a checksum"]]
            t.context["client_config"] = types.SimpleNamespace(s3={"payload_signing_enabled": False})
        botocore.auth.S3SigV4Auth(credentials(q), "s3", q["region"]).add_auth(t)
        asked.append(ours)
        wanted.append({"path": quoted_path(q), "query": quoted_query(q["query"]),
                       "authorization": t.headers["Authorization"]})
    for q, want, got in zip(asked, wanted, ask(asked)):
        assert got == want, q


def test_presign(clock):
    print(f"seed {SEED}")
    r = random.Random(SEED + 1)
    wanted, asked = [], []
    for _ in range(10000):
        q = request(r)
        q["payload"] = "UNSIGNED-PAYLOAD"
        q["expires"] = r.choice([1, 60, 3600, 86400, 604800])
        clock(q["moment"])
        params = {}
        for name, text in q["query"]:
            params.setdefault(name, []).append(text)
        t = theirs(q, quoted_path(q), params)
        botocore.auth.S3SigV4QueryAuth(credentials(q), "s3", q["region"], expires=q["expires"]).add_auth(t)
        asked.append(q)
        wanted.append(urllib.parse.urlsplit(t.url))
    for q, want, got in zip(asked, wanted, ask(asked)):
        assert got["path"] == want.path, q
        signed, mark, signature = want.query.partition("&X-Amz-Signature=")
        # botocore signs the sorted query and sends it unsorted; ours is sent as it is signed
        pairs = [pair.partition("=")[::2] for pair in signed.split("&")]
        assert got["query"] == "&".join(f"{n}={v}" for n, v in sorted(pairs)) + mark + signature, q


def test_normalized(clock):
    """Services other than S3: dot segments and double slashes are gone, and the path as sent is encoded again."""
    print(f"seed {SEED}")
    r = random.Random(SEED + 2)
    wanted, asked = [], []
    for _ in range(2000):
        q = request(r)
        q.update(service=r.choice(["execute-api", "sts", "é"]), normalize=True, session_token=None, query=[])
        q["path"] = sent = quoted_path(q)
        q["payload"] = hashlib.sha256(b"").hexdigest()
        clock(q["moment"])
        t = theirs(q, sent, None)
        botocore.auth.SigV4Auth(credentials(q), q["service"], q["region"]).add_auth(t)
        q["headers"].append(["x-amz-date", q["moment"].strftime("%Y%m%dT%H%M%SZ")])
        asked.append(q)
        wanted.append(t.headers["Authorization"])
    for q, want, got in zip(asked, wanted, ask(asked)):
        assert got["authorization"] == want, q
