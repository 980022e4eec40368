"""The synthetic radiograph: what it shows, and that it says that it is synthetic."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from models.phantom import CENTRES, LABEL, draw_phantom, ossified_centres, save_phantom
from models.phantom.anatomy import OUTLINES
from models.phantom.bone import draw_long_bone, draw_round_bone, draw_skeleton, outline_of
from models.phantom.field import Field, Point
from models.phantom.film import Film
from models.phantom.flesh import draw_flesh
from models.phantom.frame import Frame, place_frame
from models.phantom.hand import Hand, pose
from models.phantom.letters import letters_of
from models.phantom.shaft import JOINT
from models.tjnet.dataset import decode_picture
from models.tjnet.preprocess import to_input

HEIGHT_PX, WIDTH_PX = 512, 384
AGES_MONTHS = (0.0, 24.0, 60.0, 108.0, 168.0, 228.0)
Picture = npt.NDArray[np.uint16]


@cache
def picture(sex: str, age_months: float, seed: int = 0) -> Picture:
    return draw_phantom(sex, age_months, height_px=HEIGHT_PX, width_px=WIDTH_PX, seed=seed)


@cache
def detailed(sex: str, age_months: float) -> Picture:
    return draw_phantom(sex, age_months)


@cache
def placed(
    sex: str, age_months: float, seed: int = 0, shape: tuple[int, int] = (HEIGHT_PX, WIDTH_PX)
) -> tuple[Hand, Frame]:
    rng = np.random.default_rng(seed)
    hand = pose("MF".index(sex), age_months, rng)
    return hand, place_frame(hand, *shape, rng)


@cache
def paths(
    sex: str, age_months: float, seed: int = 0, shape: tuple[int, int] = (HEIGHT_PX, WIDTH_PX)
) -> tuple[Field, Field]:
    """Return what is drawn of bone and of flesh, before exposure."""
    hand, frame = placed(sex, age_months, seed, shape)
    bone = draw_skeleton(hand, frame, np.random.default_rng(seed))
    return bone, draw_flesh(hand, frame)


def centre_unit(hand: Hand, name: str) -> Point:
    """Return where a centre appears, in adult units."""
    if name == "sesamoid":
        x, y = hand.bone("MC1").at(0.93 * hand.bone("MC1").length)
        return x - 7.6, y - 2.2
    if name in OUTLINES:
        return outline_of(OUTLINES[name])[0]
    bone = hand.bone(name)
    # An epiphysis begins at its plate; half a unit on lies inside even a dot.
    along = JOINT + bone.epiphysis_depth - 0.9
    return bone.at(bone.length - along if bone.distal_plate else along)


def plate_gap(pixels: Picture, sex: str, age_months: float, name: str) -> float:
    """Return how much darker the plate is than the bone on both its sides, in grey levels."""
    hand, frame = placed(sex, age_months, 0, pixels.shape)
    bone = hand.bone(name)
    plate = JOINT + bone.epiphysis_depth
    across = math.radians(bone.degrees)
    levels = []
    for along in np.arange(plate - 3.0, plate + 4.0, 0.15):
        x, y = bone.at(bone.length - along if bone.distal_plate else float(along))
        sides = np.linspace(-1.5, 1.5, 7)
        points = [frame.px((x + s * math.cos(across), y + s * math.sin(across))) for s in sides]
        levels.append(np.mean([pixels[int(row), int(column)] for column, row in points]))
    darkest = 10 + int(np.argmin(levels[10:-10]))
    return float(min(max(levels[:darkest]), max(levels[darkest:])) - levels[darkest])


class TestPicture:
    @pytest.mark.parametrize("shape", [(1536, 1152), (512, 384), (400, 700), (900, 360)])
    def test_has_the_shape_and_twelve_bits(self, shape: tuple[int, int]) -> None:
        pixels = draw_phantom("M", 100, height_px=shape[0], width_px=shape[1])
        assert pixels.shape == shape
        assert pixels.dtype == np.uint16
        assert pixels.max() <= 4095
        # More than eleven bits are used, or a reader of 12 bits would not be tested.
        assert pixels.max() > 2048
        assert pixels.min() < 400

    def test_defaults_to_the_size_of_a_detector(self) -> None:
        assert draw_phantom("F", 100).shape == (1536, 1152)

    def test_same_arguments_give_the_same_pixels(self) -> None:
        again = draw_phantom("F", 96, height_px=HEIGHT_PX, width_px=WIDTH_PX, seed=3)
        assert np.array_equal(picture("F", 96, 3), again)

    @pytest.mark.parametrize(("sex", "age_months", "seed"), [("M", 96, 3), ("F", 97, 3)])
    def test_other_arguments_give_other_pixels(
        self, sex: str, age_months: float, seed: int
    ) -> None:
        assert not np.array_equal(picture("F", 96, 3), picture(sex, age_months, seed))

    def test_a_seed_moves_the_hand_and_not_only_the_noise(self) -> None:
        one, other = (to_input(picture("F", 96, seed), 64).astype(float) for seed in (0, 1))
        noise = np.abs(to_input(picture("F", 96, 0) + np.uint16(2), 64) - one).mean()
        assert np.abs(one - other).mean() > 2.0 > noise

    @pytest.mark.parametrize("sex", ["M", "F"])
    @pytest.mark.parametrize("age_months", AGES_MONTHS)
    def test_is_a_left_hand_with_fingers_up(self, sex: str, age_months: float) -> None:
        flesh = paths(sex, age_months)[1] > 1.0
        assert flesh[-1].any(), "the forearm leaves the frame at the bottom"
        assert not flesh[: HEIGHT_PX // 20].any()
        assert not flesh[:, [0, -1]].any(), "no finger is cut off"
        rows, columns = np.nonzero(flesh[: HEIGHT_PX * 2 // 3])
        little_finger, thumb = rows[columns.argmin()], rows[columns.argmax()]
        assert thumb > little_finger, "the thumb, which lies lower, is on the right"
        # The picture shows what was drawn.
        lit = picture(sex, age_months) > 400
        assert (lit & flesh).sum() > 0.85 * flesh.sum()

    @pytest.mark.parametrize("sex", ["M", "F"])
    @pytest.mark.parametrize("age_months", AGES_MONTHS)
    def test_bone_is_brighter_than_flesh_and_flesh_than_air(
        self, sex: str, age_months: float
    ) -> None:
        pixels = picture(sex, age_months).astype(float)
        bone, flesh = paths(sex, age_months)
        inner = np.s_[54:-27, 87:-20]  # without label, marker and collimation
        bone, flesh, pixels = bone[inner], flesh[inner], pixels[inner]
        on_bone = pixels[bone > 1.0].mean()
        on_flesh = pixels[(bone == 0) & (flesh > 5.0)].mean()
        in_air = pixels[(bone == 0) & (flesh == 0)].mean()
        assert on_bone > on_flesh + 300
        assert on_flesh > in_air + 500
        assert in_air < 400

    @pytest.mark.parametrize("sex", ["M", "F"])
    def test_the_hand_fills_more_of_the_frame_with_age(self, sex: str) -> None:
        tips = [np.nonzero(paths(sex, age)[1].any(axis=1))[0][0] for age in AGES_MONTHS]
        scales = [placed(sex, age)[1].px_per_unit for age in AGES_MONTHS]
        assert scales == sorted(scales)
        assert tips[-1] < tips[0]

    def test_grey_levels_are_those_of_real_radiographs(self, shared_data: Path) -> None:
        shares = [25, 50, 75, 90, 95]
        real = [
            np.percentile(to_input(decode_picture(path), 128), shares)
            for path in sorted((shared_data / "radiographs").glob("*.png"))
        ]
        low, high = np.min(real, axis=0), np.max(real, axis=0)
        for age in AGES_MONTHS:
            drawn = np.percentile(to_input(picture("M", age), 128), shares)
            assert np.all(drawn >= low), age
            assert np.all(drawn <= high), age


class TestMaturity:
    @pytest.mark.parametrize("sex", ["M", "F"])
    def test_centres_only_ever_appear(self, sex: str) -> None:
        seen = [ossified_centres(sex, age) for age in range(0, 241, 3)]
        assert not seen[0]
        assert all(earlier <= later for earlier, later in pairwise(seen))
        assert seen[-1] == {centre.name for centre in CENTRES}

    def test_girls_are_ahead_of_boys(self) -> None:
        for age in range(0, 241, 3):
            assert ossified_centres("M", age) <= ossified_centres("F", age)
        # About two years at puberty, less in infancy.
        behind = [c.fuses[0][1] - c.fuses[1][1] for c in CENTRES if math.isfinite(c.fuses[0][1])]
        assert 16 <= min(behind) <= max(behind) <= 28

    @pytest.mark.parametrize("sex", ["M", "F"])
    def test_carpal_bones_appear_in_their_order(self, sex: str) -> None:
        column = "MF".index(sex)
        ages = {centre.name: centre.appears[column] for centre in CENTRES}
        order = ["capitate", "hamate", "triquetrum", "lunate"]
        assert sorted(order, key=ages.__getitem__) == order
        last_three = {ages[name] for name in ("scaphoid", "trapezium", "trapezoid")}
        assert ages["lunate"] < min(last_three)
        assert max(last_three) < ages["pisiform"]

    @pytest.mark.parametrize("sex", ["M", "F"])
    @pytest.mark.parametrize("name", [centre.name for centre in CENTRES])
    def test_a_centre_is_drawn_once_it_has_appeared(self, sex: str, name: str) -> None:
        centre = next(c for c in CENTRES if c.name == name)
        appears = centre.appears["MF".index(sex)]
        drawn = []
        for age in (appears - 1.0, appears + 8.0):
            hand, frame = placed(sex, age)
            film = Film(frame, np.random.default_rng(0))
            if name in OUTLINES:
                draw_round_bone(film, hand, name)
            else:
                draw_long_bone(film, hand, hand.bone(name))
            x, y = frame.px(centre_unit(hand, name))
            drawn.append(float(film.path[int(y), int(x)]))
        assert drawn[0] == 0.0
        assert drawn[1] > 0.2

    @pytest.mark.parametrize("sex", ["M", "F"])
    def test_the_carpus_fills_with_bone(self, sex: str) -> None:
        shares = []
        for age in (6.0, 24.0, 60.0, 96.0, 132.0, 192.0):
            bone = paths(sex, age)[0]
            frame = placed(sex, age)[1]
            (left, top), (right, bottom) = frame.px((-22.0, 5.0)), frame.px((22.0, 30.0))
            part = bone[int(top) : int(bottom), int(left) : int(right)]
            shares.append(float((part > 0).mean()))
        assert shares == sorted(shares)
        assert shares[0] < 0.1
        assert shares[-1] > 0.6

    @pytest.mark.parametrize("sex", ["M", "F"])
    @pytest.mark.parametrize("name", ["PP3", "MP3", "DP2", "MC3", "MC1", "radius"])
    def test_a_plate_is_open_at_ten_and_gone_at_nineteen(self, sex: str, name: str) -> None:
        child, adult = (detailed(sex, age) for age in (120, 228))
        open_gap = plate_gap(child, sex, 120, name)
        closed_gap = plate_gap(adult, sex, 228, name)
        assert open_gap > 150
        assert closed_gap < 0.3 * open_gap

    @pytest.mark.parametrize(
        ("name", "age_months"), [("PP3", 176), ("MC3", 179), ("DP2", 166), ("radius", 209)]
    )
    def test_a_girls_plate_closes_before_a_boys(self, name: str, age_months: float) -> None:
        boy, girl = (plate_gap(detailed(s, age_months), s, age_months, name) for s in "MF")
        assert boy > 2.5 * girl


def label_mask(
    monkeypatch: pytest.MonkeyPatch, sex: str, age_months: float, shape: tuple[int, int]
) -> tuple[Picture, npt.NDArray[np.bool_]]:
    """Return a picture, and which of its pixels the label changes."""
    height_px, width_px = shape
    marked = draw_phantom(sex, age_months, height_px=height_px, width_px=width_px)
    with monkeypatch.context() as patch:
        patch.setattr("models.phantom.letters.LABEL", "")
        plain = draw_phantom(sex, age_months, height_px=height_px, width_px=width_px)
    return marked, marked != plain


class TestLabel:
    def test_says_synthetic(self) -> None:
        assert LABEL == "SYNTHETIC"

    @pytest.mark.parametrize("shape", [(1536, 1152), (512, 384), (512, 512), (900, 360)])
    def test_is_large_at_the_top_and_bright(
        self, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
    ) -> None:
        pixels, mask = label_mask(monkeypatch, "M", 120, shape)
        rows, columns = np.nonzero(mask)
        assert rows.max() < 0.08 * shape[0]
        assert np.ptp(columns) > 0.25 * shape[1], "nine letters across a good part of the width"
        assert np.median(pixels[mask]) > 2500
        # It hardly moves a window that is set by the 99.5th percentile.
        assert mask.mean() < 0.012

    def test_can_be_read_at_512_pixels(self) -> None:
        large = Image.fromarray(draw_phantom("F", 140).astype(np.float32))
        small = np.asarray(large.resize((384, 512), Image.Resampling.BOX))
        best = {text: self.likeness(small[:48], text) for text in ("SYNTHETIC", "SYMPATHIC")}
        assert best["SYNTHETIC"] > 0.8
        assert best["SYNTHETIC"] > best["SYMPATHIC"] + 0.1
        assert self.likeness(small[-60:], "SYNTHETIC") < 0.5

    @staticmethod
    def likeness(part: npt.NDArray[np.float32], text: str) -> float:
        """Return the best correlation of a text with any place of a part of a picture."""
        letters = Image.fromarray(letters_of(text, 55))
        width, height = letters.width // 3, letters.height // 3
        template = np.asarray(letters.resize((width, height), Image.Resampling.BOX))
        template = template - template.mean()
        windows = np.lib.stride_tricks.sliding_window_view(part, (height, width))
        centred = windows - windows.mean(axis=(2, 3), keepdims=True)
        spread = np.sqrt((centred**2).sum(axis=(2, 3)) * (template**2).sum())
        matched = np.einsum("ijkl,kl->ij", centred, template)
        return float((matched / np.maximum(spread, 1e-6)).max())

    @pytest.mark.parametrize("sex", ["M", "F"])
    @pytest.mark.parametrize("age_months", [0.0, 60.0, 132.0, 228.0])
    @pytest.mark.parametrize("shape", [(512, 384), (400, 400), (640, 256)])
    def test_lies_over_no_part_of_the_hand(
        self,
        monkeypatch: pytest.MonkeyPatch,
        sex: str,
        age_months: float,
        shape: tuple[int, int],
    ) -> None:
        _, mask = label_mask(monkeypatch, sex, age_months, shape)
        for seed in range(3):
            bone, flesh = paths(sex, age_months, seed, shape)
            assert not (mask & ((bone > 0) | (flesh > 0.5))).any()

    @pytest.mark.parametrize("age_months", AGES_MONTHS)
    def test_the_marker_lies_beside_the_hand(self, age_months: float) -> None:
        bright = picture("M", age_months) > 3700
        rows, columns = np.nonzero(bright)
        assert HEIGHT_PX * 0.55 < rows.min() < rows.max() < HEIGHT_PX * 0.75
        assert columns.max() < WIDTH_PX * 0.2
        assert not (bright & (paths("M", age_months)[1] > 0.5)).any()
        letter = bright[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        foot, head = letter[-2], letter[1]
        assert foot.sum() > 1.8 * head.sum(), "an L stands on its long foot"
        assert head[: len(head) // 2].any()
        assert not head[len(head) // 2 :].any()


class TestArguments:
    @pytest.mark.parametrize("sex", ["", "m", "O", "unknown", "MF"])
    def test_sex_is_m_or_f(self, sex: str) -> None:
        with pytest.raises(ValueError, match="sex must be 'M' or 'F'"):
            draw_phantom(sex, 100)
        with pytest.raises(ValueError, match="sex must be 'M' or 'F'"):
            ossified_centres(sex, 100)

    @pytest.mark.parametrize("age_months", [-0.1, 240.5, math.inf, math.nan])
    def test_age_lies_in_the_range(self, age_months: float) -> None:
        with pytest.raises(ValueError, match="age_months must lie in 0 to 240"):
            draw_phantom("M", age_months)
        with pytest.raises(ValueError, match="age_months must lie in 0 to 240"):
            ossified_centres("M", age_months)

    @pytest.mark.parametrize(
        ("size", "words"),
        [
            ({"height_px": 255}, "height_px must lie in 256 to 4096"),
            ({"height_px": 4097}, "height_px must lie in 256 to 4096"),
            ({"width_px": 0}, "width_px must lie in 256 to 4096"),
            ({"height_px": 1536, "width_px": 600}, "at most 2.5 times"),
            ({"seed": -1}, "seed must not be negative"),
        ],
    )
    def test_size_and_seed_lie_in_their_ranges(self, size: dict[str, int], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            draw_phantom("M", 100, **size)

    @pytest.mark.parametrize("age_months", [0.0, 240.0])
    def test_the_ends_of_the_range_can_be_drawn(self, age_months: float) -> None:
        assert draw_phantom("F", age_months, height_px=256, width_px=256).any()


class TestSaved:
    def test_a_png_of_sixteen_bits_holds_the_picture(self, tmp_path: Path) -> None:
        path = tmp_path / "phantom.png"
        save_phantom(path, "F", 96, height_px=HEIGHT_PX, width_px=WIDTH_PX, seed=3)
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert image.mode == "I;16"
            stored = np.asarray(image).astype(np.int64)
        drawn = picture("F", 96, 3).astype(np.int64)
        assert np.array_equal(stored, drawn * 65535 // 4095)

    def test_the_network_reads_it_as_it_was_drawn(self, tmp_path: Path) -> None:
        path = tmp_path / "phantom.png"
        save_phantom(str(path), "F", 96, height_px=HEIGHT_PX, width_px=WIDTH_PX, seed=3)
        read = to_input(decode_picture(path), 128).astype(int)
        assert np.abs(read - to_input(picture("F", 96, 3), 128)).max() <= 1

    def test_bad_arguments_leave_no_file(self, tmp_path: Path) -> None:
        path = tmp_path / "phantom.png"
        with pytest.raises(ValueError, match="sex"):
            save_phantom(path, "X", 96)
        assert not path.exists()
