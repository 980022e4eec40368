"""Who may call and where results go, by caller and header."""

from __future__ import annotations

from typing import Any

import pytest

from dicom_node.config import Caller, Config, Route
from dicom_node.routes import (
    caller_allowed,
    destinations_for,
    secondary_capture_allowed,
    secondary_capture_negotiated,
)
from tests.builders import a_destination, cr_header


def config(*routes: dict[str, Any]) -> Config:
    return Config(
        destinations=[a_destination(name) for name in ("PACS", "WARD", "RESEARCH")],
        routes=[Route(**{"name": "r", "destinations": [], **route}) for route in routes],
    )


def test_without_routes_everything_goes_everywhere() -> None:
    assert destinations_for(config(), "ANY", cr_header()) == ["PACS", "WARD", "RESEARCH"]
    assert destinations_for(Config(), "ANY", cr_header()) == []


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ({}, True),
        ({"calling_ae_titles": ["CR1"]}, True),
        ({"calling_ae_titles": ["CR2"]}, False),
        ({"calling_ae_titles": ["cr1"]}, False),
        ({"match": {"InstitutionName": "children"}}, True),
        ({"match": {"InstitutionName": "^children$"}}, False),
        ({"match": {"InstitutionName": "adults"}}, False),
        ({"match": {"StationName": "."}}, False),
        ({"match": {"InstitutionName": "children", "Modality": "DX"}}, False),
        ({"match": {"InstitutionName": "children", "Modality": "CR"}}, True),
        ({"match": {"ImageType": r"original\\primary"}}, True),
        ({"match": {"Rows": "^512$"}}, True),
        ({"calling_ae_titles": ["CR2"], "match": {"Modality": "CR"}}, False),
    ],
    ids=str,
)
def test_a_route_applies(route: dict[str, Any], expected: bool) -> None:
    header = cr_header(InstitutionName="St. CHILDREN's")
    found = destinations_for(config({**route, "destinations": ["PACS"]}), "CR1", header)
    assert found == (["PACS"] if expected else [])


def test_all_routes_that_apply_add_up_each_destination_once_in_the_order_of_the_file() -> None:
    found = destinations_for(
        config(
            {"destinations": ["RESEARCH", "PACS"]},
            {"destinations": ["PACS"]},
            {"destinations": ["WARD"], "calling_ae_titles": ["CR2"]},
        ),
        "CR1",
        cr_header(),
    )
    assert found == ["PACS", "RESEARCH"]


def test_secondary_capture_needs_a_route_that_says_so() -> None:
    ours = {"accept_secondary_capture": True, "calling_ae_titles": ["FILM"], "match": {"Rows": "1"}}
    digitiser = config({}, ours)
    assert not secondary_capture_negotiated(config())
    assert not secondary_capture_negotiated(config({}))
    assert secondary_capture_negotiated(digitiser)
    assert secondary_capture_negotiated(digitiser, "FILM")
    assert not secondary_capture_negotiated(digitiser, "CR1")
    assert secondary_capture_allowed(digitiser, "FILM", cr_header())
    assert not secondary_capture_allowed(digitiser, "CR1", cr_header())
    assert not secondary_capture_allowed(digitiser, "FILM", cr_header(Rows=300))
    assert secondary_capture_negotiated(config({"accept_secondary_capture": True}), "ANY")


@pytest.mark.parametrize(
    ("title", "address", "allowed"),
    [
        ("CR1", "10.9.8.7", True),  # named without a host
        ("CR2", "127.0.0.1", True),
        ("CR2", "127.0.0.2", False),
        ("CR2", "", False),
        ("CR2", None, True),  # from some address it may
        ("cr1", "127.0.0.1", False),
    ],
)
def test_a_caller_is_known_by_title_and_host(
    title: str, address: str | None, *, allowed: bool
) -> None:
    callers = [Caller(ae_title="CR1"), Caller(ae_title="CR2", host="127.0.0.1")]
    assert caller_allowed(Config(callers=callers), title, address) is allowed
    assert caller_allowed(Config(accept_unknown_callers=True), title, address)
