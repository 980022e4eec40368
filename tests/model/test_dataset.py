"""Pictures and labels in every form they come in, and in forms they must not."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from models.tjnet.dataset import (
    Label,
    UnreadablePictureError,
    data_hash,
    decode_picture,
    iter_pictures,
    load_inputs,
    read_labels,
    read_pictures,
)
from models.tjnet.preprocess import to_input
from tests.model.conftest import draw_picture

if TYPE_CHECKING:
    from pathlib import Path


def encoded(seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(draw_picture(50, seed)).save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def labels_file(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_with_and_without_a_split(tmp_path: Path) -> None:
    path = labels_file(
        tmp_path, "id,sex,bone_age_months,split\n1,M,12,train\n 2 ,f,13.5,val\n3,x,0,val\n"
    )
    assert read_labels(path) == [
        Label("1", "M", 12.0, "train"),
        Label("2", "F", 13.5, "val"),
        Label("3", "unknown", 0.0, "val"),
    ]
    assert [label.id for label in read_labels(path, "val")] == ["2", "3"]
    bare = labels_file(tmp_path, "\ufeffid,sex,bone_age_months\n1,M,12\n")
    assert read_labels(bare) == [Label("1", "M", 12.0, "")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,sex\n1,M\n", "no column bone_age_months"),
        ("", "no column bone_age_months, id, sex"),
        ("id,sex,bone_age_months\n1,M,twelve\n", "labels.csv:2: bone_age_months is not an age"),
        ("id,sex,bone_age_months\n1,M,nan\n", "not an age"),
        ("id,sex,bone_age_months\n1,M,-3\n", "not an age"),
        ("id,sex,bone_age_months\n1,M,12\n2,F\n", "labels.csv:3: the row is too short"),
    ],
)
def test_a_bad_labels_file_says_where(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_labels(labels_file(tmp_path, text))


def test_the_chronological_age_is_read_where_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    head = "id,sex,bone_age_months,chronological_age_months\n"
    path.write_text(f"{head}1,M,100,96.5\n2,F,100, \n3,F,100\n", encoding="utf-8")
    assert [one.chronological_age_months for one in read_labels(path)] == [96.5, None, None]
    path.write_text(f"{head}1,M,100,old\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r":2: chronological_age_months is not an age: 'old'"):
        read_labels(path)


def test_a_folder_a_tar_and_a_folder_of_tars_hold_the_same(tmp_path: Path) -> None:
    members = {"10.png": encoded(1), "notes.txt": b"no picture", "20.png": encoded(2)}
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in members.items():
        (folder / name).write_bytes(content)
    tar = write_tar(tmp_path / "all.tar", members)
    shards = tmp_path / "shards"
    shards.mkdir()
    write_tar(shards / "train-0.tar", {"10.png": members["10.png"]})
    write_tar(shards / "train-1.tar", {"deep/20.png": members["20.png"]})
    write_tar(shards / "aspect.tar", {"30.png": members["20.png"]})
    expected = [("10", members["10.png"]), ("20", members["20.png"])]
    assert [list(iter_pictures(data)) for data in (folder, tar, shards)] == [expected] * 3


def test_what_holds_no_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar").write_text("no tar", encoding="utf-8")
    for name in ("empty", "text.tar", "absent"):
        with pytest.raises(FileNotFoundError, match=name):
            list(iter_pictures(tmp_path / name))


def test_a_cut_tar_is_an_error_and_no_end(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "cut.tar", {"1.png": encoded(1), "2.png": encoded(2)})
    path.write_bytes(path.read_bytes()[: 512 + len(encoded(1)) // 2])
    with pytest.raises(UnreadablePictureError, match=r"cut\.tar"):
        list(iter_pictures(path))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_grey_and_colour_decode_alike(mode: str) -> None:
    grey = Image.fromarray(draw_picture(50, 1))
    file = io.BytesIO()
    grey.convert(mode).save(file, "PNG")
    pixels = decode_picture(file.getvalue())
    assert pixels.dtype == np.float32
    assert np.abs(pixels - np.asarray(grey, dtype=np.float32) / 255).max() < 0.01


@pytest.mark.parametrize("content", [b"", b"no picture", encoded()[:200], encoded()[:2000]])
def test_a_damaged_picture_is_unreadable(content: bytes) -> None:
    with pytest.raises(UnreadablePictureError):
        decode_picture(content)


def test_an_absent_picture_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePictureError, match="No such file"):
        decode_picture(tmp_path / "absent.png")


def test_inputs_are_the_same_from_the_cache(tiny_data: Path, tmp_path: Path) -> None:
    index, fresh = load_inputs(tiny_data, 32, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    cached_index, cached = load_inputs(tiny_data, 32, tmp_path)
    assert cached_index == index
    assert np.array_equal(cached, fresh)
    assert np.array_equal(fresh[index["3"]], to_input(decode_picture(tiny_data / "3.png"), 32))


def test_the_cache_is_not_taken_for_other_pictures(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.mkdir()
    (data / "1.png").write_bytes(encoded(1))
    _, before = load_inputs(data, 32, cache)
    _, smaller = load_inputs(data, 16, cache)
    (data / "1.png").write_bytes(encoded(2))
    _, after = load_inputs(data, 32, cache)
    assert smaller.shape == (1, 16, 16)
    assert not np.array_equal(before, after)


def test_wanted_pictures_come_once_each(tiny_data: Path) -> None:
    assert sorted(name for name, _ in read_pictures(tiny_data, ["5", "3", "5"])) == ["3", "5"]


def test_absent_pictures_are_counted_before_any_is_read(tiny_data: Path) -> None:
    with pytest.raises(ValueError, match="2 of 3 pictures are absent"):
        next(read_pictures(tiny_data, ["1", "nobody", "no one"]))


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "7.png").write_bytes(encoded()[:300])
    with pytest.raises(UnreadablePictureError, match="picture 7"):
        list(read_pictures(tmp_path, ["7"]))


def test_the_hash_changes_with_pictures_and_labels(tmp_path: Path) -> None:
    labels = labels_file(tmp_path, "id,sex,bone_age_months\n1,M,12\n")
    (tmp_path / "1.png").write_bytes(encoded(1))
    first = data_hash(tmp_path, labels)
    assert data_hash(tmp_path, labels) == first
    (tmp_path / "2.png").write_bytes(encoded(2))
    second = data_hash(tmp_path, labels)
    labels_file(tmp_path, "id,sex,bone_age_months\n1,M,13\n")
    assert len({first, second, data_hash(tmp_path, labels)}) == 3
