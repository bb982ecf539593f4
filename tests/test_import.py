"""`import riskpo` and `--help` stay light, and every room of the package imports only what belongs in it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import riskpo

SRC = Path(riskpo.__file__).parent
HEAVY = ("torch", "transformers", "trl", "accelerate", "datasets", "numpy", "matplotlib")
FILES = sorted(SRC.rglob("*.py"))


def loaded_after(code):
    """Which of the heavy packages a fresh interpreter has loaded after some code."""
    code += f"\nimport sys\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def room(path):
    """A source file's place in the package, e.g. `risk/spectrum.py`."""
    return path.relative_to(SRC).as_posix()


def imports(path):
    """Every module that a file imports, at the top or inside a function; `from x import y` counts as x."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{room(path)} has a relative import, which this test cannot see through"
            yield node.module


def importers(package):
    return {room(path) for path in FILES if any(name.split(".")[0] == package for name in imports(path))}


# --- what loads when ---


@pytest.mark.parametrize(
    "code",
    [
        "import riskpo; riskpo.__version__; dir(riskpo)",
        "from riskpo.cli.main import main\ntry: main(['--help'])\nexcept SystemExit as e: assert e.code == 0",
        "from riskpo.cli.main import main\ntry: main(['train', '--help'])\nexcept SystemExit as e: assert e.code == 0",
        "from riskpo.cli.main import main\ntry: main(['audit', '--help'])\nexcept SystemExit as e: assert e.code == 0",
        "from riskpo.cli.main import main\ntry: main(['report', '--help'])\nexcept SystemExit as e: assert e.code == 0",
        "from riskpo.cli.main import main\ntry: main(['tasks', '--help'])\nexcept SystemExit as e: assert e.code == 0",
        "from riskpo.cli.main import main\nassert main(['tasks']) == 0",
        "from riskpo.cli.main import main\ntry: main(['compare', '-h'])\nexcept SystemExit as e: assert e.code == 0",
        "import riskpo.comparison.cell, riskpo.comparison.runner",
        "from riskpo.cli.main import main\ntry: main(['doctor', '--help'])\nexcept SystemExit as e: assert e.code == 0",
        "from riskpo.cli.main import main\ntry: main(['eval', '--help'])\nexcept SystemExit as e: assert e.code == 0",
        "import riskpo.rewards.math, riskpo.rewards.choice, riskpo.rewards.code, riskpo.rewards.adapters, "
        "riskpo.rewards.battery, riskpo.rewards.shaping",
        "import riskpo.rewards.match, riskpo.tasks.registry, riskpo.models.registry, riskpo.runs.folder",
    ],
)
def test_stays_light(code):
    assert loaded_after(code) == []


def test_the_light_test_can_see_heavy_packages():
    assert "torch" in loaded_after("import riskpo; riskpo.Spectrum")


def test_public_names_resolve():
    for name in riskpo.__all__:
        assert getattr(riskpo, name) is not None
    assert dir(riskpo) == sorted(riskpo.__all__)
    assert riskpo.RiskPOTrainer.__module__ == "riskpo.engines.trl"


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'riskpo' has no attribute 'RiskPOTrainr'"):
        _ = riskpo.RiskPOTrainr
    assert not hasattr(riskpo, "trainer")


# --- who imports whom ---


def test_the_mathematics_imports_torch_only():
    for path in (SRC / "risk").glob("*.py"):
        for name in imports(path):
            own = name.startswith(("riskpo.risk", "riskpo.errors"))
            allowed = own or name.split(".")[0] in {*sys.stdlib_module_names, "torch"}
            assert allowed, f"{room(path)} imports {name}"


def test_rewards_import_no_engine():
    for path in (SRC / "rewards").rglob("*.py"):
        roots = {name.split(".")[0] for name in imports(path)}
        assert not roots & {"torch", "transformers", "trl", "accelerate", "datasets"}, room(path)


def test_who_imports_trl():
    for path in importers("trl"):
        assert path.startswith(("engines/", "runs/", "cli/")) or path == "models/chain_base.py", path
    assert "engines/trl.py" in importers("trl")


def test_who_imports_verl():
    for package in ("verl", "transfer_queue", "omegaconf", "ray"):
        assert importers(package) <= {"engines/verl/trainer.py"}, package
    assert importers("verl") == {"engines/verl/trainer.py"}
    assert importers("wrapt") == {"engines/verl/plugin.py"}


@pytest.mark.parametrize(
    "code",
    [
        "import riskpo\ntry: riskpo.RiskPOTrainer\nexcept ImportError as error: print(error)",
        "from riskpo.cli.main import main\nassert main(['train', 'quickstart']) == 2",
        "from riskpo.cli.main import main\nassert main(['train', '--list-options']) == 2",
        "from riskpo.cli.main import main\nassert main(['doctor', 'config', 'quickstart']) == 2",
    ],
)
def test_without_an_engine_the_extra_is_named(code):
    blocked = f"import sys; sys.modules['trl'] = None\n{code}"
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=True)
    assert 'pip install "riskpo[trl]"' in done.stdout + done.stderr


def private_names():
    """PRIVATE_NAMES as it stands in the source, without importing the engine."""
    tree = ast.parse((SRC / "engines/trl.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "PRIVATE_NAMES":
            return {name for names in ast.literal_eval(node.value).values() for name in names}
    raise AssertionError("engines/trl.py no longer lists PRIVATE_NAMES")


def test_one_file_touches_the_private_names():
    """A class's own attribute of the same name is no offence: only what is reached through another object counts."""
    names = private_names()
    for path in FILES:
        if room(path) == "engines/trl.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in names:
                of_self = isinstance(node.value, ast.Name) and node.value.id == "self"
                assert of_self, f"{room(path)}, line {node.lineno} reaches for {node.attr}"


def test_private_names_are_complete():
    """Every private name that the trainer uses is its own, or is listed and so guarded by the engine's tests."""
    tree = ast.parse((SRC / "engines/trl.py").read_text(encoding="utf-8"))
    trainer = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "RiskPOTrainer")
    used, own = set(), set()
    for node in ast.walk(trainer):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            (own if isinstance(node.ctx, ast.Store) else used).add(node.attr)
        if isinstance(node, ast.FunctionDef):
            calls_super = any(isinstance(n, ast.Name) and n.id == "super" for n in ast.walk(node))
            (used if calls_super else own).add(node.name)
    used = {name for name in used if name.startswith("_") and not name.startswith("__")}
    # `model.config._name_or_path` is TRL's own default for a run's name, and Transformers' attribute.
    assert used - own - private_names() == {"_name_or_path"}
