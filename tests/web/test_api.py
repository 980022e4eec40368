"""The interface for programs against its own description, by schemathesis; served for real."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, SerializationContext
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import select

from dicom_node import migrations
from dicom_node.db import BatchRow, InstanceRow, JobRow, OutputRow, RetrievalRow, Table
from tests.peers import free_port
from tests.web.conftest import Jobs, add_user, embedded_broker, served
from tests.web.store import a_phantom, add_results, keep
from worklist import accounts, tokens
from worklist.access import Role
from worklist.app import create_app
from worklist.tokens import NewToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from schemathesis import APIOperation, Case

    from dicom_node.node import Node

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""pynetdicom leaves it where nobody listens."""

CHECKS: Final = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES: Final = 6
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
REST: Final = {"account_id": 1, "token_id": 1, "path": "7FE00010"}
OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
CLOSED_PORT: Final = free_port()
CONFIG: Final = f"""
destinations: [{{name: PACS, ae_title: PACS, host: 127.0.0.1, port: {CLOSED_PORT}}}]
archives: [{{name: ARCHIVE, ae_title: ARCHIVE, host: 127.0.0.1, port: {CLOSED_PORT}}}]
"""


@schemathesis.serializer("application/dicom", "application/zip")
def as_it_is(_context: SerializationContext, value: Any) -> Any:  # noqa: ANN401 - invented
    """Send an invented file as it is."""
    return value if isinstance(value, bytes) else str(value).encode()


@dataclass(frozen=True, slots=True)
class Api:
    """A served node, its description, and what really stands behind the names in its paths."""

    node: Node
    url: str
    schema: Any
    known: dict[str, list[Any]]

    def operations(self) -> list[APIOperation[Any, Any, Any, Any]]:
        """Return every operation that is described."""
        return [found.ok() for found in self.schema.get_all_operations()]

    def token(self, role: Role, name: str) -> dict[str, str]:
        """Return the header of a new token of a user."""
        account_id = add_user(self.node, name, role)
        with self.node.database.write() as session:
            account = accounts.numbered(session, account_id)
            _, secret = tokens.create(session, account, NewToken("test", role, 1), actor="test")
        return {"Authorization": f"Bearer {secret}"}

    def rows(self) -> dict[str, list[Any]]:
        """Return all that the database holds."""
        with self.node.database.read() as session:
            return {
                table.name: list(session.execute(select(table)))
                for table in Table.metadata.sorted_tables
            }


@pytest.fixture
def api(make_node: Callable[[str], Node], tmp_path: Path) -> Iterator[Api]:
    node = make_node(CONFIG)
    migrations.upgrade(node.config)
    make = Jobs(node)
    add_results(node, keep(node, a_phantom()))
    make.queued()
    make.rejected("no hand")
    make.failed("no model")
    make.cancelled()
    make.reported(120.0, destinations=("PACS",))
    with embedded_broker(node, tmp_path / "valkey"), served(create_app(node)) as client:
        at = Api(node, str(client.base_url).rstrip("/"), None, {})
        answer = client.get("/api/openapi.json", headers=at.token(Role.VIEWER, "reader"))
        schema = schemathesis.openapi.from_dict(answer.json())
        yield Api(node, at.url, schema, known_names(node))


def known_names(node: Node) -> dict[str, list[Any]]:
    """Return what the parameters of paths may be."""
    with node.database.read() as session:
        first = session.scalars(select(InstanceRow).order_by(InstanceRow.id)).first()
        output = session.scalars(select(OutputRow).order_by(OutputRow.id)).first()
        assert first is not None
        assert output is not None
        return {
            "job_id": list(session.scalars(select(JobRow.id))),
            "batch_id": [*session.scalars(select(BatchRow.id)), 1],
            "retrieval_id": [*session.scalars(select(RetrievalRow.id)), 1],
            "study": [first.study_instance_uid],
            "series": [first.series_instance_uid, output.series_instance_uid],
            "instance": [first.sop_instance_uid, output.sop_instance_uid],
            "numbers": ["1", "1,2"],
            "archive": ["ARCHIVE"],
            "name": ["PACS"],
        }


@contextmanager
def asking() -> Iterator[requests.Session]:
    """Give a session of HTTP that no proxy stands before."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def explore(
    api: Api,
    operation: APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
    examples: int,
    use: Callable[[Case[Any]], None],
) -> None:
    """Use invented requests of an operation; half of them name what is there."""

    @settings(
        derandomize=True,
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), draw=st.data())
    def run(case: Case[Any], draw: st.DataObject) -> None:
        if draw.draw(st.booleans()):
            for name in set(case.path_parameters) & set(api.known):
                case.path_parameters[name] = draw.draw(st.sampled_from(api.known[name]))
        use(case)

    with suppress(Unsatisfiable):  # what takes nothing cannot be asked wrongly
        run()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_operation_answers_as_it_is_described(api: Api, mode: GenerationMode) -> None:
    with asking() as session:
        for number, operation in enumerate(api.operations()):
            headers = api.token(Role.ADMIN, f"admin-{number}")

            def use(case: Case[Any], headers: dict[str, str] = headers) -> None:
                answer = case.call(base_url=api.url, session=session, headers=headers)
                assert answer.status_code != 500, case.as_curl_command()
                case.validate_response(answer, checks=CHECKS)

            explore(api, operation, mode, EXAMPLES, use)


def test_nobody_unknown_gets_in_or_changes_anything(api: Api) -> None:
    before = api.rows()

    def use(case: Case[Any]) -> None:
        answer = case.call(base_url=api.url, session=session)
        assert answer.status_code == 401, case.as_curl_command()
        case.validate_response(answer, checks=CHECKS)

    with asking() as session:
        for operation in api.operations():
            if operation.path not in OPEN:
                explore(api, operation, GenerationMode.POSITIVE, 3, use)
    assert api.rows() == before


def test_nobody_does_what_takes_a_higher_role(api: Api) -> None:
    headers = {role: api.token(role, role.word) for role in Role}
    refused: Counter[Role] = Counter()
    before = {**api.rows(), "api_token": []}  # a token says when it was used last

    def use(case: Case[Any], role: Role) -> None:
        answer = case.call(base_url=api.url, session=session, headers=headers[role])
        assert answer.status_code == 403, case.as_curl_command()
        refused[role] += 1

    with asking() as session:
        for operation in api.operations():
            for role in Role:
                if role < least_role(operation):
                    explore(api, operation, GenerationMode.POSITIVE, 1, partial(use, role=role))
    assert set(refused) == {Role.VIEWER, Role.OPERATOR}
    assert {**api.rows(), "api_token": []} == before


def least_role(operation: APIOperation[Any, Any, Any, Any]) -> Role:
    return Role.of(operation.definition.raw.get("x-least-role", "viewer"))


def test_other_methods_are_refused_and_the_right_ones_named(api: Api) -> None:
    headers = api.token(Role.ADMIN, "admin")
    allowed: dict[str, set[str]] = {}
    for operation in api.operations():
        allowed.setdefault(operation.path, set()).add(operation.method.upper())
    with asking() as session:
        for path, methods in allowed.items():
            place = path.format_map({name: some[-1] for name, some in api.known.items()} | REST)
            for method in sorted(METHODS - methods):
                answer = session.request(method, f"{api.url}{place}", headers=headers)
                assert answer.status_code == 405, (method, path)
                assert set(answer.headers["Allow"].split(", ")) <= methods | {"HEAD"}
                assert answer.json()["detail"]


def test_the_description_is_whole_and_leaves_the_pages_out(api: Api) -> None:
    operations = api.operations()
    paths = {operation.path for operation in operations}
    assert {"/api/jobs", "/dicomweb/studies", "/healthz", "/api/openapi.json"} <= paths
    assert not {"/", "/login", "/jobs/{job_id}", "/live"} & paths
    for operation in operations:
        raw = operation.definition.raw
        assert raw["summary"]
        if operation.path not in OPEN:
            assert {"401", "503"} <= set(raw["responses"])
            assert raw["security"] == [{"token": []}, {"session": []}]
        # Of one's own tokens each user disposes; all else that changes something takes more.
        if operation.method != "get" and raw["operationId"] not in {"make_token", "revoke_token"}:
            assert least_role(operation) > Role.VIEWER, operation.label
