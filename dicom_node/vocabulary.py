"""Every coded concept, unit, coding scheme and UID of ours: the only file with code values.

Concepts that a TID 1500 report always carries and highdicom writes itself (container titles,
tracking, algorithm, observer) are not repeated here. DCM and SCT values are of PS3.16, units of
UCUM, 85151-9 of LOINC.
"""

from __future__ import annotations

import uuid
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID

# --- Names of this device ------------------------------------------------------------------

MANUFACTURER: Final = "Bone Age Node"
"""Manufacturer of every result; the loop guard looks for it."""

MODEL_NAME: Final = "TJ-Net bone age"
ALGORITHM_NAME: Final = "TJ-Net"
IMPLEMENTATION_VERSION_NAME: Final = "BONEAGENODE"
"""At most 16 characters (PS3.7 D.3.3.2)."""

RESEARCH_USE: Final = "Research use only. Not for clinical diagnosis."
"""The marking of every result, in words: SR comment and SC page."""

SR_SERIES_DESCRIPTION: Final = "Bone age report - research use only, not for diagnosis"
SC_SERIES_DESCRIPTION: Final = "Bone age heatmap - research use only, not for diagnosis"
PR_SERIES_DESCRIPTION: Final = "Bone age annotation - research use only, not for diagnosis"
PDF_SERIES_DESCRIPTION: Final = "Bone age page - research use only, not for diagnosis"
MAP_SERIES_DESCRIPTION: Final = "Bone age heatmap values - research use only"
KO_SERIES_DESCRIPTION: Final = "Bone age results that were replaced - rejection note"
"""At most 64 characters (VR LO)."""

REPLACED: Final = "Replaced by a newer result of the same radiograph"
"""Why a rejection note names a result."""

PDF_TITLE: Final = "Bone age report - research use only, not for clinical diagnosis"

# --- UIDs ----------------------------------------------------------------------------------

UID_ROOT: Final = "2.25."
"""UIDs derived from a UUID (PS3.5 B.2): no registered root is needed."""

_NAMESPACE: Final = uuid.UUID("6b2f1c3e-8a5d-5e0b-9c47-2f0d1a7e4b90")
"""Ours alone; a change of it gives every derived UID a new value."""


def derived_uid(*parts: str) -> UID:
    """Return the UID that always belongs to these parts: a UUID version 5 under 2.25."""
    return UID(f"{UID_ROOT}{uuid.uuid5(_NAMESPACE, '/'.join(parts)).int}")


def new_uid() -> UID:
    """Return a UID that never was before: a random UUID under 2.25."""
    return UID(f"{UID_ROOT}{uuid.uuid4().int}")


IMPLEMENTATION_CLASS_UID: Final = derived_uid("implementation")

# --- Coding schemes ------------------------------------------------------------------------

SCHEME: Final = "99BONEAGE"
"""Our private coding scheme (PS3.16 chapter 8: private designators start with 99)."""

SCHEME_IHE: Final = "99IHE"

SCHEMES: Final = (
    (SCHEME, "Concepts of the bone age node", MANUFACTURER),
    (SCHEME_IHE, "Concepts of IHE awaiting a DICOM code", "IHE"),
)
"""Designator, name and responsible organisation of each scheme that PS3.16 does not know."""

# --- Report --------------------------------------------------------------------------------

IMAGING_MEASUREMENT_REPORT: Final = Code("126000", "DCM", "Imaging Measurement Report")
IMAGING_PROCEDURE: Final = Code("363679005", "SCT", "Imaging procedure")
COMMENT: Final = Code("121106", "DCM", "Comment")
DEVICE: Final = Code("121007", "DCM", "Device")
PROCESSING_ALGORITHM: Final = Code("Newcode1", SCHEME_IHE, "Processing Algorithm")
"""Purpose of the algorithm's item in ContributingEquipmentSequence (IHE AI Results)."""
ACQUISITION_EQUIPMENT: Final = Code("109101", "DCM", "Acquisition Equipment")

IMAGE_LIBRARY: Final = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP: Final = Code("126200", "DCM", "Image Library Group")
SOURCE: Final = Code("260753009", "SCT", "Source")
MODALITY: Final = Code("121139", "DCM", "Modality")
ROWS: Final = Code("110910", "DCM", "Pixel Data Rows")
COLUMNS: Final = Code("110911", "DCM", "Pixel Data Columns")
ROW_ORIENTATION: Final = Code("111044", "DCM", "Patient Orientation Row")
COLUMN_ORIENTATION: Final = Code("111043", "DCM", "Patient Orientation Column")
HORIZONTAL_SPACING: Final = Code("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_SPACING: Final = Code("111066", "DCM", "Vertical Pixel Spacing")

MODALITIES: Final = {
    "CR": Code("CR", "DCM", "Computed Radiography"),
    "DX": Code("DX", "DCM", "Digital Radiography"),
    "RG": Code("RG", "DCM", "Radiographic imaging"),
}
"""CID 29, for the modalities that a source can have; any other is named RG."""

# --- Measurement ---------------------------------------------------------------------------

HAND: Final = Code("85562004", "SCT", "Hand")
LATERALITY: Final = {
    "L": Code("7771000", "SCT", "Left"),
    "R": Code("24028007", "SCT", "Right"),
}

BONE_AGE: Final = Code("85151-9", "LN", "XR Bone age")
"""The quantitative term; 37362-1 names a report document."""
GREULICH_PYLE: Final = Code("252956001", "SCT", "Greulich and Pyle bone age assessment")
"""Seen in one mirror of SNOMED CT only; it passed the validators."""
INTERVAL_LOWER: Final = Code("371885007", "SCT", "-, range of lower measurement uncertainty")
INTERVAL_UPPER: Final = Code("371886008", "SCT", "+, range of upper measurement uncertainty")
SUBJECT_AGE: Final = Code("121033", "DCM", "Subject Age")
POPULATION_MEAN: Final = Code("373098007", "SCT", "Mean Value of population")
POPULATION_SD: Final = Code("121414", "DCM", "Standard deviation of population")
Z_SCORE: Final = Code("113071", "DCM", "Z-score")
Z_CONVENTION: Final = Code("ZBRUSHMEAN", SCHEME, "Bone age minus Brush mean, over Brush SD")
"""The other convention measures against chronological age; they differ by up to 0.66 SD."""
GROWTH_VELOCITY: Final = Code("GROWTHVELOCITY", SCHEME, "Years of bone age a year")
VELOCITY_LOWER: Final = Code("VELOCITYLOWER", SCHEME, "Years of bone age a year, lower bound")
VELOCITY_UPPER: Final = Code("VELOCITYUPPER", SCHEME, "Years of bone age a year, upper bound")
BONE_AGE_BY_SEX: Final = {
    "M": Code("BAIFMALE", SCHEME, "Bone age if male"),
    "F": Code("BAIFFEMALE", SCHEME, "Bone age if female"),
}
OUT_OF_RANGE: Final = Code("114009", "DCM", "Value out of range")
"""Numeric value qualifier (CID 42) of a value that the end of the atlas cuts off."""

QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")
NORMALITY: Final = Code("121402", "DCM", "Normality")
DETERMINATION: Final = {
    "normal": Code("17621005", "SCT", "Normal"),
    "advanced": Code("371879000", "SCT", "Abnormally High"),
    "delayed": Code("371880002", "SCT", "Abnormally Low"),
    "indeterminate": Code("371934000", "SCT", "Normality Undetermined"),
}
"""CID 222, Normality Codes."""

SEX_SEEN: Final = Code("SEXSEEN", SCHEME, "Sex predicted from image")
SEX_PROBABILITY: Final = Code("SEXPROBABILITY", SCHEME, "Probability of sex predicted from image")
SEX: Final = {"M": Code("M", "DCM", "Male"), "F": Code("F", "DCM", "Female")}
QUALITY: Final = Code("111050", "DCM", "Quality Assessment")
QUALITY_MET: Final = Code("111237", "DCM", "Usable - Meets the quality control standard")

# --- Secondary capture ---------------------------------------------------------------------

SOURCE_OF_PROCESSING: Final = Code("121322", "DCM", "Source image for image processing operation")
PREDECESSOR: Final = Code("PREDECESSOR", SCHEME, "Result that this one replaces")
"""PS3.16 has predecessors of other kinds only: uncompressed, lossy, temporal."""
VISUAL_EXPLANATION: Final = Code("130401", "DCM", "Visual explanation")

# --- Further objects -----------------------------------------------------------------------

BONE_AGE_DOCUMENT: Final = Code("37362-1", "LN", "XR Bone age")
"""The LOINC term that names a report document, not a quantity: title of the PDF (CID 7020)."""

GRADIENT_CLASS_ACTIVATION: Final = Code("130403", "DCM", "Gradient-weighted class activation")
"""Quantity of the parametric map (CID 7180)."""

REJECTED_FOR_QUALITY: Final = Code("113001", "DCM", "Rejected for Quality Reasons")
REJECTED_FOR_SAFETY: Final = Code("113037", "DCM", "Rejected for Patient Safety Reasons")
REJECTIONS: Final = (REJECTED_FOR_QUALITY, REJECTED_FOR_SAFETY)
"""Titles of a rejection note (CID 7010; IHE RAD, Imaging Object Change Management)."""

# --- Units ---------------------------------------------------------------------------------

MONTH: Final = Code("mo", "UCUM", "month")
YEARS_PER_YEAR: Final = Code("a/a", "UCUM", "year per year")
MILLIMETER: Final = Code("mm", "UCUM", "mm")
PIXELS: Final = Code("{pixels}", "UCUM", "Pixels")
NO_UNITS: Final = Code("1", "UCUM", "no units")


def code_item(code: Code) -> Dataset:
    """Return a code as a sequence item (PS3.3 table 8.8-1), where highdicom does not make it."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def scheme_items() -> list[Dataset]:
    """Return the CodingSchemeIdentificationSequence of every result (PS3.3 C.12.1.1.3)."""
    items = []
    for designator, name, organisation in SCHEMES:
        item = Dataset()
        item.CodingSchemeDesignator = designator
        item.CodingSchemeName = name
        item.CodingSchemeResponsibleOrganization = organisation
        items.append(item)
    return items
