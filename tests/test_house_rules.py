"""The house rules that an import or a long file would break: read from the source, nothing is run."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("monitor", "models", "calibration")
LINES_MAX = 400

CLOCKS_AND_SOCKETS = {"zmq", "socket", "socketserver", "select", "selectors", "asyncio", "ssl", "http", "urllib"} | {
    "time",
    "datetime",
}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for package in PACKAGES for path in sources(package)}
TESTS = {module_of(path): path for path in sources("tests")}


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def imports(path: Path, *, at_start_only: bool = False) -> set[str]:
    """Modules that *path* imports; with *at_start_only* without those inside functions or for type checkers alone."""
    tree = tree_of(path)
    found: set[str] = set()
    for node in _run_at_import(tree) if at_start_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a module comes from"
            assert node.module is not None
            # `from package import name` may name a module.
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        yield child
        yield from _run_at_import(child)


def roots(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def closure(module: str) -> dict[str, set[str]]:
    """Every module of the project that importing *module* runs -> what it imports."""
    found: dict[str, set[str]] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name not in MODULES:
            continue
        found[name] = imports(MODULES[name], at_start_only=True)
        parents = {name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)}
        waiting += [*found[name], *parents]
    return found


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("models", {"calibration", "monitor"}),
        ("calibration", {"models", "monitor", "torch"}),
        ("monitor/wire", CLOCKS_AND_SOCKETS),
    ],
)
def test_a_room_does_not_reach_into_another(package: str, forbidden: set[str]) -> None:
    assert sources(package)
    for path in sources(package):
        assert not roots(imports(path)) & forbidden, path.relative_to(ROOT)


def test_the_side_process_does_not_import_torch() -> None:
    reached = closure("monitor.side")
    assert {"monitor.journal", "monitor.web.app"} <= set(reached), "the closure is really followed"
    heavy = {name for name, imported in reached.items() if roots(imported) & {"torch", "models"}}
    assert heavy == {"monitor.taxonomy.collector"}
    of_models = {name for name in reached if name.startswith("models")}
    assert of_models == {"models", "models.taxonomy", "models.taxonomy.reservoir"}, "which keeps samples, by integers"


def test_no_sink_imports_torch_though_some_are_imported_late() -> None:
    sinks = {module for module in MODULES if module.startswith("monitor.sinks.")}
    assert {"monitor.sinks.mqtt", "monitor.sinks.webhook", "monitor.sinks.command"} <= sinks
    for module in sinks:
        assert not any(roots(imported) & {"torch", "models"} for imported in closure(module).values()), module


def test_the_supervisor_does_not_import_torch() -> None:
    assert not any(roots(imported) & {"torch", "models"} for imported in closure("monitor.service").values())


def test_the_judging_process_does_not_import_torch_where_compiled_loops_score() -> None:
    modules = {name for name in imports(MODULES["monitor.hot"]) if name in MODULES}
    assert {"monitor.judge", "models.scorer"} <= modules, "what it imports late is followed too"
    for module in modules - {"models.torch_pass", "models.cuda"}:
        assert not any("torch" in roots(imported) for imported in closure(module).values()), module


def test_no_process_of_the_daemon_waits_for_parts_of_libraries_that_only_calibration_needs() -> None:
    slow = {"sklearn", "scipy.stats", "scipy.signal", "scipy.optimize", "scipy.sparse", "scipy.linalg", "numba"}
    for process in ("monitor.service", "monitor.side", "monitor.hot"):
        reached = {name: imported for name, imported in closure(process).items() if name.startswith("calibration")}
        assert reached
        found = {name for name, imported in reached.items() for one in imported if one.startswith(tuple(slow))}
        assert found == set(), f"{process}: import scipy and ask it for the part where it is used"


def test_the_taxonomy_is_pure() -> None:
    modules = {name for name in MODULES if name.startswith("models.taxonomy.")}
    assert {"models.taxonomy.tree", "models.taxonomy.identity"} <= modules
    for module in modules:
        for name, imported in closure(module).items():
            assert not roots(imported) & (CLOCKS_AND_SOCKETS | {"torch", "io", "os", "pathlib"}), name


def test_the_closure_knows_what_imports_torch() -> None:
    assert any("torch" in roots(imported) for imported in closure("monitor.calibrate").values())


def test_files_stay_short() -> None:
    lines = {module: len(path.read_text().splitlines()) for module, path in (MODULES | TESTS).items()}
    assert {module: count for module, count in lines.items() if count > LINES_MAX} == {}


def test_nothing_is_unpickled_or_evaluated() -> None:
    unsafe = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    assert {module for module, path in MODULES.items() if roots(imports(path)) & unsafe} == set()
    assert {module for module, path in MODULES.items() if names_called(path) & {"eval", "exec"}} == set()


def names_called(path: Path) -> set[str]:
    calls = (node.func for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))
    return {called.id for called in calls if isinstance(called, ast.Name)}
