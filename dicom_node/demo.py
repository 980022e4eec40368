"""The whole node once, on one radiograph: what a newcomer sees first."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pydicom
import yaml
from PIL import Image
from pydicom.misc import is_dicom
from rich.console import Console

from dicom_node import records, scp, scu
from dicom_node.config import Config, Destination, load_config
from dicom_node.db import Database
from dicom_node.errors import NodeError, PeerError
from dicom_node.radiograph import read_picture, wrap_radiograph
from dicom_node.states import JobState
from dicom_node.supervisor import own_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydicom import Dataset

PHANTOM_SEX, PHANTOM_AGE_YEARS = "F", 10.5
MODALITY, ARCHIVE = "DEMO_MODALITY", "DEMO_ARCHIVE"
START_SECONDS, RESULT_SECONDS = 90.0, 120.0
POLL_SECONDS = 0.1
ENDED = {JobState.SENT, JobState.FAILED, JobState.REJECTED}
Answer = TypeVar("Answer")
console = Console(highlight=False, soft_wrap=True)


class DemoError(NodeError):
    """The demonstration did not reach its end; the text says where it stopped."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came back."""

    record: dict[str, Any]
    files: list[Path]


def run(image: Path | None, sex: str | None, age_years: float | None, out: Path) -> None:
    """Run the node on one radiograph and leave ``sr.dcm``, ``sc.dcm`` and ``report.txt``.

    Parameters
    ----------
    image : Path or None
        A picture or a DICOM file; None draws a phantom.
    sex : str or None
        "M", "F" or "unknown"; for a DICOM file its header decides.
    age_years : float or None
        Age at the radiograph; for a DICOM file its header decides.
    out : Path
        The folder for the results; the node itself runs in a folder of its own and is removed.

    Raises
    ------
    DemoError
        If the radiograph is refused, or a part does not start or answer in time.
    """
    if sex not in {None, "M", "F", "unknown"}:
        msg = f"--sex is M, F or unknown, not {sex}"
        raise DemoError(msg)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"--out {out}: {error.strerror}"
        raise DemoError(msg) from error
    source = out / "radiograph.dcm"
    _step(_prepare(image, sex, age_years, source))
    with tempfile.TemporaryDirectory(prefix="bone-age-demo-") as folder:
        outcome = _one_pass(Path(folder), source)
        _keep(outcome, out)
    _print_report(outcome.record, out)


def _step(words: str) -> None:
    console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {words}")


def _prepare(image: Path | None, sex: str | None, age_years: float | None, target: Path) -> str:
    """Make the DICOM file that the modality will send; returns what it is."""
    if image is not None and not image.is_file():
        msg = f"no such file: {image}"
        raise DemoError(msg)
    if image is not None and is_dicom(image):
        shutil.copyfile(image, target)
        return f"radiograph: {image}, with its own header"
    if image is None:
        dataset, words = _phantom(sex or PHANTOM_SEX, age_years or PHANTOM_AGE_YEARS)
    else:
        months = None if age_years is None else age_years * 12
        known = sex if sex in {"M", "F"} else None
        dataset = wrap_radiograph(read_picture(image), sex=known, age_months=months)
        words = f"radiograph: {image}, sex {known or 'unknown'}"
    dataset.save_as(target, enforce_file_format=True)
    return words


def _phantom(sex: str, age_years: float) -> tuple[Dataset, str]:
    """Return a phantom as a DX image."""
    from models.phantom import draw_phantom  # noqa: PLC0415 - drawn only where none is given

    drawn_sex = sex if sex in {"M", "F"} else PHANTOM_SEX
    picture = draw_phantom(drawn_sex, age_years * 12)
    dataset = wrap_radiograph(
        picture / np.float32(4095),
        sex=sex if sex in {"M", "F"} else None,
        age_months=age_years * 12,
        study_description="SYNTHETIC phantom, bone age",
    )
    return dataset, f"radiograph: a SYNTHETIC phantom, sex {sex}, {age_years:g} years"


def _one_pass(folder: Path, source: Path) -> _Outcome:
    """Start the node and an archive, send the radiograph, wait for what comes back."""
    archive_folder = folder / "archive"
    archive_folder.mkdir()
    with scp.receiver(archive_folder, ARCHIVE) as archive_port:
        config = _configuration(folder, archive_port)
        with _running_node(folder / "config.yaml"):
            node = Destination(
                name="node",
                ae_title=config.node.ae_title,
                host="127.0.0.1",
                port=config.node.port,
            )
            _wait(lambda: _answers(node), START_SECONDS, "the node's listener to answer C-ECHO")
            _step(f"the node listens; worklist: http://127.0.0.1:{config.worklist.port}/")
            _store(node, source)
            _step("radiograph sent by C-STORE and accepted (0000)")
            record = _wait(lambda: _ended(config), RESULT_SECONDS, "the assessment and its results")
    return _Outcome(record, sorted(archive_folder.iterdir()))


def _configuration(folder: Path, archive_port: int) -> Config:
    """Write the demonstration's configuration: embedded parts, ports that the kernel picked."""
    values = {
        "node": {"host": "127.0.0.1", "port": scp.free_port()},
        "data_directory": "node",
        "callers": [{"ae_title": MODALITY}],
        "destinations": [
            {"name": "archive", "ae_title": ARCHIVE, "host": "127.0.0.1", "port": archive_port}
        ],
        "worklist": {"port": scp.free_port()},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return load_config(path)


@contextmanager
def _running_node(config_file: Path) -> Iterator[None]:
    """Run ``serve`` as a child; stop it at the end."""
    log_path = config_file.with_name("node.log")
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            own_command(config_file, "serve"), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        _step("starting the node: broker, listener, sender, sweeper, worker, worklist")
        try:
            yield
        except DemoError as error:
            tail = "\n".join(log_path.read_text(encoding="utf-8").splitlines()[-20:])
            msg = f"{error}\nthe node's log ends with:\n{tail}"
            raise DemoError(msg) from error
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
            _step("everything is stopped")


def _wait(predicate: Callable[[], Answer | None], seconds: float, what: str) -> Answer:
    """Poll until there is a true answer, and show that time passes."""
    deadline = time.monotonic() + seconds
    poll = threading.Event()
    with console.status(f"waiting for {what}"):
        while time.monotonic() < deadline:
            answer = predicate()
            if answer:
                return answer
            poll.wait(POLL_SECONDS)
    msg = f"waited {seconds:.0f} s for {what}"
    raise DemoError(msg)


def _answers(node: Destination) -> bool:
    try:
        scu.echo(MODALITY, node)
    except PeerError:
        return False
    return True


def _store(node: Destination, source: Path) -> None:
    for transfer in scu.store(MODALITY, node, [source]):
        if transfer.status != 0x0000:
            msg = f"the node did not take the file: {transfer.reason}"
            raise DemoError(msg)


def _ended(config: Config) -> dict[str, Any] | None:
    """Return the job's record once it has come to an end."""
    database = Database(config.database_url)
    try:
        with database.read() as session:
            for job in records.list_jobs(session):
                if job["state"] in ENDED:
                    return records.show_job(session, job["id"])
    finally:
        database.dispose()
    return None


def _keep(outcome: _Outcome, out: Path) -> None:
    """Leave what the archive received under the names that the user was told."""
    if outcome.record["state"] != JobState.SENT:
        msg = f"{outcome.record['state']}: {outcome.record['reason']}"
        raise DemoError(msg)
    for path in outcome.files:
        dataset = pydicom.dcmread(path)
        kind = "sr" if dataset.Modality == "SR" else "sc"
        shutil.copyfile(path, out / f"{kind}.dcm")
        if kind == "sc":
            Image.fromarray(dataset.pixel_array).save(out / "sc.png")
    text = outcome.record["finding"]["report"]
    (out / "report.txt").write_text(text + "\n", encoding="utf-8")


def _print_report(record: dict[str, Any], out: Path) -> None:
    console.rule("what a radiologist reads")
    console.print(record["finding"]["report"], markup=False)
    console.rule()
    console.print(f"structured report  {out / 'sr.dcm'}")
    console.print(f"heatmap            {out / 'sc.dcm'}  (as a picture: {out / 'sc.png'})")
    console.print(f"report as text     {out / 'report.txt'}")
    console.print("the worklist page of a node that stays: make run, then http://127.0.0.1:8000/")
