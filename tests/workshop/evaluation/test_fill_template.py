"""Templates: all of them are files of the package, and what they name must be given."""

import pytest
from jinja2 import UndefinedError

from dermedge.evaluation.fill_template import fill


def test_a_value_that_is_not_given_is_an_error():
    with pytest.raises(UndefinedError, match="'protocols' is undefined"):
        fill("comparison.html.jinja", trainings=1)
