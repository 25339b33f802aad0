"""The tasks of a developer, each in an environment of its own: ``nox --list``.  The gate, .ci/run, runs them, too."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
TORCH = "torch==2.13.0"  # the other backend of Keras that training steps are written for


def install(session: nox.Session, *what: str) -> None:
    """Install, but into an environment that somebody else made (``nox --no-venv``), where it is there already."""
    if session.venv_backend != "none":
        session.install(*what)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types, the direction of imports, and spelling."""
    install(session, "--editable", ".[dev]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("lint-imports")
    session.run("codespell")


@nox.session
def docs(session: nox.Session) -> None:
    """The prose of the pages, and the site, in build/site; a warning is an error.  nox -s docs -- serve shows it."""
    session.run_install("python", "-m", "pip", "install", "--quiet", "--editable", ".[docs]")  # with --no-venv, too
    pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md", "docs", "models"]
    session.run("proselint", "check", "--config", "docs/proselint.json", *pages)
    session.run("mkdocs", *(session.posargs or ["build", "--strict"]), env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def tests(session: nox.Session) -> None:
    """The suite; arguments after -- go to pytest: nox -s tests -- tests/files -x."""
    install(session, "--editable", ".[dev]")
    session.run("python", "-m", "pytest", *(session.posargs or ["-n", "2"]))


@nox.session(python=PYTHONS, tags=["pythons"])
def pythons(session: nox.Session) -> None:
    """The suite on each Python that is installed here."""
    install(session, "--editable", ".[dev]")
    session.run("python", "-m", "pytest", *(session.posargs or ["-n", "2"]))


@nox.session
def training(session: nox.Session) -> None:
    """Networks in TensorFlow and PyTorch, and far servers: what the suite skips without packages."""
    pip = ("python", "-m", "pip", "install", "--quiet")  # into the environment of --no-venv, too
    session.run_install(*pip, "--editable", ".[dev,tf,mos,servers]")
    session.run_install(*pip, TORCH)
    places = ["tests/lab", "tests/methods/can", "tests/cli/test_train.py", "tests/batch/test_remote.py"]
    places += ["tests/test_examples.py::test_a_tiny_network_is_trained_and_used"]
    session.run("python", "-m", "pytest", "-q", *(session.posargs or ["-n", "2", *places]))


@nox.session
def frameworks(session: nox.Session) -> None:
    """Voice agents, calls and homes, in processes without TensorFlow, beside which aiortc's libraries crash."""
    pip = ("python", "-m", "pip", "install", "--quiet")  # into the environment of --no-venv, too
    session.run_install(*pip, "--editable", ".[dev,pipecat,livekit,aiortc,wyoming]")
    session.run("python", "-m", "pytest", "-q", *(session.posargs or ["-n", "2", "tests/integrations"]))


@nox.session
def oldest(session: nox.Session) -> None:
    """Pipecat in the oldest release that the extra allows."""
    pip = ("python", "-m", "pip", "install", "--quiet")
    session.run_install(*pip, "--editable", ".[dev,pipecat]", "pipecat-ai==1.4.*")
    session.run("python", "-m", "pytest", "-q", *(session.posargs or ["tests/integrations/test_pipecat.py"]))


@nox.session
def kernels(session: nox.Session) -> None:
    """The kernels as plain Python, which shows how much of them the tests reach; the slowest tests are left out."""
    install(session, "--editable", ".[dev]")
    coverage = ["--cov=rtdenoise.kernels", "--cov-report=term:skip-covered", "--cov-fail-under=85"]
    quick = ["-k", "not (twin and 48000) and not every_single"]
    command = ["python", "-m", "pytest", "-q", "-p", "no:xdist", *coverage, *quick, "tests/kernels"]
    session.run(*command, env={"NUMBA_DISABLE_JIT": "1"})


@nox.session
def demo(session: nox.Session) -> None:
    """The README's main job, in a folder of its own."""
    install(session, ".[plots]")
    session.run("rtdenoise", "demo", "--output", session.create_tmp() + "/demo", "--overwrite")


@nox.session
def bench(session: nox.Session) -> None:
    """What this machine holds live; arguments after -- go to rtdenoise bench."""
    install(session, "--editable", ".[plots]")
    session.run("rtdenoise", "bench", *(session.posargs or ["--quick"]))
