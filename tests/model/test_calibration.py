"""A correction finds what was done to the readings, and how surely, and fits its weights alone."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from models.cli import main
from models.tjnet.calibration import CalibrationError, read_calibration
from models.tjnet.calibration_fit import Sample, _left_out_errors, fit_sample
from models.tjnet.calibration_worth import cross_validate, fit_calibration
from models.tjnet.dataset import decode_picture
from models.tjnet.estimator import Estimator
from models.tjnet.line import Line, fit_line
from models.tjnet.weights import load_weights
from tests.model.conftest import TRAIN_COUNT, VAL_COUNT

if TYPE_CHECKING:
    from pathlib import Path

COUNT = TRAIN_COUNT + VAL_COUNT
TRUE = {"M": (12.0, 0.9), "F": (-6.0, 1.05)}


def a_sample(count: int, *, noise_months: float = 8.0, seed: int = 0) -> Sample:
    """Return images whose readings lie about the true line of their sex."""
    generator = np.random.default_rng(seed)
    sex = np.array(["M", "F"])[np.arange(count) % 2]
    estimate = generator.uniform(30, 200, count)
    a_months, slope = (np.array([TRUE[one][place] for one in sex]) for place in (0, 1))
    reading = a_months + slope * estimate + generator.normal(0, noise_months, count)
    # The weights' own interval is right for a noise of eight months.
    return Sample(sex, reading, estimate, np.full(count, 8.0), np.full(count, 8.0 * 1.645))


# --- the line ------------------------------------------------------------------------------------


def test_the_line_of_known_points() -> None:
    estimate = np.array([10.0, 20, 30])
    line = fit_line(estimate, 5 + 1.5 * estimate)
    assert line.a_months == pytest.approx(5)
    assert line.b == pytest.approx(1.5)
    assert (line.from_months, line.to_months) == (10, 30)
    assert line.corrected(20.0) == pytest.approx(35)


def test_beyond_the_fitted_estimates_the_correction_of_the_end_is_kept() -> None:
    line = Line(a_months=10, b=0.5, from_months=50, to_months=100)
    assert line.correction(np.array([0.0, 50, 100, 200])).tolist() == [-15, -15, -40, -40]
    assert line.corrected(200.0) == 160


@pytest.mark.parametrize("reading", [[3.0, 2, 1], [1.0, 1, 1]])
def test_readings_that_do_not_rise_with_the_estimates_are_refused(reading: list[float]) -> None:
    with pytest.raises(ValueError, match="do not rise"):
        fit_line(np.array([1.0, 2, 3]), np.array(reading))
    with pytest.raises(ValueError, match="do not rise"):
        fit_line(np.ones(3), np.array([1.0, 2, 3]))


# --- the fit -------------------------------------------------------------------------------------


def as_unknown(sample: Sample) -> Sample:
    return replace(sample, sex=np.full(len(sample), "unknown"))


def test_the_true_lines_lie_in_the_confidence_intervals() -> None:
    sample = a_sample(400)
    values = fit_calibration(sample, as_unknown(sample))
    for sex, (a_months, slope) in TRUE.items():
        line = values["lines"][sex]
        assert line["n"] == 200
        assert line["common"] is False
        for key, true in (("a_months", a_months), ("b", slope)):
            low, high = line["confidence_95"][key]
            assert low < true < high
            assert low < line[key] < high
        for shown in line["corrections"]:
            low, high = shown["confidence_95"]
            assert low < shown["correction_months"] < high
            assert low < a_months + (slope - 1) * shown["at_months"] < high
        assert {shown["at_months"] for shown in line["corrections"]} == {60, 96, 132, 168}


def test_more_images_are_surer() -> None:
    widths = []
    for count in (50, 100, 400):
        sample = a_sample(count)
        low, high = fit_calibration(sample, as_unknown(sample))["lines"]["M"]["confidence_95"]["b"]
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


def test_few_images_of_one_sex_get_a_common_line() -> None:
    sample = a_sample(60)
    few = np.flatnonzero(sample.sex == "F")[19:]
    rows = np.ones(60, dtype=bool)
    rows[few] = False
    lines = fit_calibration(sample.rows(rows), as_unknown(sample.rows(rows)))["lines"]
    assert lines["M"] == lines["F"]
    assert lines["M"]["common"] is True
    assert lines["M"]["n"] == 49


def test_before_and_after_are_those_of_images_left_out() -> None:
    sample = a_sample(100)
    before = cross_validate(sample, by_sex=True)["before"]
    error = sample.estimate_months - sample.reading_months
    assert before["mad_months"] == pytest.approx(np.abs(error).mean(), abs=1e-4)
    after = cross_validate(sample, by_sex=True)["after"]
    assert abs(after["bias_months"]) < 1
    assert after["mad_months"] < before["mad_months"]
    # Fitted on noise alone, a correction is worth nothing, and the cross-validation says so.
    generator = np.random.default_rng(3)
    reading = sample.estimate_months + generator.normal(0, 8, 100)
    nothing = cross_validate(replace(sample, reading_months=reading), by_sex=True)
    assert nothing["after"]["mad_months"] > nothing["before"]["mad_months"]


def test_the_interval_holds_nine_in_ten_images_that_were_left_out() -> None:
    for noise in (8.0, 20.0):
        for count in (50, 200):
            sample = a_sample(count, noise_months=noise)
            after = cross_validate(sample, by_sex=True)["after"]
            assert after["interval_coverage"] >= 0.86
    # A noisier reader needs a wider interval than the weights have.
    assert fit_sample(a_sample(200, noise_months=20), by_sex=True).scale.interval > 2


@pytest.mark.parametrize("noise_months", [2.0, 8.0, 20.0])
@pytest.mark.parametrize("count", [50, 57, 120])
def test_the_interval_holds_nine_in_ten_of_the_images_corrected_without_themselves(
    count: int, noise_months: float
) -> None:
    sample = a_sample(count, noise_months=noise_months)
    scale = fit_sample(sample, by_sex=True).scale.interval
    error = np.abs(_left_out_errors(sample, by_sex=True))
    assert np.mean(error <= scale * sample.half_width_months) >= 0.9


def test_the_interval_is_narrowed_only_on_evidence() -> None:
    for count in (50, 400):
        like = fit_sample(a_sample(count, noise_months=7.8), by_sex=True)
        assert like.scale.interval >= 1
        assert like.scale.sd >= 1
    few = fit_sample(a_sample(50, noise_months=2), by_sex=True)
    many = fit_sample(a_sample(400, noise_months=2), by_sex=True)
    assert 0.25 < many.scale.interval < few.scale.interval < 1
    assert 0.25 < many.scale.sd < few.scale.sd < 1


def test_a_thousand_images_can_be_fitted() -> None:
    assert fit_sample(a_sample(1300, noise_months=4), by_sex=True).scale.interval < 0.7


# --- the commands --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site_labels(
    learnt_weights: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return labels of a reader who reads all girls 10 and all boys 20 months older."""
    path = tmp_path_factory.mktemp("site") / "labels.csv"
    estimator = Estimator(learnt_weights, "cpu", gate=None)
    noise = np.random.default_rng(0).normal(0, 3, COUNT)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "sex", "bone_age_months"))
        for number in range(COUNT):
            sex = "MF"[number % 2]
            picture = decode_picture(tiny_data / f"{number}.png")
            months = estimator.estimate(picture, sex).bone_age_months
            reading = months + {"M": 20, "F": 10}[sex] + noise[number]
            writer.writerow((number, sex, f"{max(0, reading):.2f}"))
    return path


@pytest.fixture(scope="module")
def site(
    learnt_weights: Path,
    tiny_data: Path,
    site_labels: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return the calibration that the command makes of them."""
    path = tmp_path_factory.mktemp("calibration") / "deep" / "site.json"
    assert calibrate(learnt_weights, tiny_data, site_labels, path) == 0
    return path


def calibrate(weights: Path, data: Path, labels: Path, to: Path, *words: str) -> int:
    return main(
        [
            *("calibrate", "--data", str(data), "--labels", str(labels), "--to", str(to)),
            *("--weights", str(weights), "--device", "cpu", "--no-gate", *words),
        ]
    )


def values_of(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def test_the_command_writes_what_it_found(site: Path, learnt_weights: Path) -> None:
    values = values_of(site)
    assert values["name"] == "site"
    assert values["weights"] == Estimator(learnt_weights, "cpu", gate=None).weights.version
    assert values["n"] == COUNT
    assert set(values["lines"]) == {"M", "F", "unknown"}
    measured = values["measured"]
    assert measured["before"]["bias_months"] == pytest.approx(-15, abs=1)
    assert measured["after"]["bias_months"] == pytest.approx(0, abs=1)
    assert measured["after"]["mad_months"] < 5
    assert measured["after"]["interval_coverage"] >= 0.85
    assert set(measured["unknown_sex"]) == {"before", "after"}


def test_the_command_prints_lines_and_worth(
    learnt_weights: Path,
    tiny_data: Path,
    site_labels: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--name", "ward-3", "--data-name", "ours"]
    assert calibrate(learnt_weights, tiny_data, site_labels, tmp_path / "a.json", *words) == 0
    printed = capsys.readouterr()
    assert f"{COUNT}/{COUNT}" in printed.err
    assert [line.split(":")[0] for line in printed.out.splitlines()[:3]] == ["M", "F", "unknown"]
    assert "a.json: 52 images, cross-validated: MAD " in printed.out
    values = values_of(tmp_path / "a.json")
    assert (values["name"], values["data"]["name"]) == ("ward-3", "ours")


def test_a_calibrated_estimate_is_corrected_and_says_so(
    site: Path, learnt_weights: Path, tiny_data: Path
) -> None:
    alone = Estimator(learnt_weights, "cpu", gate=None)
    calibrated = Estimator(learnt_weights, "cpu", calibration=site, gate=None)
    lines, scales = values_of(site)["lines"], values_of(site)["interval"]
    picture = decode_picture(tiny_data / "3.png")
    for sex in ("M", "F", "unknown"):
        before, after = alone.estimate(picture, sex), calibrated.estimate(picture, sex)
        line = lines[sex]
        expected = line["a_months"] + line["b"] * before.bone_age_months
        assert after.bone_age_months == pytest.approx(expected, abs=0.01)
        scale = scales["unknown_sex"] if sex == "unknown" else scales
        assert after.sd_months == pytest.approx(scale["sd_scale"] * before.sd_months)
        half = scale["interval_scale"] * alone.half_width_months(before)
        assert after.interval_months == pytest.approx((expected - half, expected + half), abs=0.01)
        assert before.calibration is None
        assert after.calibration is not None
        assert after.calibration.startswith("site-")
    assert after.by_sex is not None
    for sex, months in after.by_sex.items():
        assert months == pytest.approx(calibrated.estimate(picture, sex).bone_age_months, abs=1e-3)


def test_predict_and_evaluate_name_the_calibration(
    site: Path,
    learnt_weights: Path,
    tiny_data: Path,
    site_labels: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--weights", str(learnt_weights), "--device", "cpu", "--calibration", str(site)]
    options += ["--no-gate"]
    version = read_calibration(site, load_weights(learnt_weights).version).version
    picture = str(tiny_data / "1.png")
    assert main(["predict", picture, "--sex", "F", "--json", *options]) == 0
    assert json.loads(capsys.readouterr().out)["calibration"] == version
    assert main(["predict", picture, "--sex", "F", *options]) == 0
    assert f"; calibration {version}\n" in capsys.readouterr().out
    out = tmp_path / "out.json"
    words = ["evaluate", "--data", str(tiny_data), "--labels", str(site_labels)]
    assert main([*words, "--json", str(out), *options]) == 0
    assert values_of(out)["calibration"] == version
    assert abs(values_of(out)["bias_months"]) < 1


def test_where_the_atlas_ends_predict_says_at_least(
    site: Path,
    learnt_weights: Path,
    tiny_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A correction that makes every girl nearly grown up.
    late = tmp_path / "late.json"
    late.write_text(json.dumps(spoilt(site, "lines", "F", "a_months", value=300)), encoding="utf-8")
    options = ["--weights", str(learnt_weights), "--device", "cpu", "--calibration", str(late)]
    options += ["--no-gate"]
    words = ["predict", str(tiny_data / "1.png"), *options]
    assert main([*words, "--sex", "F", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["bone_age_months"], found["at_least"]) == (228, True)
    assert main([*words, "--sex", "F"]) == 0
    line = capsys.readouterr().out
    assert "bone age at least 19 y 0 m, 228.0 months" in line
    assert " months or more; recorded sex F" in line.split("90 % interval")[1]
    assert main([*words, "--sex", "M", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["at_least"] is False


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_calibration_of_other_weights_is_2(
    command: str,
    site: Path,
    learnt_weights: Path,
    tiny_data: Path,
    site_labels: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**values_of(site), "weights": "other-0123"}), encoding="utf-8")
    words = {
        "predict": [str(tiny_data / "1.png"), "--sex", "F"],
        "evaluate": ["--data", str(tiny_data), "--labels", str(site_labels), "--json", "no.json"],
    }[command]
    options = ["--weights", str(learnt_weights), "--calibration", str(other)]
    assert main([command, *words, *options]) == 2
    error = capsys.readouterr().err
    assert "made for the weights other-0123, not for learnt-" in error
    assert len(error.splitlines()) == 1


def spoilt(site: Path, *place: str, value: object) -> dict[str, Any]:
    """Return a calibration with one value changed."""
    values = values_of(site)
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return values


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("name",), "a name"),
        (("name",), 7),
        (("lines", "M", "b"), "steep"),
        (("lines", "M", "b"), float("nan")),
        (("lines", "M", "b"), True),
        (("lines", "M", "b"), -1.0),
        (("lines", "F", "from_months"), 500.0),
        (("lines",), {}),
        (("lines",), []),
        (("interval", "sd_scale"), 0),
        (("interval", "unknown_sex"), None),
    ],
)
def test_what_is_no_calibration_is_refused(
    place: tuple[str, ...], value: object, site: Path, tmp_path: Path
) -> None:
    path = tmp_path / "spoilt.json"
    path.write_text(json.dumps(spoilt(site, *place, value=value)), encoding="utf-8")
    with pytest.raises(CalibrationError, match="no calibration"):
        read_calibration(path, values_of(site)["weights"])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_json_object_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match="no calibration"):
        read_calibration(path, "any")


def test_an_absent_calibration_is_refused(learnt_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="No such file"):
        Estimator(learnt_weights, "cpu", calibration=tmp_path / "absent.json", gate=None)


def changed_labels(labels: Path, folder: Path, change: str) -> Path:
    """Return a copy of the labels with something wrong in it."""
    header, *rows = labels.read_text(encoding="utf-8").splitlines()
    if change == "few":
        rows = rows[:49]
    elif change == "unknown":
        rows = [row.replace("M", "?") for row in rows]
    elif change == "twice":
        rows.append(rows[0])
    elif change == "falling":
        rows = [
            ",".join((*row.split(",")[:2], str(228 - float(row.split(",")[2])))) for row in rows
        ]
    elif change == "absent":
        rows.append("999,M,50")
    path = folder / "changed.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("few", "49 images are too few: a calibration needs 50 (0 rows of unknown sex"),
        ("unknown", "26 images are too few: a calibration needs 50 (26 rows of unknown sex"),
        ("twice", "an id stands in several rows"),
        ("falling", "do not rise with the estimates"),
        ("absent", "1 of 53 pictures are absent"),
    ],
)
def test_what_cannot_be_calibrated_on_is_2(  # noqa: PLR0913, RUF100
    change: str,
    reason: str,
    learnt_weights: Path,
    tiny_data: Path,
    site_labels: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    labels = changed_labels(site_labels, tmp_path, change)
    assert calibrate(learnt_weights, tiny_data, labels, tmp_path / "out.json") == 2
    assert reason in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out.json").exists()


def test_a_name_that_reports_cannot_show_is_2(
    learnt_weights: Path,
    tiny_data: Path,
    site_labels: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    to = tmp_path / "out.json"
    assert calibrate(learnt_weights, tiny_data, site_labels, to, "--name", "Köln") == 2
    assert "the name 'Köln' must be" in capsys.readouterr().err


def test_refused_pictures_do_not_count(
    learnt_weights: Path,
    tiny_data: Path,
    site_labels: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in tiny_data.glob("*.png"):
        (folder / path.name).write_bytes(path.read_bytes())
    flat = Image.fromarray(np.full((160, 160), 90, dtype=np.uint8))
    flat.save(folder / "0.png")
    assert calibrate(learnt_weights, folder, site_labels, tmp_path / "out.json") == 0
    assert values_of(tmp_path / "out.json")["n_refused"] == 1
    for number in (1, 2):
        flat.save(folder / f"{number}.png")
    assert calibrate(learnt_weights, folder, site_labels, tmp_path / "few.json") == 2
    assert "49 images are too few: a calibration needs 50 (3 pictures are refused)" in (
        capsys.readouterr().err
    )
