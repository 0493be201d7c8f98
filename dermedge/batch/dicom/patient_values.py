"""What a DICOM file says of its patient, as values of the model's clinical fields: age, sex and site of the lesion.

Which field is which is told by its name and by the words of its vocabulary. What the file does not say, or the model
cannot take, is left out, and so is unknown. Nothing else of the patient is read, and no value is ever quoted.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.clinical import CategoricalField, ClinicalSchema, ClinicalValue, NumericField

from .header import items_of, text_of
from .sites import is_site, region_of_body_part, region_of_code, word_for

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_AGE, _SEX, _BIRTH, _STUDY, _CONTENT, _BODY_PART = (
    0x00101010,
    0x00100040,
    0x00100030,
    0x00080020,
    0x00080023,
    0x00180015,
)
_REGIONS, _CODE, _LONG_CODE, _SCHEME = 0x00082218, 0x00080100, 0x00080119, 0x00080102
TAGS = (_AGE, _SEX, _BIRTH, _STUDY, _CONTENT, _BODY_PART, _REGIONS)
"""What has to be read of a file."""

_AGE_NAMES = frozenset({"age", "age approx", "patient age", "age years", "age at imaging"})
_SEX_NAMES = frozenset({"sex", "gender", "patient sex"})
_SITE_NAMES = frozenset(
    {
        *("site", "localization", "localisation", "location", "region", "body site", "body part", "lesion site"),
        *("anatom site", "anatom site general", "anatomic site", "anatomical site"),
    }
)
_YEARS = frozenset({"years", "year", "yr", "yrs", "y", "a", ""})
_IN_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_SEXES = {"M": ("male", "m", "man"), "F": ("female", "f", "woman")}

_log = logging.getLogger(__name__)
_told: set[str] = set()
_telling = threading.Lock()


def patient_values(dataset: Dataset, fields: ClinicalSchema) -> dict[str, ClinicalValue]:
    """Give the values that a file tells, by the model's field.

    The age is that of PatientAge, in years; or else the full years from PatientBirthDate to StudyDate or ContentDate,
    of which only their number leaves this function. The sex is male or female, or unknown. The site is that of the
    first known code of AnatomicRegionSequence, or else of BodyPartExamined; sides and other modifiers are passed over.
    """
    values: dict[str, ClinicalValue] = {}
    for number in fields.numeric:
        if _plain(number.name) in _AGE_NAMES and _plain(number.unit) in _YEARS:
            _put(values, number, _age(dataset), _says_age(dataset))
    for field in fields.categorical:
        name = _plain(field.name)
        if name in _SEX_NAMES:
            _put(values, field, _sex(dataset, field), text_of(dataset, _SEX).upper() in _SEXES)
        elif name in _SITE_NAMES and is_site(field):
            _put(values, field, _site(dataset, field), _says_site(dataset))
    return values


def _put(
    values: dict[str, ClinicalValue], field: NumericField | CategoricalField, value: ClinicalValue, told: bool
) -> None:
    """Take a value that the model can take."""
    if value is not None:
        try:
            field.parse(value)
        except InputRejected:
            value = None
    if value is not None:
        values[field.name] = value
    elif told:
        with _telling:
            once = field.name not in _told
            _told.add(field.name)
        if once:
            _log.warning(
                "A DICOM file tells a value for %s that this model cannot take, so it counts as unknown;"
                " further files are not named.",
                field.name,
            )


def _plain(name: str) -> str:
    return " ".join(re.split(r"[\s_\-]+", name.strip().lower()))


def _says_age(dataset: Dataset) -> bool:
    return bool(text_of(dataset, _AGE) or text_of(dataset, _BIRTH))


def _age(dataset: Dataset) -> float | None:
    match = re.fullmatch(r"(\d{1,3})([YMWD])", text_of(dataset, _AGE).upper())
    if match:
        return round(int(match[1]) * _IN_YEARS[match[2]], 2)
    born = _date(dataset, _BIRTH)
    then = _date(dataset, _STUDY) or _date(dataset, _CONTENT)
    if born is None or then is None or then < born:
        return None
    return float(then.year - born.year - ((then.month, then.day) < (born.month, born.day)))


def _date(dataset: Dataset, tag: int) -> date | None:
    match = re.fullmatch(r"(\d{4})\.?(\d\d)\.?(\d\d)", text_of(dataset, tag))
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def _sex(dataset: Dataset, field: CategoricalField) -> str | None:
    for word in _SEXES.get(text_of(dataset, _SEX).upper(), ()):
        try:
            index = field.parse(word)
        except InputRejected:
            continue
        if index >= 0:
            return field.vocabulary[index]
    return None


def _codes(dataset: Dataset) -> Iterator[tuple[str, str]]:
    for item in items_of(dataset, _REGIONS):
        code = text_of(item, _CODE) or text_of(item, _LONG_CODE)
        if code:
            yield text_of(item, _SCHEME).upper(), code


def _says_site(dataset: Dataset) -> bool:
    return bool(text_of(dataset, _BODY_PART)) or next(_codes(dataset), None) is not None


def _site(dataset: Dataset, field: CategoricalField) -> str | None:
    regions = [region for scheme, code in _codes(dataset) if (region := region_of_code(scheme, code)) is not None]
    regions += [region] if (region := region_of_body_part(text_of(dataset, _BODY_PART))) is not None else []
    return word_for(regions[0], field) if regions else None
