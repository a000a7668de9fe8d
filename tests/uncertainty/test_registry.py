"""Sets by name and by import path; a config executes nothing that it may not."""

import os
import sys
from dataclasses import dataclass

import pytest
from omegaconf import OmegaConf

from torchrl_drigm.config import compose_config
from torchrl_drigm.tabular import FiniteSet
from torchrl_drigm.trainers.builders import make_uncertainty
from torchrl_drigm.uncertainty import (
    Contamination,
    Nominal,
    TotalVariation,
    UncertaintySet,
    find_set,
    make_set,
    named_sets,
)

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


class OfItsOwn(UncertaintySet):
    """A set with a constructor of its own, which a config has nothing to give to."""

    def __init__(self):
        super().__init__()


class TestNames:
    def test_the_package(self):
        assert [find_set(name) for name in ("none", "contamination", "tv")] == [
            Nominal,
            Contamination,
            TotalVariation,
        ]
        assert make_set("tv", rho=0.2) == TotalVariation(0.2)

    def test_unknown(self):
        with pytest.raises(
            ValueError, match=r"'moon' must be one of \[.*'contamination', .*'tv'\]"
        ):
            find_set("moon")

    def test_fields_that_a_set_does_not_have(self):
        with pytest.raises(ValueError, match=r"has no field 'radius': its fields are \['rho', 'wo"):
            make_set("tv", radius=0.1)
        with pytest.raises(
            ValueError, match=r"Nominal \('none'\) has no field 'rho': its fields are \['joint"
        ):
            make_set("none", rho=0.1)

    def test_a_name_that_is_taken(self):
        with pytest.raises(ValueError, match=r"is called name='tv', and so is TotalVariation of"):

            class Another(UncertaintySet):
                name = "tv"

        assert find_set("tv") is TotalVariation

    def test_a_class_that_is_defined_again(self):
        def define():
            @dataclass(frozen=True)
            class Again(UncertaintySet):
                name = "again"

            return Again

        first, second = define(), define()
        assert first is not second and find_set("again") is second

    def test_a_subclass_is_another_set(self):
        class Narrow(TotalVariation):
            pass

        assert Narrow not in named_sets().values() and find_set("tv") is TotalVariation


class TestImportPaths:
    @pytest.fixture
    def module(self, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(tmp_path)
        name = "a_set_of_ones_own"
        (tmp_path / f"{name}.py").write_text(
            "from dataclasses import dataclass\n"
            "from torchrl_drigm.uncertainty import UncertaintySet\n"
            "number = 3\n"
            "@dataclass(frozen=True)\n"
            "class Mine(UncertaintySet):\n"
            "    rho: float = 0.0\n"
            "    def affine(self):\n"
            "        return 1.0, 0.0\n"
        )
        yield name
        sys.modules.pop(name, None)

    def test_a_set_without_a_name(self, module):
        mine = make_set(f"{module}.Mine", rho=0.5)
        assert type(mine).__name__ == "Mine" and mine.rho == 0.5
        assert type(mine) not in named_sets().values()

    def test_nothing_is_imported_where_that_is_not_allowed(self, module):
        with pytest.raises(ValueError, match=f"Import it first: `import {module}`"):
            find_set(f"{module}.Mine", may_import=False)
        assert module not in sys.modules
        __import__(module)
        assert find_set(f"{module}.Mine", may_import=False).__name__ == "Mine"

    def test_nothing_of_a_module_is_executed_by_looking(self):
        """A deprecated name is behind the module's ``__getattr__``, which would warn."""
        with pytest.raises(ValueError, match=r"module 'torchrl_drigm\.tabular' has no 'Uncer"):
            find_set("torchrl_drigm.tabular.UncertaintySet")

    @pytest.mark.parametrize("name", ["no_such_module.Mine", "no_such_module.sub.Mine"])
    def test_no_such_module(self, name):
        with pytest.raises(ValueError, match=r"there is no module 'no_such_module'\. Start"):
            find_set(name)

    def test_a_module_that_cannot_import_something(self, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "lacks_something.py").write_text("import no_such_package\n")
        with pytest.raises(ModuleNotFoundError, match="no_such_package"):
            find_set("lacks_something.Mine")

    @pytest.mark.parametrize("name, has", [("number", "3 as 'number'"), ("Yours", "no 'Yours'")])
    def test_no_set(self, module, name, has):
        message = f"must lead to a subclass of UncertaintySet, and the module '{module}' has {has}"
        with pytest.raises(ValueError, match=message):
            find_set(f"{module}.{name}")

    def test_sets_with_another_constructor_are_not_for_configs(self):
        assert find_set("torchrl_drigm.tabular.FiniteSet") is FiniteSet
        with pytest.raises(ValueError, match="FiniteSet has no field 'kernels': it has no fields"):
            make_set("torchrl_drigm.tabular.FiniteSet", kernels=[])

    def test_in_a_config(self, module):
        cfg = OmegaConf.create({"uncertainty": {"name": f"{module}.Mine", "rho": 0.5}})
        with pytest.raises(ValueError, match="Import it first"):
            make_uncertainty(cfg, may_import=False)
        assert make_uncertainty(cfg) == find_set(f"{module}.Mine")(0.5)

    def test_in_the_config_for_ones_own(self, module):
        name = ["uncertainty=own", f"uncertainty.name={module}.Mine"]
        cfg = compose_config(*name, "uncertainty.rho=0.5")
        assert make_uncertainty(cfg) == find_set(f"{module}.Mine")(0.5)
        with pytest.raises(ValueError, match=r"rho must be a finite number.*, got None"):
            make_uncertainty(compose_config(*name))

    def test_a_set_without_fields_in_the_config_for_ones_own(self):
        cfg = compose_config("uncertainty=own", f"uncertainty.name={__name__}.OfItsOwn")
        assert isinstance(make_uncertainty(cfg), OfItsOwn)
        cfg.uncertainty.joint_with_reward = True
        with pytest.raises(ValueError, match="OfItsOwn has no field 'joint_with_reward'"):
            make_uncertainty(cfg)

    def test_a_set_without_a_size_in_the_config_for_ones_own(self):
        cfg = compose_config("uncertainty=own", "uncertainty.name=none")
        assert make_uncertainty(cfg) == Nominal()


def test_a_set_of_the_package_is_one_file(python, tmp_path):
    """Beside the others, and nothing else changed: names, losses and configs know it."""
    import shutil

    package = tmp_path / "torchrl_drigm"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(os.path.join(ROOT, "torchrl_drigm"), package, ignore=ignored)
    example = os.path.join(ROOT, "docs", "examples", "mean_cvar.py")
    shutil.copy(example, package / "uncertainty" / "mean_cvar.py")
    script = (
        "import warnings\n"
        "warnings.filterwarnings('error', '', DeprecationWarning, 'torchrl_drigm$')\n"
        "import torch, torchrl_drigm\n"
        "from torchrl.objectives.utils import get_value_estimator_entry\n"
        "from torchrl_drigm.objectives.value import worst_case_expectation\n"
        "from torchrl_drigm.uncertainty import MeanCVaR, make_set\n"
        f"assert torchrl_drigm.__file__.startswith({str(tmp_path)!r})\n"
        "assert make_set('mean_cvar', rho=0.5) == MeanCVaR(0.5)\n"
        "assert get_value_estimator_entry('mean_cvar_td0').cls.set_cls is MeanCVaR\n"
        "half = torch.tensor([0.5, 0.5])\n"
        "values = torch.tensor([0.0, 1.0])\n"
        "print(worst_case_expectation(values, half, 0.5, 'mean_cvar').item())\n"
    )
    done = python("-c", script, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == 0.25  # half of the mean 1/2 and of the worst half's 0
