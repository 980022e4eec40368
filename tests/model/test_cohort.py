"""A patient is in one split alone, and the same labels are always divided in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.tjnet.cohort import read_cohort
from models.tjnet.dataset import read_labels

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, header: str, rows: list[str]) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


PATIENTS = "id,sex,bone_age_months,patient"
SPLITS = "id,sex,bone_age_months,patient,split"


def test_whole_patients_go_to_val(tmp_path: Path) -> None:
    # Three images a patient.
    path = written(tmp_path, PATIENTS, [f"{n},M,{n},p{n // 3}" for n in range(300)])
    cohort = read_cohort(path, 0.2)
    assert cohort.count("val") == 60
    assert cohort.count("train") == 240
    splits = {(int(label.id) // 3, label.split) for label in cohort.labels}
    assert len(splits) == 100
    assert read_cohort(path, 0.2) == cohort
    assert "patient" in cohort.rule
    assert "20%" in cohort.rule


def test_a_large_patient_does_not_fill_val(tmp_path: Path) -> None:
    rows = [f"{n},F,50,p{n}" for n in range(20)] + [f"x{n},F,50,all" for n in range(80)]
    cohort = read_cohort(written(tmp_path, PATIENTS, rows), 0.1)
    assert cohort.count("val") == 10


def test_without_patients_the_ids_are_divided(tmp_path: Path) -> None:
    path = written(tmp_path, "id,sex,bone_age_months", [f"{n},M,{n}" for n in range(50)])
    cohort = read_cohort(path, 0.3)
    assert (cohort.count("train"), cohort.count("val")) == (35, 15)
    assert cohort.rule.startswith("by a hash of the id")


def test_a_split_that_is_there_is_used(tmp_path: Path) -> None:
    rows = ["1,M,10,a,train", "2,F,20,b,val", "3,F,30,c,test", "4,M,40,a,train"]
    cohort = read_cohort(written(tmp_path, SPLITS, rows), 0.5)
    assert [(label.id, label.split) for label in cohort.labels] == [
        *(("1", "train"), ("2", "val"), ("4", "train"))
    ]
    assert cohort.rule.startswith("column split")


def test_what_is_written_reads_back_and_names_no_patient(tmp_path: Path) -> None:
    rows = ["1,M,10.5,SECRET,train", "2,x,20,b,val"]
    cohort = read_cohort(written(tmp_path, SPLITS, rows), 0.5)
    assert "SECRET" not in cohort.to_csv()
    copy = tmp_path / "copy.csv"
    copy.write_text(cohort.to_csv(), encoding="utf-8")
    assert read_labels(copy) == cohort.labels


@pytest.mark.parametrize(
    ("header", "rows", "share", "reason"),
    [
        (SPLITS, ["1,M,10,a,train", "2,F,20,a,val"], 0.5, "1 of the column patient are in train"),
        (SPLITS, ["1,M,10,a,train", "1,M,20,b,val"], 0.5, "the id '1'"),
        (
            "id,sex,bone_age_months,split",
            ["1,M,10,train", "1,M,20,val"],
            0.5,
            "1 of the column id are in train and in val",
        ),
        (SPLITS, ["1,M,10,a,train", "2,F,20,,val"], 0.5, "an empty patient"),
        (SPLITS, ["1,M,10,a,train", "2,F,20,b,train"], 0.5, "no row of split 'val'"),
        (SPLITS, ["1,M,10,a,val", "2,F,20,b,val"], 0.5, "no row of split 'train'"),
        (PATIENTS, ["1,M,10,a", "2,F,20,a"], 0.2, "no row of split 'val'"),
        (PATIENTS, ["1,M,10,a", "2,F,20,b"], 1.0, "between 0 and 1, not 1"),
        (PATIENTS, ["1,M,10,a", "2,F,20,b"], 0.0, "between 0 and 1, not 0"),
        (PATIENTS, [], 0.2, "no row of split 'train'"),
        ("id,sex", ["1,M"], 0.2, "no column bone_age_months"),
    ],
)
def test_what_cannot_be_divided_is_refused(
    header: str, rows: list[str], share: float, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=reason):
        read_cohort(written(tmp_path, header, rows), share)
