"""DICOMweb over a real server, asked by dicomweb-client and by hand."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient
from PIL import Image
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    generate_uid,
)

from dicom_node import audit, migrations
from dicom_node import vocabulary as v
from dicom_node.config import load_config
from dicom_node.db import InstanceRow
from dicom_node.node import Node
from tests.all_results import all_results
from tests.web.conftest import let_in, private, served
from tests.web.store import (
    ACCESSION,
    NAME,
    PATIENT_ID,
    a_phantom,
    add_results,
    keep,
    received_file,
)
from worklist.access import Role
from worklist.app import create_app
from worklist.dicomweb_keys import LARGEST_OFFSET
from worklist.dicomweb_query import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx
    from pydicom.dataset import Dataset

AS_STORED = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


@dataclass(frozen=True, slots=True)
class Study:
    """A radiograph and its results, as they lie in the store."""

    radiograph: Dataset
    file: Path
    results: dict[str, Path]

    @property
    def uid(self) -> str:
        return str(self.radiograph.StudyInstanceUID)

    @property
    def uids(self) -> tuple[str, str, str]:
        return self.uid, str(self.radiograph.SeriesInstanceUID), str(self.radiograph.SOPInstanceUID)

    @property
    def address(self) -> str:
        return "/dicomweb/studies/{}/series/{}/instances/{}".format(*self.uids)


def make_study(node: Node, radiograph: Dataset, *, has_results: bool = True) -> Study:
    job_id = keep(node, radiograph)
    made = add_results(node, job_id) if has_results else {}
    return Study(radiograph, received_file(node, job_id), made)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Study, httpx.Client]]:
    """Return the phantom's study, and a client of the one store that holds it alone."""
    file = tmp_path_factory.mktemp("store") / "config.yaml"
    file.write_text("data_directory: .\n", "utf-8")
    node = Node.of(load_config(file))
    migrations.upgrade(node.config)
    with served(create_app(node)) as client:
        let_in(client, node, "viewer", Role.VIEWER)
        yield make_study(node, a_phantom(StudyDate="20260105")), client
    node.close()


@pytest.fixture(scope="module")
def study(shared: tuple[Study, httpx.Client]) -> Study:
    """Return the phantom's study with its results: only read."""
    return shared[0]


@pytest.fixture(scope="module")
def site(shared: tuple[Study, httpx.Client]) -> httpx.Client:
    """Return a client of the store that holds ``study``."""
    return shared[1]


@pytest.fixture(scope="module")
def web(site: httpx.Client) -> DICOMwebClient:
    """Return a DICOMweb client of it."""
    return web_of(site)


def web_of(client: httpx.Client) -> DICOMwebClient:
    login = requests.Session()
    login.cookies.update(dict(client.cookies))
    return DICOMwebClient(str(client.base_url.join("/dicomweb")), session=login)


def values(match: dict[str, Any], tag: str) -> list[Any]:
    found: list[Any] = match[tag].get("Value", [])
    return found


# --- by dicomweb-client ------------------------------------------------------------------------


def test_a_study_is_found_and_described(study: Study, web: DICOMwebClient) -> None:
    (found,) = web.search_for_studies(search_filters={"PatientID": PATIENT_ID})
    described = pydicom.Dataset.from_json(found)
    assert described.StudyInstanceUID == study.uid
    assert described.PatientName == NAME
    assert described.AccessionNumber == ACCESSION
    assert described.ModalitiesInStudy == ["DX", "OT", "SR"]
    assert described.NumberOfStudyRelatedSeries == 3
    assert described.NumberOfStudyRelatedInstances == 3
    series = [pydicom.Dataset.from_json(one) for one in web.search_for_series(study.uid)]
    assert [one.Modality for one in series] == ["DX", "OT", "SR"]
    assert series[2].SeriesDescription == v.SR_SERIES_DESCRIPTION
    assert [one.NumberOfSeriesRelatedInstances for one in series] == [1, 1, 1]
    instances = web.search_for_instances(study.uid)
    files = [study.file, study.results["sc"], study.results["sr"]]
    uids = [str(pydicom.dcmread(file).SOPInstanceUID) for file in files]
    assert [values(one, "00080018") for one in instances] == [[uid] for uid in uids]
    assert values(instances[0], "00280010") == [96]


def test_every_key_matches_what_it_should(node: Node, client: httpx.Client) -> None:
    web, study = web_of(client), make_study(node, a_phantom(StudyDate="20260105"))
    other = make_study(
        node,
        a_phantom(
            PatientID="P2", PatientName="Doe^50%_x", StudyDate="20200101", AccessionNumber=""
        ),
        has_results=False,
    )
    both = [other.uid, study.uid]  # newest first
    for key, value, uids in (
        ("StudyInstanceUID", study.uid, [study.uid]),
        ("StudyInstanceUID", ",".join(both), both),
        ("PatientName", "phantom*", [study.uid]),
        ("PatientName", "PHANTOM^?NNE", [study.uid]),
        ("PatientName", "Phantom", []),
        ("PatientName", "*50%_?", [other.uid]),
        ("PatientName", "*5%x", []),  # the wildcards of SQL are plain characters
        ("PatientName", "*", both),
        ("PatientID", "P2", [other.uid]),
        ("PatientID", "P*", both),
        ("AccessionNumber", ACCESSION, [study.uid]),
        ("StudyDate", "20260105", [study.uid]),
        ("StudyDate", "20191231-20200101", [other.uid]),
        ("StudyDate", "20200102-", [study.uid]),
        ("StudyDate", "-20260105", both),
        ("ModalitiesInStudy", "SR", [study.uid]),
        ("ModalitiesInStudy", "DX", both),
        ("ModalitiesInStudy", "MR,SR", [study.uid]),
        ("00100020", "P2", [other.uid]),
    ):
        found = web.search_for_studies(search_filters={key: value})
        assert [values(one, "0020000D")[0] for one in found] == uids, (key, value)


def test_keys_of_series_and_instances(study: Study, web: DICOMwebClient) -> None:
    report = pydicom.dcmread(study.results["sr"])
    for key, value in (
        ("Modality", "SR"),
        ("SeriesInstanceUID", report.SeriesInstanceUID),
        ("SeriesNumber", "9102"),
    ):
        (found,) = web.search_for_series(search_filters={key: value})
        assert values(found, "0020000E") == [report.SeriesInstanceUID]
        assert values(found, "00100020") == [PATIENT_ID]  # of all studies: said with each
    for key, value in (
        ("SOPInstanceUID", report.SOPInstanceUID),
        ("SOPClassUID", report.SOPClassUID),
        ("Modality", "SR"),
    ):
        (found,) = web.search_for_instances(search_filters={key: value})
        assert values(found, "00080018") == [report.SOPInstanceUID]
    (found,) = web.search_for_instances(study.uid, str(report.SeriesInstanceUID))
    assert values(found, "00080018") == [report.SOPInstanceUID]


def test_each_file_comes_back_byte_for_byte(study: Study, web: DICOMwebClient) -> None:
    for file in (study.file, study.results["sc"], study.results["sr"]):
        head = pydicom.dcmread(file)
        got = web._http_get_multipart_application_dicom(
            f"{web.base_url}/studies/{study.uid}/series/{head.SeriesInstanceUID}"
            f"/instances/{head.SOPInstanceUID}",
            media_types=(("application/dicom", "*"),),
        )
        assert [part.SOPInstanceUID for part in got] == [head.SOPInstanceUID]
    assert len(web.retrieve_study(study.uid)) == 3


def test_the_bytes_are_those_of_the_file(study: Study, site: httpx.Client) -> None:
    accept = {"Accept": "application/dicom; transfer-syntax=*"}
    assert site.get(study.address, headers=accept).content == study.file.read_bytes()
    accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    answer = site.get(f"/dicomweb/studies/{study.uid}", headers=accept)
    for file in (study.file, study.results["sc"], study.results["sr"]):
        assert b"\r\n\r\n" + file.read_bytes() + b"\r\n--" in answer.content


def test_metadata_is_the_header(study: Study, web: DICOMwebClient) -> None:
    (found,) = web.retrieve_series_metadata(*study.uids[:2])
    header = pydicom.dcmread(study.file, stop_before_pixels=True)
    said = pydicom.Dataset.from_json(found, lambda *_: b"")
    for keyword in ("PatientName", "StudyDate", "Rows", "BitsStored", "WindowCenter", "ImageType"):
        assert said[keyword].value == header[keyword].value, keyword
    assert said.SpecificCharacterSet == "ISO_IR 192"
    assert found["7FE00010"]["BulkDataURI"].endswith(f"{study.uids[2]}/bulkdata/7FE00010")
    whole = web.retrieve_study_metadata(study.uid)
    assert [values(one, "00080060")[0] for one in whole] == ["DX", "OT", "SR"]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, JPEGLSLossless])
def test_frames_are_the_pixels(node: Node, client: httpx.Client, syntax: pydicom.uid.UID) -> None:
    web, radiograph = web_of(client), a_phantom()
    pixels = radiograph.pixel_array
    if syntax == JPEGLSLossless:
        radiograph.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        radiograph.PixelData = pixels.astype(">u2").tobytes()
        radiograph.file_meta.TransferSyntaxUID = syntax
        radiograph = pydicom.dcmread(_rewritten(radiograph))
    study = make_study(node, radiograph, has_results=False)
    media = ("application/octet-stream", "1.2.840.10008.1.2.1")
    (frame,) = web.retrieve_instance_frames(*study.uids, frame_numbers=[1], media_types=(media,))
    assert np.array_equal(np.frombuffer(frame, "<u2").reshape(pixels.shape), pixels)
    if syntax == JPEGLSLossless:
        (frame,) = web.retrieve_instance_frames(
            *study.uids, frame_numbers=[1], media_types=(("image/jls", syntax),)
        )
        assert frame == pydicom.encaps.get_frame(radiograph.PixelData, 0)
    whole = web.retrieve_instance(*study.uids, media_types=(("application/dicom", media[1]),))
    assert whole.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(whole.pixel_array, pixels)


def _rewritten(radiograph: Dataset) -> io.BytesIO:
    out = io.BytesIO()
    pydicom.dcmwrite(
        out, radiograph, implicit_vr=False, little_endian=False, enforce_file_format=True
    )
    out.seek(0)
    return out


def test_compressed_frames_come_as_stored_where_any_syntax_will_do(
    node: Node, client: httpx.Client
) -> None:
    radiograph = a_phantom()
    radiograph.compress(JPEGLSLossless, generate_instance_uid=False)
    study = make_study(node, radiograph, has_results=False)
    answer = client.get(f"{study.address}/frames/1", headers={"Accept": AS_STORED})
    assert f"octet-stream; transfer-syntax={JPEGLSLossless}\r\n".encode() in answer.content
    assert pydicom.encaps.get_frame(radiograph.PixelData, 0) in answer.content


def test_what_cannot_be_decoded_can_still_be_had_as_stored(
    node: Node, client: httpx.Client
) -> None:
    radiograph = a_phantom()
    radiograph.compress(JPEGLSLossless, generate_instance_uid=False)
    radiograph.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8 no image \xff\xd9"])
    study = make_study(node, radiograph, has_results=False)
    for path in ("", "/frames/1", "/rendered"):
        assert client.get(f"{study.address}{path}").status_code == 406
    stored = {"Accept": "application/dicom; transfer-syntax=*"}
    assert client.get(study.address, headers=stored).content == study.file.read_bytes()
    frame = client.get(f"{study.address}/frames/1", headers={"Accept": AS_STORED})
    assert b" no image " in frame.content


def test_pictures_for_eyes(study: Study, site: httpx.Client) -> None:
    answer = site.get(f"{study.address}/rendered", headers={"Accept": "image/png"})
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (64, 96))
        whole = np.asarray(image)
    query = {"window": "3000,400,linear", "viewport": "32,32", "quality": "50"}
    answer = site.get(f"{study.address}/rendered", params=query)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size) == ("JPEG", (21, 32))
        assert (np.asarray(image) == 0).mean() > (whole == 0).mean() + 0.3
    page = pydicom.dcmread(study.results["sc"])
    address = f"/dicomweb/studies/{study.uid}/series/{page.SeriesInstanceUID}/instances/"
    answer = site.get(f"{address}{page.SOPInstanceUID}/rendered")
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.mode == "RGB"


def test_a_large_value_by_its_uri(node: Node, client: httpx.Client) -> None:
    table = pydicom.Dataset()
    table.LUTDescriptor = [2000, 0, 16]
    table.add_new("LUTData", "OW", bytes(range(200)) * 20)
    study = make_study(node, a_phantom(VOILUTSequence=[table]), has_results=False)
    (header,) = client.get(f"{study.address}/metadata").json()
    uri = header["00283010"]["Value"][0]["00283006"]["BulkDataURI"]
    answer = client.get(uri, headers={"Accept": "application/octet-stream"})
    assert answer.content == bytes(range(200)) * 20
    assert client.get(f"{uri}/0/00283006").status_code == 404


# --- what is in the store ----------------------------------------------------------------------


def test_a_corrected_resend_replaces_the_first(node: Node, client: httpx.Client) -> None:
    web, study = web_of(client), make_study(node, a_phantom())
    study.radiograph.PatientName = "Corrected^Name"
    again = make_study(node, study.radiograph, has_results=False)
    (found,) = web.search_for_studies()
    assert values(found, "00100010") == [{"Alphabetic": "Corrected^Name"}]
    assert values(found, "00201208") == [3]
    accept = {"Accept": "application/dicom; transfer-syntax=*"}
    assert client.get(study.address, headers=accept).content == again.file.read_bytes()


def test_the_second_form_of_the_report_is_not_shown(study: Study, site: httpx.Client) -> None:
    twin = pydicom.dcmread(study.results["sr-2d"])
    address = f"/dicomweb/studies/{study.uid}/series/{twin.SeriesInstanceUID}"
    assert site.get(address).status_code == 404


def test_what_a_search_says_of_each_kind_is_what_its_file_says() -> None:
    made = {(str(one.Modality), str(one.SeriesDescription)) for one in all_results(is_full=False)}
    assert made == set(KINDS.values())


# --- bounds ------------------------------------------------------------------------------------


def test_a_page_says_that_there_is_more(node: Node, client: httpx.Client) -> None:
    study = make_study(node, a_phantom())
    for _ in range(2):
        make_study(node, a_phantom(), has_results=False)
    seen = []
    for offset in range(3):
        answer = client.get("/dicomweb/studies", params={"limit": 1, "offset": offset})
        assert ("Additional results" in answer.headers.get("warning", "")) == (offset < 2)
        seen += [values(one, "0020000D")[0] for one in answer.json()]
    assert len(set(seen)) == 3
    assert seen[2] == study.uid
    all_at_once = client.get("/dicomweb/instances").json()
    paged = [
        client.get("/dicomweb/instances", params={"limit": 1, "offset": at}).json()[0]
        for at in range(5)
    ]
    assert paged == all_at_once
    assert client.get("/dicomweb/studies", params={"offset": 3}).status_code == 204


def test_what_is_not_done_is_said(study: Study, site: httpx.Client) -> None:
    query = {"fuzzymatching": "true", "OperatorsName": "x", "nonsense": "y"}
    answer = site.get("/dicomweb/studies", params=query)
    assert [values(one, "0020000D")[0] for one in answer.json()] == [study.uid]
    warning = answer.headers["warning"]
    assert '299 /dicomweb "The fuzzymatching parameter is not supported.' in warning
    assert "ignored: OperatorsName" in warning
    assert "nonsense" not in warning


def test_further_attributes(study: Study, site: httpx.Client) -> None:
    def tags(include: str) -> set[str]:
        return set(site.get("/dicomweb/studies", params={"includefield": include}).json()[0])

    assert study.uid
    assert "00180015" not in tags("")
    assert "00180015" in tags("BodyPartExamined,nonsense") & tags("00180015") & tags("all")


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/studies?StudyDate=yesterday", 400),
        ("/studies?StudyInstanceUID=../../etc", 400),
        ("/studies?PatientName=%00", 400),
        ("/studies?PatientName=" + 2000 * "x", 400),
        ("/studies?PatientName=" + 9 * "*x", 400),
        ("/studies?PatientName=%ff%c3%28&PatientName=%5c%25", 204),
        ("/studies?limit=-1", 400),
        ("/studies?limit=1e9", 400),
        (f"/studies?offset={LARGEST_OFFSET + 1}", 400),
        ("/studies?limit=0", 204),
        ("/studies/1.2.x/series", 400),
        ("/studies/1.2.3/series", 204),
        ("/studies/1.2.3", 404),
        ("/studies/1..2", 400),
        (f"/studies/{65 * '1'}", 400),
        ("/studies/%00", 400),
        ("/studies/1.2.3/metadata", 404),
        ("/instances?InstanceNumber=x", 400),
        ("/instances?SeriesNumber=" + 30 * "9", 400),
        ("/nothing", 404),
    ],
)
def test_hostile_addresses(study: Study, site: httpx.Client, path: str, status: int) -> None:
    assert study.uid
    assert site.get(f"/dicomweb{path}").status_code == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/frames/0", 400),
        ("/frames/x", 400),
        ("/frames/1,", 400),
        ("/frames/" + ",".join("1" * 101), 400),
        ("/frames/2", 404),
        ("/rendered?window=a,b,linear", 400),
        ("/rendered?window=nan,inf,linear", 400),
        ("/rendered?window=1,0,linear", 400),
        ("/rendered?window=1,1,cubic", 400),
        ("/rendered?viewport=0,9", 400),
        ("/rendered?viewport=1,2,3,4", 400),
        ("/rendered?quality=0", 400),
        ("/rendered?accept=text/html", 406),
        ("/bulkdata/zzz", 404),
        ("/bulkdata/00100010", 404),
        ("/nothing", 404),
    ],
)
def test_hostile_addresses_of_an_instance(
    study: Study, site: httpx.Client, path: str, status: int
) -> None:
    assert site.get(f"{study.address}{path}").status_code == status


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("", "application/json", 406),
        ("", "text/html, application/dicom; q=0", 406),
        ("", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90", 406),
        ("", 'multipart/related; type="application/dicom+xml"', 406),
        ("", "*/*", 200),
        ("", ';;;,"\\', 406),
        ("", "application/dicom; q=x", 406),
        ("", 5000 * "a", 400),
        ("/metadata", "application/dicom+xml", 406),
        ("/metadata", "application/*;q=0.1", 200),
        ("/frames/1", "application/octet-stream", 406),
        ("/frames/1", "multipart/related; type=image/jp2", 406),
        ("/frames/1", "multipart/related", 200),
        ("/rendered", "image/gif", 406),
        ("/rendered", "image/gif, image/*; q=0.5", 200),
        ("/bulkdata/7FE00010", "image/gif", 406),
    ],
)
def test_what_is_accepted(
    study: Study, site: httpx.Client, path: str, accept: str, status: int
) -> None:
    answer = site.get(f"{study.address}{path}", headers={"Accept": accept})
    assert answer.status_code == status
    if status >= 400:
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.text.count("\n") == 1


def test_a_search_answers_in_json_alone(study: Study, site: httpx.Client) -> None:
    accept = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    assert site.get("/dicomweb/studies", headers=accept).status_code == 406
    assert site.get(f"/dicomweb/studies/{study.uid}/series").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_is_stored_or_deleted(study: Study, site: httpx.Client, method: str) -> None:
    for path in ("/dicomweb/studies", f"/dicomweb/studies/{study.uid}", study.address):
        assert site.request(method, path).status_code in {403, 405}
    assert study.file.is_file()


def test_a_missing_file_is_said(node: Node, client: httpx.Client) -> None:
    study = make_study(node, a_phantom())
    study.file.unlink()
    for path in ("", "/metadata", "/frames/1", "/rendered", "/bulkdata/7FE00010"):
        answer = client.get(f"{study.address}{path}")
        assert answer.status_code == 404
        assert "missing" in answer.text
    rest = client.get(f"/dicomweb/studies/{study.uid}")
    assert (rest.status_code, "1 of 3" in rest.headers["warning"]) == (206, True)
    headers = client.get(f"/dicomweb/studies/{study.uid}/metadata")
    assert len(headers.json()) == 2
    assert "1 of 3" in headers.headers["warning"]


def test_who_took_a_study_is_noted(node: Node, client: httpx.Client) -> None:
    study = make_study(node, a_phantom())
    assert client.get(f"/dicomweb/studies/{study.uid}/metadata").status_code == 200
    assert client.get(f"/dicomweb/studies/{study.uid}").status_code == 200
    with node.database.read() as session:
        [row] = [row for row in audit.entries(session, limit=9) if row.action == "downloaded"]
    assert (row.actor, row.subject) == ("admin", f"study {study.uid}")


def test_a_damaged_file_is_no_failure(node: Node, client: httpx.Client) -> None:
    study = make_study(node, a_phantom(), has_results=False)
    whole = study.file.read_bytes()
    for size in (0, 100, 400, 1200, len(whole) - 100):
        study.file.write_bytes(whole[:size])
        for path in ("", "/metadata", "/frames/1", "/rendered", "/bulkdata/7FE00010"):
            assert client.get(f"{study.address}{path}").status_code in {200, 404, 406}, path
        listed = client.get(f"/dicomweb/studies/{study.uid}/metadata")
        assert listed.status_code in {200, 404}


# --- the privacy switch ------------------------------------------------------------------------


def test_the_privacy_switch_empties_what_identifies(study: Study, site: httpx.Client) -> None:
    paths = ("/dicomweb/studies", "/dicomweb/instances", f"/dicomweb/studies/{study.uid}/metadata")
    for path in paths:
        assert PATIENT_ID in site.get(path).text
        answer = site.get(path, headers=private(site))
        for hidden in (NAME, "nne", PATIENT_ID, ACCESSION):
            assert hidden not in answer.text, path
        assert study.uid in answer.text
        assert json.loads(answer.text)[0]["00100010"] == {"vr": "PN"}


def test_the_privacy_switch_refuses_whole_instances(study: Study, site: httpx.Client) -> None:
    for path in (study.address, f"/dicomweb/studies/{study.uid}"):
        answer = site.get(path, headers=private(site))
        assert answer.status_code == 403
        assert "privacy switch" in answer.text
    assert site.get(f"{study.address}/frames/1", headers=private(site)).status_code == 200


def test_the_privacy_switch_refuses_a_name_in_the_pixels(node: Node, client: httpx.Client) -> None:
    study = make_study(node, a_phantom(BurnedInAnnotation="YES"), has_results=False)
    for path in ("/frames/1", "/rendered", "/bulkdata/7FE00010"):
        assert client.get(f"{study.address}{path}", headers=private(client)).status_code == 403
        assert client.get(f"{study.address}{path}").status_code == 200


def test_it_runs_on_postgresql(postgresql: str, make_node: Any, client_of: Any) -> None:  # noqa: ANN401
    node = make_node(f"database: {{url: '{postgresql}'}}\n")
    client = client_of(node)
    study = make_study(node, a_phantom(StudyDate="20260105"))
    query = {
        "PatientName": "phantom*",
        "StudyDate": "20260101-",
        "ModalitiesInStudy": "SR",
        "AccessionNumber": "acc-7",
    }
    (found,) = client.get("/dicomweb/studies", params=query).json()
    assert values(found, "00201208") == [3]
    assert len(client.get("/dicomweb/series", params={"Modality": "SR,DX"}).json()) == 2
    assert len(client.get(f"/dicomweb/studies/{study.uid}/metadata").json()) == 3
    with node.database.read() as session:
        assert session.query(InstanceRow).count() == 1
    assert client.get("/dicomweb/studies", params={"PatientID": generate_uid()}).status_code == 204
