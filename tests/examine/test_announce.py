from __future__ import annotations

import shutil
from pathlib import Path

import holdfast

ZOO = Path(__file__).resolve().parents[1] / "zoo"


class Watcher:
    def __init__(self) -> None:
        self.told: list[tuple[str, int, int, int]] = []
        self.read = 0

    def __call__(self, nbytes: int) -> None:
        self.read += nbytes

    def checkpoint(self, path: str, number: int, count: int, nbytes: int) -> None:
        self.told.append((Path(path).name, number, count, nbytes))


def test_a_watcher_hears_of_each_checkpoint_and_about_how_much_it_is(tmp_path: Path) -> None:
    pt = Path(shutil.copy(ZOO / "torch_train" / "ckpt.pt", tmp_path))
    st = Path(shutil.copy(ZOO / "safetensors" / "m.safetensors", tmp_path))
    watcher = Watcher()
    holdfast.examine(tmp_path, recursive=True, progress=watcher)
    # safetensors has nothing to verify: its values alone are read
    assert watcher.told == [
        (pt.name, 1, 2, 2 * pt.stat().st_size),
        (st.name, 2, 2, st.stat().st_size),
    ]
    assert 0 < watcher.read <= sum(nbytes for *_, nbytes in watcher.told)
    watcher = Watcher()
    holdfast.verify(pt, progress=watcher)
    assert watcher.told == [(pt.name, 1, 1, pt.stat().st_size)]
    watcher = Watcher()
    holdfast.examine(pt, depth="header", progress=watcher)
    assert watcher.told[0][3] == watcher.read == 0
