"""The options of `dermedge feedback`."""

from __future__ import annotations

from collections.abc import Sequence

from dermedge.service import SUMMARIES
from dermedge_runtime.commands.command_line import show
from dermedge_runtime.commands.command_parser import CommandParser
from dermedge_runtime.commands.option_types import path
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import UsageError


def parser() -> CommandParser:
    """Define the options."""
    defined = CommandParser("feedback", SUMMARIES["feedback"])
    defined.arguments("FILE", path, fewest=1, most=1, help="What dermedge serve --feedback wrote.")
    defined.option("--truth", path, metavar="TABLE", help="CSV, Excel or Parquet with the true diagnosis of each case.")
    defined.option("--case-column", metavar="COLUMN", help="Its column with the case; by default it is found.")
    defined.option("--truth-column", metavar="COLUMN", help="Its column with the diagnosis; by default it is found.")
    defined.option("--json", path, metavar="FILE", help="Also write all figures to this file.", dest="json_file")
    return defined


def run(arguments: Sequence[str]) -> int:
    """Run `dermedge feedback`.

    :return: the exit code.
    :raises UsageError: there is no --truth, or --json names an input.
    :raises InputRejected: the file or the table cannot be used.
    """
    options = parser().parse(arguments)
    if options is None:
        return 0
    if options.truth is None:
        raise UsageError("feedback needs the true diagnoses: --truth TABLE. See dermedge feedback --help.")
    from dermedge.service.feedback.feedback_file import read_feedback
    from dermedge_runtime.files import refuse_overwriting, write_json

    from .study_figures import study_figures
    from .study_text import study_text
    from .truth_table import read_truth

    [file] = options.file
    if options.json_file is not None:
        refuse_overwriting(options.json_file, (file, options.truth))
    study = read_feedback(file)
    truth = read_truth(options.truth, study, case_column=options.case_column, truth_column=options.truth_column)
    figures = study_figures(study, truth)
    if options.json_file is not None:
        write_json(options.json_file, figures)
    show(study_text(figures, shown(file.name)))
    return 0
