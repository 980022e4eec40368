"""A site's images divided into train and val, so that no patient lies on both sides."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models.tjnet.dataset import read_labels, read_rows

if TYPE_CHECKING:
    from pathlib import Path

    from models.tjnet.dataset import Label

SPLITS = ("train", "val")


@dataclass(frozen=True, slots=True)
class Cohort:
    """Labels with the split that each has, and how they came by it.

    Attributes
    ----------
    labels : list of Label
        The rows to train on and to validate on; rows of any other split are left out.
    rule : str
        In words, for the weights card.
    """

    labels: list[Label]
    rule: str

    def count(self, split: str) -> int:
        """Return the rows of a split."""
        return sum(label.split == split for label in self.labels)

    def to_csv(self) -> str:
        """Return the labels as a CSV file has them, without the patients."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("id", "sex", "bone_age_months", "split"))
        for label in self.labels:
            writer.writerow((label.id, label.sex, f"{label.bone_age_months:g}", label.split))
        return text.getvalue()


def read_cohort(path: Path, val_share: float) -> Cohort:
    """Return a site's labels with their split.

    A column ``split`` is used as it is. Without one, whole patients (column ``patient``, else
    the ids) go to val until it has its share, in the order of a hash: the same file is always
    divided in the same way.

    Raises
    ------
    ValueError
        If a patient or an id is in both splits, a patient is empty, or a split would have no row.
    """
    rows = [row for _, row in read_rows(path, {"id", "sex", "bone_age_months"})]
    labels = read_labels(path)
    grouped_by = "patient" if rows and "patient" in rows[0] else "id"
    groups = [(row[grouped_by] or "").strip() for row in rows]
    if "" in groups:
        msg = f"{path}: a row has an empty {grouped_by}"
        raise ValueError(msg)
    if rows and "split" in rows[0]:
        rule = "column split of the labels file"
    else:
        if not 0 < val_share < 1:
            msg = f"the share of val must lie between 0 and 1, not {val_share:g}"
            raise ValueError(msg)
        labels = _divided(labels, groups, val_share)
        rule = f"by a hash of the {grouped_by}, {val_share:.0%} of the images to val"
    kept = [(group, one) for group, one in zip(groups, labels, strict=True) if one.split in SPLITS]
    _check_apart(path, kept, grouped_by)
    cohort = Cohort([label for _, label in kept], f"{rule}; no {grouped_by} is in both")
    for split in SPLITS:
        if cohort.count(split) == 0:
            msg = f"{path}: no row of split {split!r}"
            raise ValueError(msg)
    return cohort


def _divided(labels: list[Label], groups: list[str], val_share: float) -> list[Label]:
    """Return the labels with whole groups in val until it has its share."""
    wanted = val_share * len(labels)
    val: set[str] = set()
    count = 0
    sizes = Counter(groups)
    for group in sorted(sizes, key=lambda g: hashlib.sha256(g.encode()).digest()):
        size = sizes[group]
        # One group more only if that comes nearer to the share.
        if count + size / 2 <= wanted:
            val.add(group)
            count += size
    return [
        replace(one, split="val" if group in val else "train")
        for group, one in zip(groups, labels, strict=True)
    ]


def _check_apart(path: Path, rows: list[tuple[str, Label]], grouped_by: str) -> None:
    """Refuse a group, or an id, that lies in both splits."""
    for kind, keys in ((grouped_by, [g for g, _ in rows]), ("id", [one.id for _, one in rows])):
        splits: defaultdict[str, set[str]] = defaultdict(set)
        for key, (_, label) in zip(keys, rows, strict=True):
            splits[key].add(label.split)
        both = sorted(key for key, found in splits.items() if len(found) > 1)
        if both:
            msg = f"{path}: {len(both)} of the column {kind} are in train and in val, one is the "
            msg += f"{kind} {both[0]!r}" if kind == "id" else "first of them by name"
            raise ValueError(msg)
