"""config.yaml as one frozen, typed value; an unknown key is an error."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import quote, urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydicom.datadict import tag_for_keyword
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from dicom_node.errors import ConfigError

DEFAULT_FILE = "config.yaml"
ENVIRONMENT_VARIABLE = "DICOM_NODE_CONFIG"
DEFAULT_WEIGHTS = "tjnet-gpu"
"""What ``default`` stands for, as in `models.tjnet.weights`, which needs torch."""

SHIPPED = Path(__file__).parents[1] / "models" / "tjnet" / "weights"
LONGEST_WEIGHTS_NAME = 64
SOCKET_PATH_LIMIT = 100
"""A Unix socket's path may hold 107 bytes; a longer data directory gets a port instead."""


def _ae_title(value: str) -> str:
    """Check an AE title: 1 to 16 characters of the default repertoire (PS3.5 6.2, VR AE)."""
    if not re.fullmatch(r"[\x20-\x5b\x5d-\x7e]{1,16}", value) or not value.strip():
        msg = "an AE title has 1 to 16 ASCII characters, no backslash, and is not blank"
        raise ValueError(msg)
    return value.strip()


def _pattern(value: str) -> str:
    """Check a regular expression."""
    try:
        re.compile(value)
    except re.error as error:
        msg = f"not a regular expression: {error}"
        raise ValueError(msg) from error
    return value


def _keyword(value: str) -> str:
    """Check a DICOM keyword: one that is misspelt would never match anything (PS3.6)."""
    if tag_for_keyword(value) is None:
        msg = "not a DICOM keyword"
        raise ValueError(msg)
    return value


def _procedure_code(value: str) -> str:
    """Check a code: its value and its scheme."""
    if not re.fullmatch(r"[^^]+\^[^^]+", value):
        msg = "a procedure code is written value^scheme, such as 24724-7^LN"
        raise ValueError(msg)
    return value


def _host_name(value: str) -> str:
    """Check a name as a Host header has it: no pattern, no port."""
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\]", value):
        msg = "a name or an address without a port, such as worklist.example.org"
        raise ValueError(msg)
    return value.lower()


def _issuer(value: str) -> str:
    """Check a provider's address: what it says must not be read or altered on its way."""
    parts = urlsplit(value)
    at_home = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if not parts.hostname or parts.query or parts.fragment:
        msg = "not the address of an OpenID provider"
        raise ValueError(msg)
    if parts.scheme != "https" and not (parts.scheme == "http" and at_home):
        msg = "the address of an OpenID provider begins with https://"
        raise ValueError(msg)
    return value


def _weights_name(weights: str) -> str:
    """Return what weights are called: a file's name without its ending."""
    return Path(weights).name.removesuffix(".safetensors")


@cache
def shipped_weights() -> tuple[str, ...]:
    """Return the names of the weights that lie beside the network; torch is not needed for it."""
    return tuple(sorted(_weights_name(file.name) for file in SHIPPED.glob("*.safetensors")))


AETitle = Annotated[str, AfterValidator(_ae_title)]
Pattern = Annotated[str, AfterValidator(_pattern)]
ProcedureCode = Annotated[str, AfterValidator(_procedure_code)]
Keyword = Annotated[str, AfterValidator(_keyword)]
Host = Annotated[str, Field(min_length=1)]
HostName = Annotated[str, AfterValidator(_host_name)]
Issuer = Annotated[str, AfterValidator(_issuer)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
"""At most a day."""


class _Section(BaseModel):
    """A part of the file: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class NodeSection(_Section):
    """The node as an application entity.

    Attributes
    ----------
    ae_title : str
        Our AE title; a call to another one is rejected (called AE title not recognised).
    host : str
        Address to listen on.
    port : int
        TCP port of the listener.
    max_associations : int
        Associations at once, for each listener; one more is rejected as a local limit.
    listeners : int
        Listening processes that share the port.
    """

    ae_title: AETitle = "BONEAGE"
    host: Host = "0.0.0.0"  # noqa: S104 - a modality calls from another machine
    port: Port = 11112
    max_associations: int = Field(default=25, ge=1)
    listeners: int = Field(default=1, ge=1, le=16)


class DatabaseSection(_Section):
    """Where the jobs are kept.

    Attributes
    ----------
    url : str
        ``sqlite`` for a file in the data directory, else a SQLAlchemy URL.
    password_env : str or None
        Name of the environment variable that holds the password.
    """

    url: str = "sqlite"
    password_env: str | None = None


class BrokerSection(_Section):
    """What carries job ids to the workers.

    Attributes
    ----------
    url : str
        ``embedded`` for a Valkey server that ``serve`` starts, else ``redis://…``.
    password_env : str or None
        Name of the environment variable that holds the password.
    """

    url: str = "embedded"
    password_env: str | None = None


class Caller(_Section):
    """A peer that may open an association: its AE title and, if given, its address."""

    ae_title: AETitle
    host: Host | None = None


class Destination(_Section):
    """A storage SCP that results go to.

    Attributes
    ----------
    name : str
        What routes, commands and the worklist call it.
    ae_title, host, port
        The peer.
    timeout_seconds : float
        For connecting, for an answer, and for silence on the network.
    retry_first_seconds, retry_most_seconds : float
        The first pause before trying again; it doubles up to the second.
    retries : int
        How often to try again before the delivery is ``exhausted``.
    rejection_notes : bool
        Send a note that rejects the old results of a re-run (IHE IOCM); the peer must know them.
    """

    name: str = Field(min_length=1, max_length=64)
    ae_title: AETitle
    host: Host
    port: Port
    timeout_seconds: Seconds = 30
    retry_first_seconds: Seconds = 30
    retry_most_seconds: Seconds = 600
    retries: int = Field(default=10, ge=0)
    rejection_notes: bool = False


class Route(_Section):
    """Which results go where; every route that matches adds its destinations.

    Attributes
    ----------
    name : str
        For logs and ``explain``.
    calling_ae_titles : list of str
        Empty: any caller.
    match : dict
        DICOM keyword to a regular expression that must be found in its value, ignoring case.
    accept_secondary_capture : bool
        Assess Secondary Capture images that match, as a film digitiser sends them.
    destinations : list of str
        Names of destinations.
    """

    name: str
    calling_ae_titles: list[AETitle] = []
    match: dict[Keyword, Pattern] = {}
    accept_secondary_capture: bool = False
    destinations: list[str]


class EligibilitySection(_Section):
    """What a header must say before its radiograph is assessed.

    Attributes
    ----------
    hand_pattern : str
        Found, ignoring case, in BodyPartExamined or an anatomic code's meaning, or, where
        the body part is missing or unspecific, in the procedure, study, series or
        protocol text.
    unspecific_body_parts : list of str
        Values of BodyPartExamined that need such a text.
    exclude_pattern : str
        Found in the view or the text: not a radiograph for bone age.
    procedure_codes : list of str
        Codes of a bone age examination, ``value^scheme``, in the procedure or its request: with
        one of them neither body part nor text need name a hand.
    exclude_procedure_codes : list of str
        Codes of examinations that are never assessed.
    ordered_only : bool
        Assess only what was ordered as a bone age: by one of the codes, or ``order_pattern``.
    order_pattern : str
        Found, ignoring case, in the texts of what was ordered as a bone age.
    oldest_years : float
        Above it no bone age is given; the atlas ends at 19 years.
    smallest_side_px : int
        Fewer rows or columns than this are refused.
    largest_side_px : int
        More rows or columns than this are refused: they would fill the memory.
    """

    hand_pattern: Pattern = (
        r"\bhands?\b|\bbone[\s_-]*age\b|\bwrists?\b|hand[\s_-]*wrist|\bhandgelenk|"
        r"knochenalter|skelettalter|\bmains?\b|poignet|[âa]ge osseux|\bmanos?\b|mu[ñn]eca|"
        r"edad [óo]sea|手|骨年齢|骨龄|骨齡|腕|골\s*연령|수부|손"
    )
    unspecific_body_parts: list[str] = ["", "EXTREMITY", "UPPER EXTREMITY", "ARM", "UPPERLIMB"]
    exclude_pattern: Pattern = (
        r"\b(lat|lateral|obl|oblique|ball[\s_-]*catcher|scaphoid|navicular|fracture|trauma|"
        r"cast|gips)\b"
    )
    procedure_codes: list[ProcedureCode] = ["24724-7^LN"]
    exclude_procedure_codes: list[ProcedureCode] = []
    ordered_only: bool = False
    order_pattern: Pattern = (
        r"bone[\s_-]*age|knochenalter|skelettalter|[âa]ge osseux|edad [óo]sea|"
        r"骨年齢|骨龄|骨齡|골\s*연령"
    )
    oldest_years: float = Field(default=20, gt=0)
    smallest_side_px: int = Field(default=256, ge=1)
    largest_side_px: int = Field(default=10_000, ge=1)


class ExaminationSection(_Section):
    """One answer per examination.

    Attributes
    ----------
    quiet_seconds : float
        A study's radiographs wait until nothing more of it has come for so long; then the best
        one of each side is assessed, and the others are rejected as not used. 0: every eligible
        radiograph is assessed at once.
    """

    quiet_seconds: float = Field(default=0, ge=0, le=86_400)


class InferenceSection(_Section):
    """How radiographs are assessed.

    Attributes
    ----------
    device : str
        ``auto``, ``cpu`` or ``cuda[:N]``.
    weights : str
        ``default``, a shipped name, or the path of a safetensors file.
    more_weights : list of str
        Paths of further safetensors files that a re-run may ask for, each by its file's name;
        those that are shipped may be asked for anyway.
    calibration : str or None
        Path of a site's correction, made by ``python -m models calibrate`` for these weights.
    views : int
        Views of each picture that are averaged: 1, 2 or 10.
    workers : int
        Assessing processes.
    threads : int
        CPU threads of each; 0 leaves it to torch.
    """

    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")
    weights: str = "default"
    more_weights: list[str] = []
    calibration: str | None = None
    views: Literal[1, 2, 10] = 1
    workers: int = Field(default=1, ge=0)
    threads: int = Field(default=1, ge=0)

    @property
    def own_weights(self) -> str:
        """Return the name of the weights that assess unless others are asked for."""
        return DEFAULT_WEIGHTS if self.weights == "default" else _weights_name(self.weights)

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the names of all weights that a re-run may ask for, those in force first."""
        more = [_weights_name(path) for path in self.more_weights]
        return tuple(dict.fromkeys([self.own_weights, *more, *shipped_weights()]))

    def weights_of(self, name: str) -> str:
        """Return the file, or the shipped name, that a name of `choices` stands for.

        Raises
        ------
        ConfigError
            If there are no such weights.
        """
        for path in (self.weights, *self.more_weights):
            if _weights_name(path) == name:
                return path
        if name not in self.choices:
            msg = f"no weights are called {name!r}; there are {', '.join(self.choices)}"
            raise ConfigError(msg)
        return name


class ResultsSection(_Section):
    """What goes back to the PACS.

    Attributes
    ----------
    language : str
        Of the report's texts and of the page: English, German, French, Spanish or Korean.
    patient_name : bool
        Whether PatientName, PatientID and StudyDate are drawn on the page, which then says so in
        BurnedInAnnotation.
    answer_refused : bool
        Send a report and a page that say so and why, without a number, of a radiograph that the
        gate refuses; otherwise its job is ``rejected`` and nothing is sent.
    hand_box : bool
        Mark the hand in the report by a box, which some viewers draw over the radiograph; OHIF
        needs it to show the numbers at all.
    presentation_state, encapsulated_pdf, parametric_map : bool
        Send these objects beside the report and the page.
    rejection_title : str
        Why old results are rejected: ``113037``, for patient safety, or ``113001``, for quality.
    """

    language: Literal["en", "de", "fr", "es", "ko"] = "en"
    patient_name: bool = False
    answer_refused: bool = False
    hand_box: bool = True
    presentation_state: bool = False
    encapsulated_pdf: bool = False
    parametric_map: bool = False
    rejection_title: Literal["113037", "113001"] = "113037"


class ArchivePeer(_Section):
    """A query/retrieve SCP that keeps earlier reports of this node.

    Attributes
    ----------
    ae_title, host, port
        The peer; it must know `NodeSection.ae_title` and support C-GET.
    timeout_seconds : float
        For connecting, for an answer, and for silence on the network.
    """

    ae_title: AETitle
    host: Host
    port: Port
    timeout_seconds: float = Field(default=30, gt=0, le=60)


class NamedArchive(ArchivePeer):
    """A query/retrieve SCP that a person may query, and retrieve radiographs from.

    Attributes
    ----------
    name : str
        What commands and the worklist call it.
    retrieve : str
        ``move``: it sends to our listener, which it must know, and must be among the callers;
        ``get``: it sends over the association that we open.
    """

    name: str = Field(min_length=1, max_length=64, pattern=r"^[^/\\]*$")
    retrieve: Literal["move", "get"] = "move"


class HistorySection(_Section):
    """Where earlier results of a patient come from, beside the node's own database.

    Attributes
    ----------
    archive : ArchivePeer or None
        Asked for earlier reports before each assessment; None asks nobody. The file may name
        one of ``archives`` instead.
    """

    archive: ArchivePeer | None = None


class OidcSection(_Section):
    """An OpenID Connect provider that vouches for users of the worklist page.

    Attributes
    ----------
    issuer : str
        Its address, ``https://…``, as it names itself; plain http only on a loopback address.
    client_id : str
        What it calls this application.
    client_secret_env : str or None
        Name of the environment variable that holds the client's secret; None: a public client.
    name_claim : str
        The claim that names the user in events and in the audit.
    role_claim : str
        The claim, a text or a list, that `roles` looks at.
    roles : dict
        A value of that claim to a role; the highest holds, and who has none is refused.
    scopes : list of str
        What is asked for beside ``openid``.
    """

    issuer: Issuer
    client_id: str = Field(min_length=1)
    client_secret_env: str | None = None
    name_claim: str = "preferred_username"
    role_claim: str = "groups"
    roles: dict[str, Literal["viewer", "operator", "admin"]]
    scopes: list[str] = ["profile"]

    @property
    def client_secret(self) -> str | None:
        """Return the client's secret from its environment variable; None for a public client."""
        if self.client_secret_env is None:
            return None
        return _secret(self.client_secret_env, "worklist.oidc.client_secret_env")


VIEWER_FIELDS = ("study_instance_uid", "sop_instance_uid")
"""What the address of a viewer may hold in braces."""


def _viewer_url(value: str) -> str:
    """Check the address of a viewer: a page of the web, or of this very server."""
    fields = re.findall(r"\{(.*?)\}", value)
    if not re.match(r"https?://[^/]|/", value) or set(fields) - set(VIEWER_FIELDS):
        msg = f"begins with http://, https:// or /, with {{{'} and {'.join(VIEWER_FIELDS)}}} inside"
        raise ValueError(msg)
    return value


NoticeEvent = Literal["failed", "undelivered", "destination_down", "disk_low", "drift"]
"""What a webhook may be told of; see `dicom_node.webhooks`."""


class Webhook(_Section):
    """An address that is told when something goes wrong.

    Attributes
    ----------
    url : str
        Where the message is posted.
    on : list of str
        Of what it is told; without it, of everything.
    secret_env : str or None
        Name of the environment variable that holds the secret that messages are signed with.
    """

    url: str = Field(pattern=r"^https?://[^\s/]+(/\S*)?$", max_length=2000)
    on: list[NoticeEvent] = Field(default=list(get_args(NoticeEvent)), min_length=1)
    secret_env: str | None = None


class MonitoringSection(_Section):
    """What the node watches by itself.

    Attributes
    ----------
    echo_seconds : float
        How often the sweeper sends a C-ECHO to each destination; 0: never.
    page_url : str or None
        Under which address people reach the worklist, for links in messages; without it, the one
        that it is served at.
    """

    echo_seconds: float = Field(default=300, ge=0, le=86_400)
    page_url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+(/\S*)?$")


class WorklistSection(_Section):
    """Where the worklist page is served, to whom, and what it takes.

    Attributes
    ----------
    host, port
        Where it listens; beyond this machine only where somebody can log in.
    hosts : list of str
        Names, beside the loopback ones and ``host``, by which browsers may ask for it.
    behind_proxy : bool
        Believe X-Forwarded-Proto, -Host and -For: only where nobody reaches the page without
        passing the proxy that sets them.
    session_hours : float
        A login ends after so long, whatever happens.
    idle_minutes : float
        A login ends when nothing was asked for so long.
    oidc : OidcSection or None
        A provider to log in by, beside the users with passwords.
    viewer_url : str or None
        The address of a viewer of the study; ``{study_instance_uid}`` and ``{sop_instance_uid}``
        are filled in. None: the worklist's own, where it has one.
    upload_megabytes : int
        The largest upload; a zip in it may unpack to four times as much.
    """

    host: Host = "127.0.0.1"
    port: Port = 8000
    hosts: list[HostName] = []
    behind_proxy: bool = False
    session_hours: float = Field(default=12, ge=0.1, le=720)
    idle_minutes: float = Field(default=60, ge=5, le=1440)
    oidc: OidcSection | None = None
    viewer_url: Annotated[str, AfterValidator(_viewer_url)] | None = None
    upload_megabytes: int = Field(default=1000, ge=1, le=1_000_000)


class LogSection(_Section):
    """The log lines kept in files under ``data_directory/log``, beside standard error.

    Attributes
    ----------
    file : bool
        Whether they are.
    megabytes : int
        A file that is so large is put aside and another one begun.
    files : int
        So many are kept of each part of the node.
    """

    file: bool = True
    megabytes: int = Field(default=10, ge=1, le=1000)
    files: int = Field(default=5, ge=2, le=1000)


class LeaseSection(_Section):
    """How soon the work of a dead process goes on.

    Attributes
    ----------
    lease_seconds : float
        A claim not renewed for so long is given to another.
    sweep_seconds : float
        How often the sweeper looks.
    attempts : int
        A job whose worker died so often is failed instead of tried again.
    """

    lease_seconds: float = Field(default=45, gt=0, le=60)
    sweep_seconds: float = Field(default=15, gt=0, le=60)
    attempts: int = Field(default=3, ge=1)


class StorageSection(_Section):
    """The files in the data directory.

    Attributes
    ----------
    reserve_megabytes : int
        With less free space than this a C-STORE is answered 0xA700; nothing is deleted.
    """

    reserve_megabytes: int = Field(default=500, ge=0)


class Config(_Section):
    """The whole of config.yaml."""

    node: NodeSection = NodeSection()
    data_directory: Path = Field(default=Path("var"), strict=False)
    database: DatabaseSection = DatabaseSection()
    broker: BrokerSection = BrokerSection()
    callers: list[Caller] = []
    accept_unknown_callers: bool = False
    destinations: list[Destination] = []
    routes: list[Route] = []
    archives: list[NamedArchive] = []
    eligibility: EligibilitySection = EligibilitySection()
    examination: ExaminationSection = ExaminationSection()
    inference: InferenceSection = InferenceSection()
    results: ResultsSection = ResultsSection()
    history: HistorySection = HistorySection()
    worklist: WorklistSection = WorklistSection()
    log: LogSection = LogSection()
    monitoring: MonitoringSection = MonitoringSection()
    webhooks: list[Webhook] = []
    storage: StorageSection = StorageSection()
    leases: LeaseSection = LeaseSection()

    @model_validator(mode="before")
    @classmethod
    def _history_by_name(cls, values: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        """Put in the place of a name in ``history.archive`` the archive that it names."""
        history = values.get("history") if isinstance(values, dict) else None
        if not isinstance(history, dict) or not isinstance(history.get("archive"), str):
            return values
        name = history["archive"]
        archives = values.get("archives")
        for archive in archives if isinstance(archives, list) else []:
            if isinstance(archive, dict) and archive.get("name") == name:
                peer = {key: archive[key] for key in ArchivePeer.model_fields if key in archive}
                return {**values, "history": {**history, "archive": peer}}
        msg = f"history.archive: names no archive of this file: {name!r}"
        raise ValueError(msg)

    @model_validator(mode="after")
    def _names_agree(self) -> Config:
        """Check that peers are named once, and that only those are named elsewhere."""
        names = [destination.name for destination in self.destinations]
        archives = [archive.name for archive in self.archives]
        for key, given in (("destinations", names), ("archives", archives)):
            twice = sorted({name for name in given if given.count(name) > 1})
            if twice:
                msg = f"{key}: the name {twice[0]!r} stands twice"
                raise ValueError(msg)
        for route in self.routes:
            unknown = sorted(set(route.destinations) - set(names))
            if unknown:
                msg = f"routes: {route.name!r} names no destination of this file: {unknown[0]!r}"
                raise ValueError(msg)
        return self

    def destination(self, name: str) -> Destination:
        """Return a destination by name.

        Raises
        ------
        ConfigError
            If there is none of that name.
        """
        for destination in self.destinations:
            if destination.name == name:
                return destination
        msg = f"destinations: none is named {name!r}"
        raise ConfigError(msg)

    def archive(self, name: str) -> NamedArchive:
        """Return an archive by name.

        Raises
        ------
        ConfigError
            If there is none of that name.
        """
        for archive in self.archives:
            if archive.name == name:
                return archive
        msg = f"archives: none is named {name!r}"
        raise ConfigError(msg)

    @property
    def log_folder(self) -> Path:
        """Return where the log lines are kept."""
        return self.data_directory / "log"

    @property
    def database_url(self) -> str:
        """Return the SQLAlchemy URL, the password filled in from its environment variable."""
        if self.database.url == "sqlite":
            return f"sqlite:///{self.data_directory / 'node.db'}"
        url = make_url(self.database.url)
        if self.database.password_env:
            url = url.set(password=_secret(self.database.password_env, "database.password_env"))
        return url.render_as_string(hide_password=False)

    @property
    def broker_url(self) -> str:
        """Return the broker's URL as Celery takes it; the embedded one is a Unix socket."""
        if self.broker.url == "embedded":
            return f"redis+socket://{self.broker_socket}"
        if self.broker.password_env:
            secret = _secret(self.broker.password_env, "broker.password_env")
            parts = urlsplit(self.broker.url)
            user, _, host = parts.netloc.rpartition("@")
            netloc = f"{user.partition(':')[0]}:{quote(secret, safe='')}@{host}"
            return parts._replace(netloc=netloc).geturl()
        return self.broker.url

    @property
    def page_url(self) -> str:
        """Return where people find the worklist, without a slash at its end."""
        served = f"http://{self.worklist.host}:{self.worklist.port}"
        return (self.monitoring.page_url or served).rstrip("/")

    @property
    def broker_socket(self) -> Path:
        """Return where the embedded broker listens: a folder that only we can enter."""
        return self.data_directory / "broker" / "valkey.sock"


def webhook_secret(webhook: Webhook) -> str | None:
    """Return what messages to a webhook are signed with; None where they are not.

    Raises
    ------
    ConfigError
        If the environment variable is not set.
    """
    return _secret(webhook.secret_env, "webhooks.secret_env") if webhook.secret_env else None


def _secret(variable: str, key: str) -> str:
    """Return a secret from the environment."""
    value = os.environ.get(variable)
    if not value:
        msg = f"{key}: the environment variable {variable} is not set"
        raise ConfigError(msg)
    return value


def config_path(given: Path | None) -> Path:
    """Return the file to read: the one given, else the environment's, else config.yaml."""
    return given or Path(os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_FILE)


MERGE_TAG = "tag:yaml.org,2002:merge"
BOOL_TAG, STR_TAG = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:str"


class _Loader(yaml.SafeLoader):
    """YAML without two of its silent rules.

    Of two equal keys the last one holds; and the key ``on``, which a webhook has, is no word but
    the truth value true (YAML 1.1, type bool).
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; a key that stands twice is an error."""
        for key, _ in node.value:
            if key.tag == BOOL_TAG:
                key.tag = STR_TAG
        plain = [key for key, _ in node.value if key.tag != MERGE_TAG]
        keys = [self.construct_object(key, deep=True) for key in plain]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            msg = f"the key {twice[0]!r} stands twice"
            raise yaml.constructor.ConstructorError(None, None, msg, node.start_mark)
        return super().construct_mapping(node, deep=deep)


def parse(text: str) -> Any:  # noqa: ANN401 - YAML
    """Return what the text of a configuration file says, unchecked.

    Raises
    ------
    ValueError, RecursionError, yaml.YAMLError
        If it is not YAML.
    """
    return yaml.load(text, _Loader)  # noqa: S506 - a safe loader


def load_config(path: Path) -> Config:
    """Read and check a configuration file.

    Raises
    ------
    ConfigError
        If the file cannot be read, is not YAML, or holds an unknown key, a wrong type or a
        value out of range; the text names the key and the reason.
    """
    try:
        values = parse(path.read_text(encoding="utf-8"))
    # ValueError: not UTF-8, or a date or number that YAML reads and Python has not.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        msg = f"{path}: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        msg = f"{path}: not a mapping of keys"
        raise ConfigError(msg)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explained(path, error)) from error
    return _placed(config, path)


def _placed(config: Config, path: Path) -> Config:
    """Take relative paths as relative to the configuration file, and check what they name."""
    folder = path.resolve().parent
    directory = (folder / config.data_directory).resolve()
    there = next(place for place in (directory, *directory.parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        msg = f"{path}: data_directory: not a folder that can be written to: {there}"
        raise ConfigError(msg)
    config = config.model_copy(
        update={
            "data_directory": directory,
            "inference": _placed_inference(config.inference, path),
            "database": _placed_database(config.database, folder),
        }
    )
    _check_urls(config)
    return config


def _placed_database(database: DatabaseSection, folder: Path) -> DatabaseSection:
    """Take the path in a SQLite URL as relative to the configuration file."""
    if not database.url.startswith("sqlite:///"):
        return database
    file = folder / database.url.removeprefix("sqlite:///")
    return database.model_copy(update={"url": f"sqlite:///{file}"})


def _placed_inference(inference: InferenceSection, path: Path) -> InferenceSection:
    """Take the paths of weights and calibration as relative to the configuration file."""
    files = {}
    if inference.weights.endswith(".safetensors"):
        files["weights"] = inference.weights
    if inference.calibration is not None:
        files["calibration"] = inference.calibration
    placed: dict[str, Any] = {
        key: _placed_file(file, f"inference.{key}", path) for key, file in files.items()
    }
    key = "inference.more_weights"
    placed["more_weights"] = [_placed_file(file, key, path) for file in inference.more_weights]
    _check_names_of_weights(inference, path)
    return inference.model_copy(update=placed)


def _check_names_of_weights(inference: InferenceSection, path: Path) -> None:
    """Check that every choice of weights has a name of its own, which the database can hold."""
    more = [_weights_name(file) for file in inference.more_weights]
    taken = {inference.own_weights, *shipped_weights()}
    for index, name in enumerate(more):
        if name in taken or name in more[:index]:
            msg = f"{path}: inference.more_weights: other weights are called {name!r} already"
            raise ConfigError(msg)
        if len(name) > LONGEST_WEIGHTS_NAME:
            msg = f"{path}: inference.more_weights: a name of more than 64 characters: {name!r}"
            raise ConfigError(msg)


def _placed_file(file: str, key: str, path: Path) -> str:
    """Return the absolute path of a file that the configuration names."""
    placed = (path.resolve().parent / file).resolve()
    if not placed.is_file():
        msg = f"{path}: {key}: no such file: {placed}"
        raise ConfigError(msg)
    return str(placed)


def _check_urls(config: Config) -> None:
    """Check what pydantic cannot: the URLs, and that a socket's path fits."""
    _check_database_url(config)
    _check_broker_url(config)
    for webhook in config.webhooks:
        webhook_secret(webhook)
    if config.broker.url == "embedded" and len(str(config.broker_socket)) > SOCKET_PATH_LIMIT:
        msg = (
            f"data_directory: its path is too long for the embedded broker's socket "
            f"({len(str(config.broker_socket))} characters, at most {SOCKET_PATH_LIMIT}); "
            "choose a shorter one or name a broker.url"
        )
        raise ConfigError(msg)


def _check_database_url(config: Config) -> None:
    """Check that the database is one that all processes can share, by a driver that is here."""
    try:
        url = make_url(config.database_url)
    except (ArgumentError, ValueError):  # from None: their text repeats the URL
        msg = "database.url: not a database URL"
        raise ConfigError(msg) from None
    if url.drivername not in {"sqlite", "postgresql+psycopg"}:
        msg = f"database.url: {url.drivername} is not supported; use sqlite or postgresql+psycopg"
        raise ConfigError(msg)
    if not url.database or ":memory:" in url.database:
        msg = "database.url: names no database, or one that its processes cannot share"
        raise ConfigError(msg)


def _check_broker_url(config: Config) -> None:
    """Check the form of the broker's URL."""
    try:
        parts = urlsplit(config.broker_url)
        good = parts.scheme in {"redis", "rediss", "redis+socket"} and parts.port != 0
    except ValueError:  # a port that is no number
        good = False
    if not good:
        msg = "broker.url: neither 'embedded' nor redis://host:port/number"
        raise ConfigError(msg)


def _explained(path: Path, error: ValidationError) -> str:
    """Return pydantic's findings as lines of key and reason."""
    lines = []
    for finding in error.errors(include_url=False, include_context=False, include_input=False):
        key = ".".join(str(part) for part in finding["loc"]) or "file"
        reason = "unknown key" if finding["type"] == "extra_forbidden" else finding["msg"]
        lines.append(f"{path}: {key}: {reason}")
    return "\n".join(lines)


def hidden_path(url: str) -> str:
    """Return a URL of which only scheme, host and port are seen."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/***"


def describe(config: Config) -> dict[str, Any]:
    """Return the configuration as ``check-config`` shows it, passwords hidden."""
    values = config.model_dump(mode="json")
    url = make_url(config.database_url).difference_update_query(["password"])
    values["database"]["url"] = url.render_as_string(hide_password=True)
    values["broker"]["url"] = re.sub(r"://.*@", "://***@", config.broker_url)
    for webhook in values["webhooks"]:  # chat services put a secret into the path
        webhook["url"] = hidden_path(webhook["url"])
    return values
