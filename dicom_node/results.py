"""The objects of one job: identities by the series rule, building, keeping, and their rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from pydicom.uid import ComprehensiveSRStorage
from sqlalchemy import func, select

from dicom_node import __version__, corrections
from dicom_node.db import InstanceRow, JobRow, OutputRow, TransferRow
from dicom_node.deliveries import REJECTION_NOTE, is_stored
from dicom_node.encapsulated_pdf import build_encapsulated_pdf
from dicom_node.finding import Acceptance, Known, Refusal, Replaced
from dicom_node.hand_box import HandBox, find_hand_box
from dicom_node.history import earlier_results
from dicom_node.identity import ReferencedInstance, ResultIdentity, device_uid
from dicom_node.parametric_map import build_parametric_map
from dicom_node.pixels import header_number
from dicom_node.presentation_state import build_presentation_state
from dicom_node.rejection_note import build_rejection_note
from dicom_node.report_text import report_text
from dicom_node.secondary_capture import build_refusal_capture, build_secondary_capture
from dicom_node.structured_report import build_refusal_report, build_structured_report
from dicom_node.vocabulary import REJECTIONS, new_uid
from dicom_node.words import ENGLISH, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt
    from pydicom import Dataset
    from sqlalchemy.orm import Session

    from dicom_node.config import ResultsSection
    from dicom_node.finding import Finding
    from dicom_node.node import Node
    from dicom_node.words import Words

log = structlog.get_logger()

SERIES_NUMBERS = {
    "sc": 9101,
    "sr": 9102,
    "sr-2d": 9103,
    "pr": 9104,
    "pdf": 9105,
    "pm": 9106,
    "kos": 9107,
}
"""High, so that they sort behind the modality's own series."""

REJECTION_TITLES = {title.value: title for title in REJECTIONS}


@dataclass(frozen=True, slots=True)
class Predecessor:
    """An earlier result that a new one replaces.

    Attributes
    ----------
    output : OutputRow
        The result.
    version : str or None
        The weights, the software and the calibration that made it.
    study_instance_uid : str
        Where it lies: a correction may have another study.
    last_number : int
        The highest InstanceNumber of its series.
    was_stored : bool
        Whether any destination took it.
    """

    output: OutputRow
    version: str | None
    study_instance_uid: str
    last_number: int
    was_stored: bool


@dataclass(frozen=True, slots=True)
class Work:
    """A claimed job with what its results depend on.

    Attributes
    ----------
    job_id : int
        The job.
    path : str
        The received file, relative to the data directory.
    calling_ae_title : str
        Who sent it.
    study_instance_uid : str
        The study.
    predecessors : dict
        For each kind, the result of the nearest earlier job that has one.
    known : Known
        What is known of the child beside the header.
    weights : str or None
        The weights that a person asked for; None: those of the configuration.
    """

    job_id: int
    path: str
    calling_ae_title: str
    study_instance_uid: str
    predecessors: dict[str, Predecessor]
    known: Known
    weights: str | None = None

    @property
    def rejected(self) -> list[ReferencedInstance]:
        """Return what a rejection note of a re-run names: in this study, at some destination."""
        return [
            _reference(before)
            for kind, before in self.predecessors.items()
            if kind != REJECTION_NOTE
            and before.was_stored
            and before.study_instance_uid == self.study_instance_uid
        ]


def load_work(session: Session, job_id: int) -> Work:
    """Return what a claimed job is about."""
    job = session.get_one(JobRow, job_id)
    instance = session.get_one(InstanceRow, job.instance_id)
    before, outputs = _before(session, job)
    return Work(
        job_id=job_id,
        path=instance.path,
        calling_ae_title=instance.calling_ae_title,
        study_instance_uid=instance.study_instance_uid,
        predecessors={output.kind: _predecessor(session, before, output) for output in outputs},
        known=Known(
            earlier=earlier_results(session, instance),
            corrections=corrections.read(job.corrections),
            replaces=_replaced(before) if outputs else None,
            accepted=_acceptance(job),
        ),
        weights=job.weights,
    )


def _acceptance(job: JobRow) -> Acceptance | None:
    """Return who accepted a job that the rules had rejected."""
    if job.accepted is None:
        return None
    return Acceptance(job.accepted["actor"], job.accepted["overrule_gate"])


def _before(session: Session, job: JobRow) -> tuple[JobRow, Sequence[OutputRow]]:
    """Return the last job before this one that has results of the same radiograph, and these.

    That is not always the one that it re-runs: of two re-runs of one job the second replaces the
    first, else both would be valid.
    """
    instance = session.get_one(InstanceRow, job.instance_id)
    query = (
        select(JobRow)
        .join(InstanceRow, InstanceRow.id == JobRow.instance_id)
        .join(OutputRow, OutputRow.job_id == JobRow.id)
        .where(InstanceRow.sop_instance_uid == instance.sop_instance_uid, JobRow.id < job.id)
        .order_by(JobRow.id.desc())
        .limit(1)
    )
    before = session.scalars(query).first()
    if before is None:
        return job, ()
    return before, session.scalars(select(OutputRow).where(OutputRow.job_id == before.id)).all()


def _replaced(job: JobRow) -> Replaced:
    """Return what a report says of the one that it replaces."""
    finding = job.finding or {}
    started_at = finding.get("started_at")
    return Replaced(
        reported_at=datetime.fromisoformat(started_at) if started_at else job.created_at,
        weights_version=finding.get("weights_version"),
        software_version=finding.get("software_version"),
        calibration=finding.get("calibration"),
        corrections=corrections.read(job.corrections),
    )


def _predecessor(session: Session, job: JobRow, output: OutputRow) -> Predecessor:
    statuses = select(TransferRow.status).where(TransferRow.output_id == output.id)
    numbers = select(func.max(OutputRow.instance_number)).where(
        OutputRow.series_instance_uid == output.series_instance_uid
    )
    return Predecessor(
        output=output,
        version=job.weights_version,
        study_instance_uid=session.get_one(InstanceRow, job.instance_id).study_instance_uid,
        last_number=session.scalars(numbers).one(),
        was_stored=any(map(is_stored, session.scalars(statuses))),
    )


def identity_for(work: Work, kind: str, ae_title: str, found: Finding | Refusal) -> ResultIdentity:
    """Return the identity of a new result.

    With the same weights, calibration and software, in the same study, a re-run stays in its
    predecessor's series, one number on; otherwise it opens a series, since equipment belongs to
    the series.
    """
    made_by = found if isinstance(found, Refusal) else found.estimate
    weights_version, calibration = made_by.weights_version, made_by.calibration
    device = device_uid(weights_version, __version__, calibration)
    before = work.predecessors.get(kind)
    if before is not None and (before.version, before.study_instance_uid) == (
        version_key(weights_version, calibration),
        work.study_instance_uid,
    ):
        series_uid, instance_number = before.output.series_instance_uid, before.last_number + 1
    else:
        series_uid, instance_number = str(new_uid()), 1
    return ResultIdentity(
        sop_instance_uid=str(new_uid()),
        series_instance_uid=series_uid,
        series_number=SERIES_NUMBERS[kind],
        instance_number=instance_number,
        device_uid=device,
        station_name=ae_title,
        software_version=__version__,
        weights_version=weights_version,
        calibration=calibration,
    )


def version_key(weights_version: str, calibration: str | None = None) -> str:
    """Return what a job keeps as the version of its result: weights, software, calibration."""
    corrected_by = "" if calibration is None else f" / {calibration}"
    return f"{weights_version} / {__version__}{corrected_by}"


def build(
    node: Node,
    work: Work,
    source: Dataset,
    picture: npt.NDArray[np.float32],
    found: Finding | Refusal,
) -> list[OutputRow]:
    """Build what goes back to the PACS, keep it, and return the rows.

    The SC first, then what refers to the radiograph as it does, and the SR that refers to the SC.
    The SR is also made as a Comprehensive SR, for destinations that refuse the other. An object
    beside SC and SR that cannot be built is left out, which the log says. The rows are not yet in
    the database; files whose rows never come are harmless.
    """
    maker = _Maker(node, work, found)
    settings, words = node.config.results, words_of(node.config.results.language)
    named = settings.patient_name
    capture: Callable[..., Dataset]
    if isinstance(found, Refusal):
        capture = partial(build_refusal_capture, source, picture, found)
        maker.keep("sc", partial(capture, words=words, is_named=named))
        report = partial(build_refusal_report, source, found)
    else:
        capture = partial(build_secondary_capture, source, picture, found)
        maker.keep("sc", partial(capture, words=words, is_named=named))
        box = _hand_box(work, settings, picture, found)
        _keep_options(maker, source, found, box)
        box = box if settings.hand_box else None
        report = partial(build_structured_report, source, found, hand_box=box)
    report = partial(report, heatmap=maker.made["sc"], words=words)
    maker.keep("sr", report)
    maker.keep("sr-2d", partial(report, sop_class_uid=ComprehensiveSRStorage))
    if work.rejected and any(peer.rejection_notes for peer in node.config.destinations):
        title = REJECTION_TITLES[settings.rejection_title]
        note = partial(build_rejection_note, source, work.rejected, written_at=found.started_at)
        maker.try_to_keep("kos", partial(note, title=title), names_old=False)
    return maker.rows


def _keep_options(maker: _Maker, source: Dataset, finding: Finding, box: HandBox | None) -> None:
    """Build and keep the objects that the configuration may ask for beside SC and SR."""
    settings = maker.node.config.results
    is_gray = header_number(source, "SamplesPerPixel") in {None, 1}
    if settings.presentation_state and is_gray and box is not None:
        words = words_of(settings.language)
        state = partial(build_presentation_state, source, finding, hand_box=box, words=words)
        maker.try_to_keep("pr", state, names_old=False)
    if settings.encapsulated_pdf:
        page = maker.made["sc"].pixel_array
        named = maker.made["sc"].BurnedInAnnotation == "YES"
        document = partial(build_encapsulated_pdf, source, page, finding, is_named=named)
        maker.try_to_keep("pdf", document)
    if settings.parametric_map:
        maker.try_to_keep("pm", partial(build_parametric_map, source, finding))


def _hand_box(
    work: Work, settings: ResultsSection, picture: npt.NDArray[np.float32], finding: Finding
) -> HandBox | None:
    """Return the box round the hand where it is wanted; None where it cannot be found."""
    if not (settings.hand_box or settings.presentation_state):
        return None
    try:
        # It looks for bright bone.
        return find_hand_box(1 - picture if finding.estimate.inverted else picture)
    except Exception:  # the edge: a box is never worth a lost answer
        log.exception("no hand box", job=work.job_id)
        return None


class _Maker:
    """Builds the objects of one job, each with an identity of its own, and keeps them."""

    def __init__(self, node: Node, work: Work, found: Finding | Refusal) -> None:
        self.node, self._work, self._found = node, work, found
        self.made: dict[str, Dataset] = {}
        self.rows: list[OutputRow] = []

    def keep(self, kind: str, build: Callable[..., Dataset], *, names_old: bool = True) -> None:
        """Build an object and keep it; ``names_old`` where its kind can name a predecessor."""
        identity = identity_for(self._work, kind, self.node.config.node.ae_title, self._found)
        old = {"predecessors": _references(self._work, kind)} if names_old else {}
        dataset = build(identity=identity, **old)
        self.made[kind] = dataset
        path, sha256 = self.node.storage.keep_result(dataset, self._work.job_id, kind)
        self.rows.append(
            OutputRow(
                job_id=self._work.job_id,
                kind=kind,
                sop_class_uid=str(dataset.SOPClassUID),
                sop_instance_uid=identity.sop_instance_uid,
                series_instance_uid=identity.series_instance_uid,
                series_number=identity.series_number,
                instance_number=identity.instance_number,
                path=path,
                sha256=sha256,
            )
        )

    def try_to_keep(
        self, kind: str, build: Callable[..., Dataset], *, names_old: bool = True
    ) -> None:
        """Build an object and keep it, as `keep`; leave it out where it cannot be built."""
        try:
            self.keep(kind, build, names_old=names_old)
        except OSError:  # the disk's fault, not the object's
            raise
        except Exception:  # the edge: what is optional is never worth a lost answer
            log.exception("left out, because it cannot be built", job=self._work.job_id, kind=kind)


def _references(work: Work, kind: str) -> list[ReferencedInstance]:
    """Return the result of this kind that the new one replaces, if there is one."""
    before = work.predecessors.get(kind)
    return [] if before is None else [_reference(before)]


def _reference(before: Predecessor) -> ReferencedInstance:
    """Return an earlier result as a new one names it."""
    return ReferencedInstance(
        sop_class_uid=before.output.sop_class_uid,
        sop_instance_uid=before.output.sop_instance_uid,
        series_instance_uid=before.output.series_instance_uid,
        study_instance_uid=before.study_instance_uid,
    )


def as_values(found: Finding | Refusal, words: Words = ENGLISH) -> dict[str, Any]:
    """Return what the row of a reported job keeps of it."""
    if isinstance(found, Refusal):
        return {
            "outcome": "refused",
            "bone_age_months": None,
            "determination": None,
            "weights_version": version_key(found.weights_version, found.calibration),
            "finding": refusal_values(found, words),
        }
    estimate = found.estimate
    return {
        "outcome": "assessed",
        "bone_age_months": estimate.bone_age_months,
        "determination": found.growth.determination if found.growth else None,
        "weights_version": version_key(estimate.weights_version, estimate.calibration),
        "finding": finding_values(found, words),
    }


def refusal_values(refusal: Refusal, words: Words = ENGLISH) -> dict[str, Any]:
    """Return a refusal as the database keeps it: its reason, and its words."""
    refused = words("refused", reason=words.reason(refusal.reason))
    return {
        "refused": refusal.reason,
        "laterality": refusal.laterality,
        "started_at": refusal.started_at.isoformat(),
        "weights_version": refusal.weights_version,
        "software_version": __version__,
        "calibration": refusal.calibration,
        "report": f"{refused}\n{words('research_use')}\n",
    }


def finding_values(finding: Finding, words: Words = ENGLISH) -> dict[str, Any]:
    """Return a finding as the database keeps it: the numbers of the report, and its words."""
    estimate, growth, velocity = finding.estimate, finding.growth, finding.velocity
    return {
        "bone_age_months": round(estimate.bone_age_months, 2),
        "sd_months": round(estimate.sd_months, 2),
        "interval_months": [round(bound, 2) for bound in estimate.interval_months],
        "by_sex": estimate.by_sex,
        "sex": estimate.sex,
        "sex_seen": estimate.sex_seen,
        "sex_probability": round(estimate.sex_probability, 4),
        "chronological_age_months": finding.chronological_age_months,
        "laterality": finding.laterality,
        "inverted": estimate.inverted,
        "turned_deg": estimate.turned_deg,
        "z_score": growth.z_score if growth else None,
        "determination": growth.determination if growth else None,
        "brush_mean_months": growth.mean_months if growth else None,
        "brush_sd_months": growth.sd_months if growth else None,
        "acquired_on": finding.acquired_on.isoformat() if finding.acquired_on else None,
        "started_at": finding.started_at.isoformat(),
        "velocity_years_per_year": velocity.years_per_year if velocity else None,
        "velocity_interval": list(velocity.interval) if velocity else None,
        "velocity_since": velocity.since.isoformat() if velocity else None,
        "corrections": [
            {"keyword": item.keyword, "actor": item.actor} for item in finding.corrections
        ],
        "accepted": None if finding.accepted is None else asdict(finding.accepted),
        "weights_version": estimate.weights_version,
        "software_version": __version__,
        "calibration": estimate.calibration,
        "views": estimate.views,
        "report": report_text(finding, words),
    }
