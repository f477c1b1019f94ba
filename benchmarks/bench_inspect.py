"""``inspect`` of a 10 GB file against a 10 MB one of the same format and the same number of tensors.

    python benchmarks/bench_inspect.py [--gb 10] [--rounds 7] [--folder DIR] [--no-peers]

The large files are sparse: their headers are real, their data is a hole, so they take next to no disk (a file system
without holes will need the room). Whole processes, medians of interleaved runs, peak memory as the kernel accounts it
(pages of a mapped file count too). Targets: within 1.5x in time, below 150 MB. Peers where they are installed: what the
framework itself offers for listing names and shapes without reading values.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import _files as files
from _timing import environment, folder, installed, interleaved, medians, verdict

TENSORS = 40
SMALL = 10_000_000
KINDS = {
    "safetensors": (files.safetensors, "m.safetensors"),
    "torch zip": (files.torch_zip, "m.pt"),
    "TF bundle": (files.bundle, "m.index"),
    "h5": (files.h5, "m.weights.h5"),
}
# kind -> (what it is called, modules it needs, code; sys.argv[1] is the file)
PEERS = {
    "safetensors": [
        (
            "safe_open, names and shapes",
            ("safetensors",),
            "import sys; from safetensors import safe_open\n"
            "with safe_open(sys.argv[1], 'np') as f: print([f.get_slice(k).get_shape() for k in f.keys()])",
        )
    ],
    "torch zip": [
        (
            "torch.load(mmap=True), shapes",
            ("torch",),
            "import sys, torch\nd = torch.load(sys.argv[1], mmap=True, weights_only=True)\n"
            "print([v.shape for v in d.values()])",
        ),
        (
            "torch.load(map_location='meta')",
            ("torch",),
            "import sys, torch\nd = torch.load(sys.argv[1], mmap=True, map_location='meta', weights_only=True)\n"
            "print([v.shape for v in d.values()])",
        ),
        (
            "zipfile, names of members",
            (),
            "import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).namelist())",
        ),
    ],
    "TF bundle": [
        (
            "tf.train.load_checkpoint, shapes",
            ("tensorflow",),
            "import sys, tensorflow as tf\n"
            "r = tf.train.load_checkpoint(sys.argv[1][:-6]); print(r.get_variable_to_shape_map())",
        )
    ],
    "h5": [
        (
            "h5py, visititems",
            ("h5py",),
            "import sys, h5py\nwith h5py.File(sys.argv[1]) as f:\n"
            "    f.visititems(lambda n, o: print(n, getattr(o, 'shape', None)))",
        )
    ],
}


def tensors(nbytes: int) -> list[tuple[str, tuple[int, ...]]]:
    """TENSORS equal matrices of float32 that take about ``nbytes`` together."""
    return [(f"layers.{n:02d}.weight", (nbytes // TENSORS // 4096, 1024)) for n in range(TENSORS)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gb", type=float, default=10.0, help="size of the large files")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", help="where to write the files (default: a temporary folder)")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    print(
        f"{TENSORS} tensors; {options.gb:g} GB (sparse) against {SMALL / 1e6:g} MB; {options.rounds} rounds"
    )
    targets = []
    with folder(options.folder) as place:
        env = environment(place / "bytecode") | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        for kind, (write, name) in KINDS.items():
            if kind == "h5" and not installed("h5py"):
                print(f"{kind}: skipped, h5py writes the file and is not installed")
                continue
            paths = {}
            for size, nbytes in (("small", SMALL), ("large", int(options.gb * 1e9))):
                paths[size] = Path(place, f"{kind}-{size}".replace(" ", "-"), name)
                paths[size].parent.mkdir()
                write(paths[size], tensors(nbytes))
            inspect = [sys.executable, "-m", "holdfast", "inspect"]
            commands = {size: [*inspect, str(path)] for size, path in paths.items()}
            middle = medians(interleaved(commands, options.rounds, env))
            ratio = middle["large"].seconds / middle["small"].seconds
            print(
                f"{kind:12} large/small {ratio:5.2f}x   peak {middle['large'].megabytes:4.0f} MB large, "
                f"{middle['small'].megabytes:4.0f} MB small"
            )
            targets += [
                (f"{kind}: time of large / small", ratio, lambda x: x <= 1.5, "<= 1.5"),
                (f"{kind}: peak MB", middle["large"].megabytes, lambda x: x < 150, "< 150"),
            ]
            if not options.no_peers:
                peers(kind, paths["large"], middle["large"].seconds, env)
            for path in paths.values():
                for file in path.parent.iterdir():
                    file.unlink()
    return verdict(targets)


def peers(kind: str, path: Path, own: float, env: dict[str, str]) -> None:
    """The framework's own listers on the large file, as multiples of ours."""
    for title, modules, code in PEERS[kind]:
        if not installed(*modules):
            print(f"  {title}: skipped, {' and '.join(modules)} not installed")
            continue
        run = medians(interleaved({"": [sys.executable, "-c", code, str(path)]}, 2, env))[""]
        print(f"  {title:34} {run.seconds / own:6.2f} x holdfast inspect   peak {run.megabytes:5.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
