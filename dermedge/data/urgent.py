"""Which classes a doctor must see soon, of runs old and new."""

from __future__ import annotations

from .schema import DataSchema
from .schema_file import load_schema, shipped_schemas


def urgent_classes(schema: DataSchema) -> tuple[str, ...]:
    """Give the codes of the urgent classes; empty where nobody named any.

    A run keeps the schema that it was trained with. Where that is a shipped one from before these named urgent classes,
    those of today's hold.
    """
    if schema.urgent:
        return schema.urgent
    shipped = (load_schema(name) for name in shipped_schemas())
    same = (each for each in shipped if each.name == schema.name and each.classes == schema.classes)
    return next((each.urgent for each in same), ())
