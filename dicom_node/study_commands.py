"""The commands that get studies in other than by a modality's C-STORE: files, and archives."""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dicom_node import retrievals, retriever, storage
from dicom_node.command_line import AsJson, node_of, operator, print_json
from dicom_node.errors import PeerError
from dicom_node.importing import Importer, Outcome
from dicom_node.query import Question, find_studies
from dicom_node.reception import person
from dicom_node.states import RetrievalState

app = typer.Typer()

REFUSED = 3


@app.command("import")
def import_files(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(help="DICOM files, zips, or folders of them.", exists=True)
    ],
    as_json: AsJson = False,
) -> None:
    """Take files into the store as if a modality had sent them."""
    node = node_of(context)
    incoming = storage.Incoming(node.storage)
    context.call_on_close(incoming.close)
    importer = Importer(node, incoming, person("command", getpass.getuser()))
    answers = []
    for answer in (answer for file in files for answer in importer.take_tree(file)):
        answers.append(answer)
        if not as_json:
            print(f"{answer.name}: {answer.words}")  # noqa: T201
    if as_json:
        print_json([asdict(answer) for answer in answers])
    if any(answer.outcome == Outcome.REFUSED for answer in answers):
        raise typer.Exit(REFUSED)


@app.command()
def query(  # noqa: PLR0913 - a question has this many parts
    context: typer.Context,
    archive: Annotated[str, typer.Argument(help="Name of an archive.")],
    *,
    patient_id: Annotated[str, typer.Option(help="PatientID; * and ? are wildcards.")] = "",
    patient_name: Annotated[str, typer.Option(help="PatientName, such as Doe^J*.")] = "",
    accession: Annotated[str, typer.Option(help="AccessionNumber.")] = "",
    date: Annotated[
        str, typer.Option(help="StudyDate: YYYYMMDD, or FROM-TO with either left out.")
    ] = "",
    modality: Annotated[str, typer.Option(help="CR, DX or another.")] = "",
    body_part: Annotated[str, typer.Option(help="BodyPartExamined, such as HAND.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many studies.", min=1, max=500)] = 100,
    as_json: AsJson = False,
) -> None:
    """Ask an archive for studies."""
    node = node_of(context)
    asked = Question(patient_id, patient_name, accession, date, modality, body_part)
    peer = node.config.archive(archive)
    found = find_studies(node.config.node.ae_title, peer, asked, limit)
    with node.database.read() as session:
        here = retrievals.present(session, [one.study_instance_uid for one in found.studies])
    if as_json:
        studies = [
            {**asdict(one), "here": here.get(one.study_instance_uid, 0)} for one in found.studies
        ]
        print_json({**asdict(found), "studies": studies})
        return
    table = Table("study", "date", "patient", "accession", "modalities", "description", "here")
    for one in found.studies:
        who = escape(f"{one.patient_name} ({one.patient_id})")
        words = (one.study_date, who, escape(one.accession_number), " ".join(one.modalities))
        number = str(here.get(one.study_instance_uid, ""))
        table.add_row(one.study_instance_uid, *words, escape(one.study_description), number)
    Console().print(table)
    more = () if found.is_whole else (f"There are more than {limit}: ask for less.",)
    for remark in (*found.remarks, *more):
        print(remark)  # noqa: T201


@app.command()
def retrieve(
    context: typer.Context,
    archive: Annotated[str, typer.Argument(help="Name of an archive.")],
    studies: Annotated[
        list[str], typer.Argument(metavar="STUDY_UID...", help="Study instance UIDs.")
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="Whole studies, not only what could be assessed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Have an archive send studies, and wait for them."""
    node = node_of(context)
    ids = retriever.order(node, archive, studies, actor=operator(), everything=everything)
    ended = []
    for retrieval_id in ids:
        retriever.retrieve(node, retrieval_id, at_once=None)
        with node.database.read() as session:
            ended += [found] if (found := retrievals.get(session, retrieval_id)) else []
        if not as_json:
            print(f"{ended[-1].study_instance_uid}: {retrievals.words(ended[-1])}")  # noqa: T201
    if as_json:
        shown = [asdict(one) for one in ended]
        print_json(json.loads(json.dumps(shown, default=str)))
    if any(one.state != RetrievalState.DONE for one in ended):
        raise typer.Exit(PeerError.exit_code)
