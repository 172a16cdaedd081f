"""Every public function has an example that runs."""

import doctest
import importlib
import inspect
import sys
from pathlib import Path

import pytest

import hf_transfer_score

FUNCTIONS = {
    name: inspect.unwrap(thing)
    for name in hf_transfer_score.__all__
    if inspect.isfunction(thing := getattr(hf_transfer_score, name))
}
PACKAGE = Path(hf_transfer_score.__file__).parent
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8") and "evaluate_modules" not in path.parts
]
"""Modules with examples; those of evaluate modules have tests of their own."""


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


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name, capsys):
    public = {function.__qualname__ for function in FUNCTIONS.values()}
    finder, runner = doctest.DocTestFinder(exclude_empty=True), doctest.DocTestRunner()
    for test in finder.find(importlib.import_module(name)):
        if test.name.rpartition(".")[2] not in public:  # these run above
            runner.run(test)
    assert runner.failures == 0, capsys.readouterr().out
