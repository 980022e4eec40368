"""The project's own shape: its names, its targets, its pins, its size."""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import alembic
import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version
from setuptools import find_packages

import dicom_node
import models
import worklist

PROJECT = Path(__file__).resolve().parents[2]
LARGEST_FILE_BYTES = 16_000_000


def read_setup() -> configparser.ConfigParser:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(PROJECT / "setup.cfg", "utf-8")
    return setup


def lines(setup: configparser.ConfigParser, section: str, key: str) -> list[str]:
    return setup[section][key].split()


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607 - wherever git is
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    files = [PROJECT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


# --- names -------------------------------------------------------------------------------------


def test_alembic_is_the_library() -> None:
    """An ``alembic/__init__.py`` here would hide it from all but its own console script."""
    assert not (PROJECT / "alembic" / "__init__.py").exists()
    assert not Path(alembic.__file__).is_relative_to(PROJECT / "alembic")
    assert importlib.metadata.version("alembic") == alembic.__version__


@pytest.mark.parametrize("package", [dicom_node, models, worklist], ids=lambda p: p.__name__)
def test_package_is_ours(package: object) -> None:
    """``models`` and ``worklist`` are names that another distribution may bring as well."""
    file = getattr(package, "__file__", None)
    assert file is not None
    assert Path(file).parent.parent == PROJECT


def test_the_wheel_holds_the_three_packages_and_nothing_else() -> None:
    setup = read_setup()
    assert setup["options"]["packages"] == "find:"
    packages = find_packages(str(PROJECT), include=lines(setup, "options.packages.find", "include"))
    assert {name.split(".")[0] for name in packages} == {"dicom_node", "models", "worklist"}


def test_light_parts_load_without_torch() -> None:
    """The import contracts read the source; this looks at what really gets loaded."""
    light = lines(read_setup(), "importlinter:contract:no-torch", "source_modules")
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(*sys.modules)\n"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program, *light],
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert loaded.returncode == 0, loaded.stderr
    modules = set(loaded.stdout.split())
    assert set(light) < modules
    assert modules.isdisjoint({"matplotlib", "torch", "monai", "models.tjnet"})


# --- make --------------------------------------------------------------------------------------


def make_targets() -> list[str]:
    text = (PROJECT / "Makefile").read_text("utf-8")
    return re.findall(r"^([a-z]\w*):(?!=)", text, re.MULTILINE)


def test_make_alone_lists_every_target() -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory"],  # noqa: S607 - wherever make is
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "MAKEFLAGS": ""},
    ).stdout
    told = dict(re.findall(r"^  make (\w+) +(\S.*)$", listed, re.MULTILINE))
    assert sorted(told) == sorted(make_targets())
    assert all(told.values())


def test_no_target_is_mistaken_for_a_file() -> None:
    """``models`` and ``tests`` are folders here: a target that is not phony would never run."""
    text = (PROJECT / "Makefile").read_text("utf-8")
    [phony] = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert sorted(phony.split()) == sorted(make_targets())


@pytest.mark.parametrize(
    "script",
    [
        ".ci/run",
        *(f"scripts/install_{what}.sh" for what in ("peers", "readers", "torch")),
    ],
)
def test_script_can_be_run(script: str) -> None:
    path = PROJECT / script
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", path], check=True)  # noqa: S607 - wherever bash is


# --- pins --------------------------------------------------------------------------------------


def pins() -> dict[NormalizedName, Version]:
    text = (PROJECT / "constraints.txt").read_text("utf-8")
    pinned = [line.split("==") for line in text.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pinned}


def requirements() -> list[Requirement]:
    setup = read_setup()
    keys = [("options", "install_requires")]
    keys += [("options.extras_require", extra) for extra in setup["options.extras_require"]]
    return [Requirement(line) for section, key in keys for line in lines(setup, section, key)]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_requirement_is_pinned(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_what_is_installed_is_what_is_pinned() -> None:
    installed = {
        canonicalize_name(distribution.name): Version(distribution.version).public
        for distribution in importlib.metadata.distributions()
    }
    wrong = {
        name: f"{installed[name]} is installed, {version} is pinned"
        for name, version in pins().items()
        if name in installed and installed[name] != version.public
    }
    assert wrong == {}


# --- what is in it -----------------------------------------------------------------------------


def test_no_large_file_is_tracked() -> None:
    sizes = {str(file): file.stat().st_size for file in tracked_files()}
    assert {name: size for name, size in sizes.items() if size > LARGEST_FILE_BYTES} == {}


def test_no_shared_picture_is_tracked(shared_data: Path) -> None:
    """The terms of the challenge's radiographs forbid passing them on."""
    suffixes = {".csv", ".dcm", ".jpeg", ".png"}
    shared = {file.read_bytes() for file in shared_data.rglob("*") if file.suffix in suffixes}
    assert shared
    assert [str(file) for file in tracked_files() if file.read_bytes() in shared] == []


def test_the_licence_is_apache_2() -> None:
    text = (PROJECT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert read_setup()["metadata"]["license_expression"] == "Apache-2.0"
