"""A pytest plugin that imports one module with one of its mutants: ``MUTANT=module:number``."""

import importlib.abc
import importlib.machinery
import os
import sys
from itertools import islice
from types import ModuleType
from typing import Any

from tests.mutants.hunt import quick_models
from tests.mutants.mutate import mutants

_module, _, _number = os.environ["MUTANT"].partition(":")


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        chosen = next(islice(mutants(self.get_data(self.path).decode()), int(_number), None))
        exec(compile(chosen.tree, self.path, "exec"), module.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != _module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert spec and spec.origin
        spec.loader = _Loader(name, spec.origin)
        return spec


sys.meta_path.insert(0, _Finder())
quick_models()
