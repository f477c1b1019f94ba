"""TensorFlow on file systems that are not local: object stores and HDFS.

Messages: tensorflow/core/platform/cloud/{curl_http_request,gcs_file_system,retrying_utils}.cc,
tensorflow/core/platform/{s3/s3_file_system,hadoop/hadoop_file_system}.cc.
"""

from __future__ import annotations

import re

from ...concerning import concerns
from ...knowledge import Entry, Guess, Look
from ...where import loading_or_alone, storing

_DATA = re.compile(
    r"\.(?:tfrecords?|tf_record|csv|jpe?g|png|txt)\b|tfevents|input_pipeline|IteratorGetNext|dataset",
    re.IGNORECASE,
)
_BUCKET = re.compile(r"(?P<path>(?:gs|s3|hdfs|viewfs)://[^\s'\"`,;)]+)")


def of_a_store(look: Look) -> list[Guess]:
    """Refused, gone, or out of reach."""
    flat = look.reading.flat
    kept = concerns(look) or re.search(
        r"checkpoint|ckpt|save/|saver|saved_model|model_?dir|logdir|MakeDirs|\.index|Op:\w*(?:Save|Restore|Merge)V2",
        flat,
        re.IGNORECASE,
    )
    alone = look.around.alone and "executing an http request" in look.reading.lower
    if not (kept or alone) or (_DATA.search(flat) and not re.search(r"ckpt|checkpoint|save/", flat)):
        return []
    bucket = _BUCKET.search(flat)
    facts = {"path": bucket["path"]} if bucket is not None else {}
    code = look.facts().get("code", "")
    if code == "404":
        why = "the store has no such object or bucket: the path is wrong, or what lay there was deleted"
        return [
            look.entry.guess(look, "not-found", confidence=0.86, why=why, facts=facts),
            look.entry.guess(look, "storage", confidence=0.72, facts=facts),
            look.entry.guess(look, "retention", confidence=0.4, facts=facts),
        ]
    sure = 0.97 if code in ("401", "403") else 0.9
    return [
        look.entry.guess(look, confidence=sure, facts=facts),
        look.entry.guess(look, "not-found", confidence=0.5, facts=facts),
    ]


ENTRIES = (
    Entry(
        "tf-object-store",
        "storage",
        (
            "response code",
            "upload",
            "curl",
            "does not have storage.",
            "retry attempts failed",
            "gs://",
            "unable to connect to endpoint",
            "couldn't parse error response",
        ),
        r"(?:HTTP|Unexpected) response code (?P<code>\d{3})|(?:libcurl|curl error|CURL) code? ?\d+"
        r"|does not have (?P<right>storage\.\w+\.\w+) access"
        r"|retry attempts failed|(?:initiating|resuming|when)(?: an)? upload(?:ing)?(?: to)? gs://"
        r"|when composing to gs://|Upload to gs://"
        r"|unable to connect to endpoint|Couldn't parse error response",
        why="the object store refused the request or could not be reached (credentials, permission, project, "
        "network, quota)",
        remedy=(
            "Who asks needs the right to read and write the bucket: `gcloud auth application-default login`, or the "
            "service account "
            "of the TPU or job (Storage Object Admin); for a moment's failure save again, or save to a local disk "
            "and copy."
        ),
        also=("incomplete-save",),
        weight=0.9,
        weigh=of_a_store,
        example=(
            'PermissionDeniedError: Error executing an HTTP request: HTTP response code 403 with body \'{ "error": '
            "...' when reading "
            "metadata of gs://bucket/run/model.ckpt-0.index"
        ),
    ),
    Entry(
        "tf-store-path-gone",
        "not-found",
        ("the specified bucket", "the specified path", "the specified object"),
        r"The specified (?:bucket|path|object) (?P<path>(?:gs|s3)://\S+) was not found",
        why="the store has nothing under `{path}`",
        remedy="List what is there (`gsutil ls`); check the bucket's name and its project.",
        also=("storage", "retention"),
        weight=0.86,
        where=loading_or_alone,
        example="NotFoundError: The specified bucket gs://no-such-bucket was not found.",
    ),
    Entry(
        "tf-store-clock",
        "storage",
        ("difference between the request time",),
        "",
        why="the store refuses requests whose time is not its own: this machine's clock is wrong",
        remedy="Set the clock (`timedatectl set-ntp true`; a container's or WSL's after sleep), and ask again.",
        weight=0.9,
        where=storing,
        example="checkpoint.save(prefix)\nInternalError: The difference between the request time and the current "
        "time is too large.",
    ),
    Entry(
        "tf-hadoop-not-there",
        "storage",
        ("libhdfs.so", "hadoop_hdfs_home", "libjvm.so", "hdfsbuilderconnect", "class_path", "libhdfs"),
        r"libhdfs\.so: cannot open shared object|HADOOP_HDFS_HOME not set|libjvm\.so: cannot open shared"
        r"|hdfsBuilderConnect"
        r"|libhdfs could not",
        why="TensorFlow reaches HDFS through Hadoop's own library, which is not found in this process",
        remedy=(
            "Set JAVA_HOME, HADOOP_HDFS_HOME, LD_LIBRARY_PATH (with libjvm and libhdfs) and CLASSPATH="
            "$(hadoop classpath --glob) for every process; or save to a local disk and copy it over."
        ),
        also=("version-mismatch",),
        weight=0.97,
        example="NotFoundError: libhdfs.so: cannot open shared object file: No such file or directory",
    ),
    Entry(
        "tf-remote-listing-refused",
        "storage",
        ("failed to get matching files on",),
        r"Failed to get matching files on (?P<path>\S+?):? (?P<what>Permission denied|Unauthenticated|Unavailable"
        r"|UNIMPLEMENTED"
        r"|Unimplemented|PERMISSION_DENIED|UNAVAILABLE|UNAUTHENTICATED)",
        why="the folder of `{path}` could not be listed ({what}): it is on a file system that the reading process "
        "may not use",
        remedy="Give that process (the TPU's service account) the right to read it, or put the checkpoint where it "
        "can.",
        also=("not-found",),
        where=loading_or_alone,
        weight=0.98,
        example=(
            "InvalidArgumentError: Unsuccessful TensorSliceReader constructor: Failed to get matching files on "
            "gs://b/model.ckpt-0: "
            "Permission denied: Error executing an HTTP request"
        ),
    ),
)
