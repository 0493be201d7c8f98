"""`dermedge branches`: the image branches by name, with cost, stride, weights and licence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dermedge.require import extras

from .option_values import any_text, option, whole
from .shared_options import OUTPUT_PANEL, AsJson, print_json

if TYPE_CHECKING:
    from dermedge.models.branches.branch_list import BranchRow, Chosen

_Name = Annotated[
    str | None,
    typer.Argument(
        help="A name, or a pattern with * and ?.", show_default=False, **{**any_text("name"), "metavar": "NAME"}
    ),
]
_Size = Annotated[
    int, option(OUTPUT_PANEL, "Height and width, in pixels, that operations are counted at.", **whole(32, 1024))
]
_HEADER = ("name", "library", "parameters", "operations", "stride", "weights", "licence")


def branches(name: _Name = None, image_size: _Size = 224, as_json: AsJson = False) -> None:
    """List the networks that can read the picture: what they cost, where their weights are.

    Parameters and operations (multiply-adds) are of the image branch alone, without classifier and head.

    Examples:
      dermedge branches
      dermedge branches "resnet*" --image-size 160
      dermedge branches "timm:convnext*" --json
    """
    with extras("train"):
        from dermedge.models.branches.branch_list import chosen, rows
    listed = chosen(name)
    found = rows(listed.names, image_size, exact=listed.exact)
    if as_json:
        every = list(found)
        left_out = [each for each in every if isinstance(each, str)]
        record = {
            "image_size": image_size,
            "branches": [each.to_record() for each in every if not isinstance(each, str)],
        }
        print_json({**record, "left_out": left_out, "missing": list(listed.missing), "more": listed.more})
        return
    if listed.exact:
        found = iter(list(found))  # refused before anything is printed
    widths = (max(map(len, (*listed.names, _HEADER[0]))), 11, 10, 10, 6, 11, 0)
    heading = _line(_HEADER, widths)
    typer.echo(f"{heading}\n{'-' * len(heading)}")
    left_out = []
    for each in found:  # line by line: the whole list takes a while
        if isinstance(each, str):
            left_out.append(each)
        else:
            typer.echo(_line(_cells(each), widths))
    typer.echo("".join(f"\n{sentence}" for sentence in _below(listed, left_out, image_size)).lstrip("\n"))


def _line(cells: tuple[str, ...], widths: tuple[int, ...]) -> str:
    right = range(2, 5)
    padded = (
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(padded).rstrip()


def _cells(row: BranchRow) -> tuple[str, ...]:
    operations = "-" if row.operations is None else f"{row.operations / 1e9:.2f} G"
    return (
        *(row.name, row.library, f"{row.parameters / 1e6:.1f} M", operations, _stride(row)),
        *(row.weights, row.licence or "-"),
    )


def _stride(row: BranchRow) -> str:
    from dermedge.models.branches.families import family_of

    return str(row.stride) if family_of(row.name).heatmap else "-"


def _below(listed: Chosen, left_out: list[str], image_size: int) -> list[str]:
    """Say what a reader should know beside the rows."""
    told = [f"Operations: multiply-adds at {image_size} x {image_size} pixels; - where the stride does not divide it."]
    if left_out:
        names = ", ".join(left_out[:8]) + (f" and {len(left_out) - 8} more" if len(left_out) > 8 else "")
        told.append(f"Left out, because they cannot be image branches: {names}. `dermedge branches NAME` says why.")
    for prefix, count in listed.more.items():
        if count:
            told.append(f'{prefix.rstrip(":")} has {count} more: dermedge branches "{prefix}convnext*"')
    return [*told, *listed.missing]
