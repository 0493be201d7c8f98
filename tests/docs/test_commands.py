"""Every command of the documentation is one that the parser takes, and every command has its place there."""

import re

import pytest
from docs.option_tables import PAGE, tables_of, with_tables
from docs.pages import PAGES, code_words, commands
from docs.parse_command import check, option_names
from docs.parse_command import commands as all_commands

_CALLS = [(place, words) for page in PAGES for place, words in commands(page)]
_OPTION = re.compile(r"(?:^|(?<=\s))--[a-z][\w-]*")
_OPTIONS_OF_OTHERS = {
    *("--nproc-per-node", "--no-index", "--find-links", "--upgrade", "--only-binary", "--headless"),
    *("--internal", "--network"),
}


@pytest.mark.parametrize(("place", "words"), _CALLS, ids=[place for place, _ in _CALLS])
def test_the_parser_takes_it(place: str, words: list[str]) -> None:
    try:
        check(words)
    except ValueError as error:
        pytest.fail(f"{place}: dermedge {' '.join(words)}: {error}")


def test_there_are_commands_to_check() -> None:
    pages = {place.partition(":")[0] for place, _ in _CALLS}
    assert {"README.md", "docs/getting-started.md", "docs/train.md", "docs/export.md"} <= pages
    assert len(_CALLS) > 40
    assert {words[0] for _, words in _CALLS if words} >= set(all_commands())


@pytest.mark.parametrize("wrong", [["infer", "a.jpg", "--agee", "5"], ["infre"], ["export", "--gpu"]])
def test_a_wrong_command_is_refused(wrong: list[str]) -> None:
    with pytest.raises(ValueError):
        check(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_and_commands_in_the_text_exist(page) -> None:
    known, names = option_names() | _OPTIONS_OF_OTHERS, {*all_commands(), "--help", "--version", "COMMAND"}
    for line, word in code_words(page):
        first, *rest = word.split()
        if first == "dermedge" and rest:
            assert rest[0] in names, f"{page.name}:{line}: {word}"
        assert set(_OPTION.findall(word)) <= known, f"{page.name}:{line}: {word}"


def test_every_command_has_a_table_and_it_is_the_parsers() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert sorted(tables_of(text)) == sorted(all_commands())
    assert text == with_tables(text), "run: python tests/docs/option_tables.py"
