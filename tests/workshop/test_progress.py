from dermedge.progress import progress


def test_items_pass_through_lazily_and_in_order():
    taken: list[int] = []

    def items():
        for number in range(4):
            taken.append(number)
            yield number

    iterator = iter(progress(items(), "label", total=4))
    assert next(iterator) == 0
    assert len(taken) <= 2
    assert list(iterator) == [1, 2, 3]


def test_nothing_is_written_where_no_terminal_listens(capsys):
    assert sum(progress(range(1000), "label")) == 499_500
    assert capsys.readouterr() == ("", "")
