"""Every public function has an example that runs."""

import doctest
import inspect
import sys

import pytest

import hf_transfer_score

FUNCTIONS = {
    name: inspect.unwrap(thing)
    for name in hf_transfer_score.__all__
    if inspect.isfunction(thing := getattr(hf_transfer_score, name))
}


def test_the_runs_are_among_them():
    assert {"rank", "verify", "choose", "layers", "board", "load_sample"} <= FUNCTIONS.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_its_example_runs(name, capsys):
    function = FUNCTIONS[name]
    module = sys.modules[function.__module__]
    text = inspect.getdoc(function) or ""
    test = doctest.DocTestParser().get_doctest(text, dict(vars(module)), name, module.__file__, 0)
    assert test.examples, f"{name} has no example"
    failed = doctest.DocTestRunner().run(test).failed
    assert failed == 0, capsys.readouterr().out
