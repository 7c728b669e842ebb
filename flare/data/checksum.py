"""Whether a file is what its server publishes: checksums in headers, and gzip's own."""

import base64
import gzip
import hashlib
import zlib
from pathlib import Path
from typing import Any

Digest = tuple[str, bytes]  # algorithm of hashlib, value

_CHUNK = 256 * 1024  # bytes read at a time


def published_digest(headers: Any) -> Digest | None:  # noqa: ANN401 (email.message)
    """Of the headers that mean the whole file; an ETag is no checksum by any standard."""
    try:
        if md5 := headers.get("Content-MD5"):
            return "md5", base64.b64decode(md5, validate=True)
        if sha := headers.get("x-amz-checksum-sha256"):
            return "sha256", base64.b64decode(sha, validate=True)
        for part in (headers.get("Repr-Digest") or headers.get("Digest") or "").split(","):
            name, _, value = part.strip().partition("=")
            if name.lower() in ("sha-256", "sha256"):
                return "sha256", base64.b64decode(value.strip(":"), validate=True)
    except ValueError:
        return None
    return None


def damage(file: Path, name: str, digest: Digest | None) -> str:
    """What is wrong with a file's content by its published checksum or its own; "" if nothing."""
    if differs(file, digest):
        return "its checksum is not the published one"
    if name.endswith(".gz") and not name.endswith(".tar.gz"):  # unpacking checks those
        try:
            with gzip.open(file) as unzipped:
                while unzipped.read(_CHUNK):
                    pass
        except (OSError, EOFError, zlib.error) as error:
            return str(error)
    return ""


def differs(file: Path, digest: Digest | None) -> bool:
    """Whether a file has another checksum than the published one, if one is."""
    if digest is None:
        return False
    algorithm, expected = digest
    found = hashlib.new(algorithm, usedforsecurity=False)
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
    return found.digest() != expected
