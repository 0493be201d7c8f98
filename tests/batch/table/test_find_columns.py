"""Columns are found by the model's names, by those of its training data, by usual words, or as they were said."""

import pytest

from dermedge.batch.table.find_columns import TableColumns, find_columns
from dermedge_runtime import InputRejected, UsageError

FIELDS = ("age", "sex", "site")


def found(columns: list[str], fields: tuple[str, ...] = FIELDS, **more) -> TableColumns:
    return find_columns(columns, fields, table="p.csv", **{"given": {}, "schema": {}, **more})


@pytest.mark.parametrize(
    ("columns", "image", "fields"),
    [
        (["image", "age", "sex", "site"], "image", {"age": "age", "sex": "sex", "site": "site"}),
        (["Sex", " AGE ", "Image-ID"], "Image-ID", {"age": " AGE ", "sex": "Sex"}),
        (
            ["image_id", "dx", "age", "sex", "localization"],
            "image_id",
            {"age": "age", "sex": "sex", "site": "localization"},
        ),
        (
            ["image", "age_approx", "anatom_site_general", "lesion_id", "sex"],
            "image",
            {"age": "age_approx", "sex": "sex", "site": "anatom_site_general"},
        ),
        (["Datei", "Alter", "Geschlecht"], "Datei", {"age": "Alter", "sex": "Geschlecht"}),
        (["filename", "image"], "image", {}),
    ],
)
def test_usual_tables_need_no_words(columns: list[str], image: str, fields: dict[str, str]) -> None:
    assert found(columns) == TableColumns(image, fields, None)


def test_what_the_training_data_called_it_comes_before_usual_words() -> None:
    table = ["photo", "image_file", "region", "body_site"]
    assert found(table, schema={"image": "photo", "site": "region"}).fields == {"site": "region"}
    assert found(table, schema={"image": "photo"}).image == "photo"
    assert found(table).image == "image_file"
    assert found(["image", "REGION"], ("region",)).fields == {"region": "REGION"}


def test_what_was_said_holds() -> None:
    columns = found(["image", "Photo", "Alter", "age"], given={"image": "Photo", "age": "Alter"}, id_column="image")
    assert columns == TableColumns("Photo", {"age": "Alter"}, "image")


@pytest.mark.parametrize(
    ("columns", "more", "error", "words"),
    [
        (
            ["nr", "age"],
            {},
            InputRejected,
            "no column with the names of the pictures; its columns are nr, age. Name it: --columns image=COLUMN",
        ),
        (
            ["image", "age", "Age"],
            {},
            InputRejected,
            "has 2 columns that may be age: age, Age. Say which: --columns age=COLUMN",
        ),
        (["image", "Alter"], {"given": {"age": "alter"}}, InputRejected, "has no column alter; did you mean Alter"),
        (["image", "x"], {"given": {"age": "height"}}, InputRejected, "has no column height; its columns are image, x"),
        (["image"], {"id_column": "pid"}, InputRejected, "has no column pid"),
        (["image", "a", "a"], {"id_column": "a"}, InputRejected, "has the column a twice"),
        (
            ["image"],
            {"given": {"weight": "image"}},
            UsageError,
            "names weight, which is no field of the model: image, age, sex, site",
        ),
    ],
)
def test_what_nobody_can_tell_is_refused(columns: list[str], more: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        found(columns, **more)
