"""The commands that do something with jobs: what `dicom_node.actions` does, for a terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicom_node import actions, batches, jobs
from dicom_node.actions import Done, Order
from dicom_node.command_line import AsJson, JobId, answer, node_of, operator
from dicom_node.progress import progress_of
from dicom_node.states import JobState, Priority

if TYPE_CHECKING:
    from dicom_node.finding import CorrectedKeyword
    from dicom_node.node import Node

app = typer.Typer()

JobIds = Annotated[
    list[int], typer.Argument(metavar="JOB...", help="The jobs' numbers, as `jobs` shows them.")
]


@app.command()
def rerun(  # noqa: PLR0913, PLR0917 - a re-run may differ in this much
    context: typer.Context,
    job: JobIds,
    sex: Annotated[
        str | None, typer.Option(help="M, F or unknown, instead of what the header says.")
    ] = None,
    birth_date: Annotated[
        str | None, typer.Option(help="YYYYMMDD, instead of what the header says; one job only.")
    ] = None,
    laterality: Annotated[
        str | None, typer.Option(help="L or R, instead of what the header says; one job only.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Shipped weights, or some of inference.more_weights.")
    ] = None,
    priority: Annotated[
        Priority | None, typer.Option(help="urgent, normal or bulk; bulk for several jobs.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Assess radiographs again: new jobs that name these; corrections are in their reports."""
    said: dict[CorrectedKeyword, str | None] = {
        "PatientSex": sex,
        "PatientBirthDate": birth_date,
        "ImageLaterality": laterality,
    }
    corrected = {keyword: value for keyword, value in said.items() if value is not None}
    order = Order("rerun", corrected, weights, priority)
    node = node_of(context)
    if len(job) > 1:
        _answer_batch(node, order, job, as_json=as_json)
    else:
        _answer(actions.do(node, job[0], operator(), order), as_json=as_json)


def _answer(done: Done, *, as_json: bool) -> None:
    """Say where a job is."""
    reason = f": {done.reason}" if done.reason else ""
    answer(done.as_values(), f"job {done.job_id} is {done.state}{reason}", as_json=as_json)


def _answer_batch(node: Node, order: Order, job_ids: list[int], *, as_json: bool) -> None:
    """Do an order for many jobs and say with how many it was done."""
    batch_id = batches.create(node, operator(), order, job_ids)
    batches.run(node, batch_id)
    with node.database.read() as session:
        found = progress_of(session, batch_id)
    lines = [f"batch {batch_id}: {found.done} of {found.total} jobs, {found.skipped} skipped"]
    lines += [f"  {count}: {reason}" for reason, count in found.skipped_because.items()]
    answer(asdict(found), "\n".join(lines), as_json=as_json)


@app.command()
def retry(
    context: typer.Context,
    job: JobId,
    to: Annotated[str | None, typer.Option(help="Only this destination.")] = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a job that stopped: send again, assess again, or accept a rejected one."""
    node = node_of(context)
    with node.database.read() as session:
        state = jobs.get(session, job).state
    is_rejected = state == JobState.REJECTED and to is None
    order = Order("accept") if is_rejected else Order("retry", destination=to)
    done = actions.do(node, job, operator(), order)
    words = f"{done.deliveries} deliveries wait" if done.deliveries else "queued"
    answer(done.as_values(), f"job {job}: {words}", as_json=as_json)


@app.command()
def accept(
    context: typer.Context,
    job: JobId,
    overrule_gate: Annotated[
        bool, typer.Option("--overrule-gate", help="Also where the gate refuses the image.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Have a rejected radiograph assessed; the report says that its rules were overruled."""
    order = Order("accept", overrule_gate=overrule_gate)
    _answer(actions.do(node_of(context), job, operator(), order), as_json=as_json)


@app.command()
def cancel(context: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Cancel a job that has not begun."""
    _answer(actions.do(node_of(context), job, operator(), Order("cancel")), as_json=as_json)


@app.command()
def priority(
    context: typer.Context,
    job: JobId,
    to: Annotated[Priority, typer.Argument(metavar="PRIORITY", help="urgent, normal or bulk.")],
    as_json: AsJson = False,
) -> None:
    """Let a waiting job's turn come sooner or later."""
    order = Order("priority", priority=to)
    done = actions.do(node_of(context), job, operator(), order)
    values: dict[str, Any] = {**done.as_values(), "priority": str(to)}
    answer(values, f"job {job} is {to}", as_json=as_json)


@app.command()
def note(
    context: typer.Context,
    job: JobId,
    text: Annotated[str, typer.Argument(help="At most 2000 characters.")],
    as_json: AsJson = False,
) -> None:
    """Write a note on a job, which the worklist shows."""
    actions.note(node_of(context), job, operator(), text)
    answer({"id": job}, f"the note is kept with job {job}", as_json=as_json)
