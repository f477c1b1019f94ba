"""S: what stands against saving. Each rule where it speaks, and where it is silent."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from holdfast._core.fault import Fault
from holdfast._examine.examine import examine
from holdfast._facts.file_systems import Mount, mount_of
from holdfast._frameworks import live_catalog
from holdfast._rules.registry import rules
from holdfast._storage.local_sink import LocalSink
from holdfast._storage.memory import Memory, memory
from holdfast._storage.probe import longest_names, probe, room
from holdfast._vault.contents.payload import Payload, gather
from holdfast._vault.findings import saving_findings
from holdfast._vault.folder.keep import Keep
from holdfast._vault.folder.listing import Checkpoint
from holdfast._vault.preparing.obstacles import of_inodes, of_memory, of_mount, of_path, of_space, refused
from holdfast._vault.saving.room import needed, steps_at_once
from memory_catalog import found, subject

SLUGS = [rule.slug for rule in rules() if rule.family == "S"]


@pytest.mark.parametrize("slug", SLUGS)
def test_a_rule_speaks_of_its_fault_alone(slug: str) -> None:
    fault = Fault(slug, "so it is", file="run", seen="this", expected="that")
    (finding,) = saving_findings([fault])
    assert (finding.slug, finding.message, finding.where.file) == (slug, "so it is", "run")
    assert finding.evidence["seen"] == "this"
    assert finding.remedy or slug == "still-busy"
    others = subject(None, *(Fault(other, "x", file="run") for other in SLUGS if other != slug))
    assert found(slug, others) == []


def test_severity_is_what_the_fact_says_of_itself() -> None:
    def severity(slug: str = "snapshot-memory", **attributes: object) -> str:
        return saving_findings([Fault(slug, "x", attributes=attributes)])[0].severity

    assert severity() == "warning"
    assert severity(fails=True) == "error"
    assert severity(fails=False) == "warning"
    assert severity(severity="note") == "note"
    assert severity("read-only") == "error"
    assert severity("read-only", fails=False) == "warning"
    assert severity("volatile", fails=False) == "note"


def test_one_finding_for_each_root_cause() -> None:
    several = [
        Fault("disk-tight", "little room"),
        Fault("permission-denied", "delete", attributes={"fails": False}),
        Fault("disk-full", "no room"),
        Fault("permission-denied", "mkdir", attributes={"fails": True}),
        Fault("volatile", "memory"),
    ]
    told = [(f.slug, f.severity, f.message) for f in saving_findings(several)]
    assert told == [
        ("disk-full", "error", "no room"),
        ("permission-denied", "error", "mkdir"),
        ("volatile", "note", "memory"),
    ]


def test_doctor_says_nothing_of_saving(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.ones(3))
    assert not [f for f in examine(tmp_path / "a.npz").findings if f.code.startswith("S")]


# -- the disk --------------------------------------------------------------------------------------------------------
class _Disk(LocalSink):
    """A folder on a disk with so many bytes free."""

    def __init__(self, path: Path, free: int | None) -> None:
        super().__init__(path)
        self._free = free

    def free(self) -> int | None:
        return self._free


def _payload(nbytes: int = 1 << 20, frozen: int = 0) -> Payload:
    model = {"w": np.zeros(nbytes - frozen, np.uint8)} | ({"f": np.zeros(frozen, np.uint8)} if frozen else {})
    payload = gather(live_catalog(model=model))
    for items in payload.files.values():
        for at, item in enumerate(items):
            if item.spec.name == "f":
                items[at] = type(item)(item.spec.with_(trainable=False), item.read, item.others)
    return payload


def _steps(count: int) -> list[Checkpoint]:
    return [Checkpoint(f"step-{n:08d}", "", n, sequence=n, nbytes=1 << 20) for n in range(count)]


ONE = needed(1 << 20)


@pytest.mark.parametrize(
    "free, keep, known, expected",
    [
        (ONE, Keep(last=1), 0, "disk-tight"),  # one and the next while it is written
        (ONE - 1, Keep(last=1), 0, "disk-full"),
        (2 * ONE, Keep(last=1), 0, None),
        (2 * ONE - 1, Keep(last=1), 0, "disk-tight"),
        (ONE, Keep(last=1), 1, None),  # the other is there already
        (3 * ONE, Keep(last=3), 1, None),
        (3 * ONE - 1, Keep(last=3), 1, "disk-tight"),
        (5 * ONE, Keep(last=3, best=2, by="loss"), 0, "disk-tight"),
        (6 * ONE, Keep(last=3, best=2, by="loss"), 0, None),
        (ONE, Keep(last=3), 9, None),  # too many are there: the first retention drops them
        (ONE, Keep(), 0, "disk-tight"),  # a note: nothing is ever dropped
        (50 * ONE, Keep(), 0, None),
        (None, Keep(last=9), 0, None),  # not known
    ],
)
def test_room_for_keep_and_one_more(
    tmp_path: Path, free: int | None, keep: Keep, known: int, expected: str | None
) -> None:
    faults = list(of_space(_Disk(tmp_path, free), _payload(), keep, _steps(known), False))
    findings = saving_findings(f for f in faults if f.slug != "no-inodes")
    assert [f.slug for f in findings] == ([expected] if expected else [])
    if findings:
        severity = {"disk-full": "error", "disk-tight": "warning"}[findings[0].slug]
        assert findings[0].severity == ("note" if keep.everything else severity)


def test_what_is_frozen_is_counted_once(tmp_path: Path) -> None:
    payload = _payload(1 << 20, frozen=1 << 19)
    later = needed(1 << 19)
    assert not list(of_space(_Disk(tmp_path, ONE + 3 * later), payload, Keep(last=3), [], False))
    assert list(of_space(_Disk(tmp_path, ONE + 3 * later - 1), payload, Keep(last=3), [], False))
    assert not list(of_space(_Disk(tmp_path, later), payload, Keep(last=1), _steps(1), False))


def test_what_may_be_dropped_counts_as_room_only_where_that_is_allowed(tmp_path: Path) -> None:
    disk = _Disk(tmp_path, 0)
    (full, *_) = saving_findings(of_space(disk, _payload(), Keep(last=1), _steps(4), False))
    assert full.slug == "disk-full"
    assert not saving_findings(of_space(disk, _payload(), Keep(last=1), _steps(4), True))


def test_how_many_steps_lie_there_at_once() -> None:
    assert steps_at_once(Keep(last=3)) == 4
    assert steps_at_once(Keep(best=2, by="loss")) == 4  # the newest stays besides
    assert steps_at_once(Keep()) is None


def test_files_that_can_still_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast._storage.probe import Room
    from holdfast._vault.preparing import obstacles

    def told(files: int | None) -> list[tuple[str, str]]:
        monkeypatch.setattr(obstacles, "room", lambda _: Room(1 << 40, files, False))
        return [(f.slug, f.severity) for f in saving_findings(of_inodes(LocalSink(tmp_path), 2, 4, 0))]

    assert told(3) == [("no-inodes", "error")]
    assert told(30) == [("no-inodes", "warning")]
    assert told(1000) == told(None) == []  # None: a file system that makes them as it needs them


# -- memory ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "copied, free, swap, severity",
    [
        (100, 200, 0, None),
        (190, 200, 0, "warning"),
        (190, 200, 500, "warning"),
        (201, 200, 0, "error"),
        (201, 200, 100, "warning"),
        (0, 0, 0, None),
    ],
)
def test_memory_for_the_copy(copied: int, free: int, swap: int, severity: str | None) -> None:
    findings = saving_findings(of_memory(copied, Memory(free, swap, 1000)))
    assert [f.severity for f in findings] == ([severity] if severity else [])


def test_memory_that_cannot_be_known_is_no_finding() -> None:
    assert not list(of_memory(1 << 60, None))


def _system(root: Path, files: Mapping[str, str]) -> str:
    for name, text in files.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return str(root)


MEMINFO = "MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 800 kB\nSwapTotal: 100 kB\nSwapFree: 50 kB\n"


def test_memory_of_a_machine_and_of_its_control_groups(tmp_path: Path) -> None:
    kb = 1024
    plain = _system(tmp_path / "a", {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/job\n"})
    assert memory(plain) == Memory(800 * kb, 50 * kb, 1100 * kb)
    second = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/kube/job\n",
        "sys/fs/cgroup/kube/memory.max": f"{500 * kb}\n",
        "sys/fs/cgroup/kube/memory.current": f"{450 * kb}\n",
        "sys/fs/cgroup/kube/memory.stat": f"anon {100 * kb}\ninactive_file {300 * kb}\nactive_file {40 * kb}\n",
        "sys/fs/cgroup/kube/job/memory.max": "max\n",
        "sys/fs/cgroup/kube/job/memory.current": "7\n",
    }
    # 450 of 500 are used, but 340 of them are page cache that the kernel would drop
    assert memory(_system(tmp_path / "b", second)) == Memory(390 * kb, 50 * kb, 600 * kb)
    first = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "5:cpu:/x\n4:memory:/docker/abc\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{200 * kb}\n",  # the container sees its own as the top
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{150 * kb}\n",
        "sys/fs/cgroup/memory/memory.stat": f"cache 1\ntotal_inactive_file {20 * kb}\n",
    }
    assert memory(_system(tmp_path / "c", first)) == Memory(70 * kb, 50 * kb, 300 * kb)
    assert memory(str(tmp_path / "nothing")) is None


# -- paths -----------------------------------------------------------------------------------------------------------
def test_paths_and_names_up_to_the_limit(tmp_path: Path) -> None:
    name_limit, path_limit = longest_names(tmp_path)
    longest = len("/.partial-step-99999999-01234567/optimizer.safetensors")
    fits = "/" + "/".join(["d" * 200] * 60)
    fits = fits[: path_limit - longest]
    assert not list(of_path(fits.rstrip("/"), None))
    (over,) = saving_findings(of_path(fits + "dd", None))
    assert (over.slug, over.severity) == ("path-too-long", "error")
    assert not list(of_path(str(tmp_path / ("n" * name_limit)), None))
    (name,) = saving_findings(of_path(str(tmp_path / ("n" * (name_limit + 1))), None))
    assert name.slug == "path-too-long" and "a name" in name.message
    # bytes count, not letters
    assert list(of_path(str(tmp_path / ("ü" * (name_limit // 2 + 1))), None))


# -- what is tried ---------------------------------------------------------------------------------------------------
def test_a_sound_folder_passes_and_nothing_is_left(tmp_path: Path) -> None:
    assert probe(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    there = room(tmp_path)
    assert there is not None and there.bytes > 0 and not there.read_only


@pytest.mark.parametrize(
    "kind, number, slug, severity",
    [
        ("mkdir", errno.EACCES, "permission-denied", "error"),
        ("unlink", errno.EPERM, "permission-denied", "warning"),
        ("write", errno.ENOSPC, "disk-full", "error"),
        ("write", errno.EDQUOT, "disk-full", "error"),
        ("write", errno.EIO, "folder-refuses", "error"),
        ("fsync", errno.EINVAL, "folder-refuses", "error"),
        ("mkdir", errno.EROFS, "read-only", "error"),
        ("mkdir", errno.ENAMETOOLONG, "path-too-long", "error"),
        ("rename", errno.EXDEV, "no-atomic-rename", "error"),
        ("rename", errno.ENOSYS, "no-atomic-rename", "error"),
        ("link", errno.EPERM, "no-hard-links", "note"),
    ],
)
def test_what_is_refused(kind: str, number: int, slug: str, severity: str) -> None:
    (finding,) = saving_findings([refused(kind, number, "why", "run")])
    assert (finding.slug, finding.severity) == (slug, severity)
    assert errno.errorcode[number] in finding.evidence["seen"]


TABLE = """\
22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /dev/shm rw,nosuid - tmpfs tmpfs rw
31 22 0:40 / /bucket rw - fuse.gcsfuse my-bucket rw
32 22 0:41 / /blob rw - fuse blobfuse2 rw
33 22 0:42 / /net rw,nolock - nfs4 host:/x rw,vers=4.2,nolock
34 22 0:43 / /net/with\\040space rw - nfs4 host:/y rw,local_lock=none
35 22 0:44 / /s3 rw - fuse.s3fs s3fs rw
"""


def test_the_mount_that_a_path_lies_in(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)

    def of(path: str) -> tuple[str, str]:
        mount = mount_of(path, str(table))
        assert mount is not None
        return mount.point, mount.kind

    assert of("/home/x") == ("/", "ext4")
    assert of("/dev/shm") == ("/dev/shm", "tmpfs")
    assert of("/dev/shmoo") == ("/", "ext4")
    assert of("/net/with space/run") == ("/net/with space", "nfs4")
    assert of("/blob/run") == ("/blob", "fuse.blobfuse2")
    assert mount_of("/x", str(tmp_path / "none")) is None


@pytest.mark.parametrize(
    "path, slugs",
    [
        ("/home/run", []),
        ("/dev/shm/run", ["volatile"]),
        ("/s3/run", ["no-atomic-rename"]),
        ("/blob/run", ["no-atomic-rename"]),
        ("/bucket/run", ["no-atomic-rename", "not-durable"]),
        ("/net/run", ["no-locks"]),
        ("/net/with space/run", []),
    ],
)
def test_what_is_known_of_file_systems(tmp_path: Path, path: str, slugs: list[str]) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    mount = mount_of(path, str(table))
    assert isinstance(mount, Mount)
    findings = saving_findings(of_mount(mount, path, mount.point))
    assert sorted(f.slug for f in findings) == slugs
    assert all(f.severity in ("warning", "note") for f in findings), "a save can succeed there"
