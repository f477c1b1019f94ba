"""Web stores, trackers and versioned data: what they answer where a model is fetched or kept.

Messages: azure-core, botocore, google-cloud-storage, huggingface_hub's xet client, gdown, git-lfs, dvc, urllib.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, beside, ranked
from ...where import loading_or_alone, storing_or_alone

_MODELS = (
    r"\bmodels?[/\\_.\-\w]*\.\w|weights|checkpoint|ckpt|safetensors|pretrained|huggingface|torch\.?hub|\.(?:h5|pth?|onnx|gguf)\b"
    r"|pytorch_model"
)
"""Words of a model's file, which other downloads lack."""
_FETCHED = (
    r"weights|checkpoint|ckpt|safetensors|pretrained|huggingface\.co|hf\.co|hf_hub|torch\.hub|download\.pytorch\.org"
    r"|/tensorflow/|tfhub|pytorch_model|\.(?:h5|pth|gguf)\b"
)
_PACKAGES = r"/simple/|pypi\.org|pythonhosted|\bpip\b|conda|\bnpm\b|\bapt\b"


def of_a_download(look: Look) -> list[Guess]:
    """What any request may meet: of a model only where its file or its store is named, and of no package."""
    lower = look.reading.lower
    if "cas" not in look.match[0].lower() and (
        re.search(_FETCHED, lower) is None or re.search(_PACKAGES, lower) is not None
    ):
        return []
    rows = (("storage", 0.84), ("not-found", 0.72), ("incomplete-save", 0.6))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


ENTRIES = (
    Entry(
        "object-not-in-store",
        "not-found",
        (
            "specified blob does not exist",
            "blobnotfound",
            "specified container does not exist",
            "nosuchkey",
            "specified key does not exist",
            "no such object:",
        ),
        r"specified (?:blob|container|key) does not exist|BlobNotFound|NoSuchKey|No such object: (?P<path>\S+)",
        why="the store has no object under that name ({path})",
        remedy="List the folder in the store (`aws s3 ls`, `gsutil ls`, `az storage blob list`); names differ in capitals too.",
        where=storing_or_alone,
        weigh=beside(_MODELS, ("not-found", 0.9), ("storage", 0.74), ("incomplete-save", 0.5)),
        test="path",
        example="azure.core.exceptions.ResourceNotFoundError: The specified blob does not exist. (model.pt)",
    ),
    Entry(
        "data-not-pulled",
        "not-found",
        (
            "is your cache up to date",
            "neither locally nor on remote",
            "missing cache files",
            "failed to pull data from the cloud",
            "checkout failed for following targets",
        ),
        r"(?:Checkout failed for following targets|failed to pull data from the cloud|exist neither locally nor on remote"
        r"|Missing cache files).{0,300}?(?:model|ckpt|checkpoint|weight|\.pth?\b|\.pkl|\.h5|\.onnx)",
        why="the version that the repository names was never pushed to the store, or is not there any more",
        remedy="`dvc push` where the file is; `dvc status -c` tells what the store lacks, `dvc remote list` which store it is.",
        weigh=ranked(("not-found", 0.84), ("storage", 0.74), ("incomplete-save", 0.6)),
        test="path",
        example=(
            "dvc.exceptions.CheckoutError: Checkout failed for following targets: models/model.pkl. Is your "
            "cache up to date?"
        ),
    ),
    Entry(
        "store-over-quota",
        "storage",
        (
            "over its data quota",
            "lfs bandwidth",
            "too many users have viewed",
            "cannot retrieve the public link",
            "failed to retrieve file url",
            "download quota",
            "quota exceeded for this file",
        ),
        r"over its data quota|LFS bandwidth|Too many users have viewed|Cannot retrieve the public link"
        r"|Failed to retrieve file url|download quota|quota exceeded for this file",
        why="the store gives this file to nobody just now: its quota is used up, or the link is not public",
        remedy="Wait, or copy it to your own drive or another mirror; what was saved meanwhile is a page or a pointer, no model.",
        where=loading_or_alone,
        weigh=beside(_MODELS, ("storage", 0.94), ("not-found", 0.8), ("corrupt", 0.7)),
        example="gdown.exceptions.FileURLRetrievalError: Failed to retrieve file url: Too many users have viewed (model.pth)",
    ),
    Entry(
        "hub-store-failed",
        "storage",
        (
            "cas service error",
            "casobjecterror",
            "certificate_verify_failed",
            "sslerror",
            "ssl: ",
            "server error: ",
            "read operation timed out",
        ),
        r"CAS service error[^\n]{0,300}|CERTIFICATE_VERIFY_FAILED|5\d\d Server Error: [^\n]{0,200}"
        r"|read operation timed out|(?:SSLError|SSL: \w+)[^\n]{0,200}",
        why="the download from the store broke off, or its connection is not trusted from here: nothing (or a part) was written",
        remedy="Try again (`hf download` goes on where it stopped; HF_HUB_DISABLE_XET=1 takes the other way); behind a proxy set "
        "its certificate (REQUESTS_CA_BUNDLE).",
        weigh=of_a_download,
        example=(
            "RuntimeError: Data processing error: CAS service error : Reqwest Error: HTTP status server "
            "error (model.safetensors)"
        ),
    ),
)
