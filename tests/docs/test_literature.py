"""The page on the literature says what the recipes say, and what was measured once there is something."""

from docs.literature_table import PAGE, with_tables

from dermedge.recipes import measured


def test_the_tables_are_those_of_the_recipes() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_tables(text), "run: python tests/docs/literature_table.py"


def test_what_was_measured_is_in_the_table(monkeypatch) -> None:
    from docs import literature_table

    figure = {"mean": 0.71, "low": 0.65, "high": 0.77}
    figures = dict.fromkeys(literature_table._FIGURES, figure) | {"auc": None}
    row = {
        "protocol": measured.PROTOCOL, "seeds": [0], "image_branch": "b", "fusion": "concat", "trunk": "shared",
        "figures": figures, "difference": {"balanced_accuracy": {"value": 0.015, "low": -0.007, "high": 0.037}},
        "int8": {"bytes": 3_400_000}, "latency": {"median_ms": 4.21},
    }  # fmt: skip
    record = {"rows": [{**row, "recipe": ""}, {**row, "recipe": "ou2022", "latency": None, "int8": {"refused": "x"}}]}
    monkeypatch.setattr(literature_table, "measured_record", lambda: record)
    text = with_tables(PAGE.read_text(encoding="utf-8"))
    whole = "0.710 [0.65, 0.77]"
    shown = f"{whole} | +1.5 [-0.7, +3.7] | {whole} | {whole} | - | {whole}"
    assert f"| ours: concat (shared) | - | {shown} | 3.4 MB, 4.2 ms | b, shared |" in text
    assert f"Ou et al. 2022 | balanced accuracy 0.775 | {shown} | refused | b, shared |" in text
