"""The tasks of a developer, each in an environment of its own: ``nox --list``.  The gate, .ci/run, runs them, too."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
TORCH = "torch==2.13.0"  # the other backend of Keras that training steps are written for

INTERPRETED = [  # tests of streaming and methods that take seconds without the compiler
    *(f"tests/streaming/test_{name}.py" for name in ("blocks", "forms", "windows")),
    *(f"tests/methods/can/test_{name}.py" for name in ("shared", "spec", "wave_spec")),
    "tests/methods/can/test_models.py::test_shipped_models_stream_like_their_weights",
    "tests/methods/can/test_above.py::test_the_attenuation_limit_holds_above_8_khz",
    "tests/methods/can/test_band_end.py::test_the_image_is_what_the_twin_makes",
    "tests/methods/can/test_banded.py::test_the_output_is_that_of_the_twin[banded-16000]",
    "tests/methods/can/test_grid.py::test_lengths_of_usual_rates",
    "tests/methods/can/test_many.py::test_a_shipped_network_serves_many_at_any_rate[8000]",
    "tests/methods/spectral/test_linking.py::test_one_linked_channel_is_the_mono_hop",
    "tests/methods/spectral/test_behaviour.py::test_a_limit_of_0_db_changes_nothing",
    "tests/methods/spectral/test_behaviour.py::test_every_tracker_works_with_every_method[SS-minimum]",
]


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
    session.run_install(*pip, "--editable", ".[dev,tf,mos,rooms,servers]")
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
def interpreted(session: nox.Session) -> None:
    """Kernels, streaming and methods as plain Python: what their tests reach; what takes longest is left out."""
    install(session, "--editable", ".[dev]")
    packages = [f"--cov=rtdenoise.{name}" for name in ("kernels", "streaming", "methods")]
    coverage = [*packages, "--cov-report=term:skip-covered", "--cov-fail-under=85"]
    left_out = ["(twin and 48000)", "every_single", "cut_anywhere", "LiteRT", "(CAN and samples)"]  # LiteRT: not ours
    quick = ["-k", " and ".join(f"not {each}" for each in left_out)]
    command = ["python", "-m", "pytest", "-q", "-p", "no:xdist", *coverage, *quick, "tests/kernels", *INTERPRETED]
    session.run(*command, env={"NUMBA_DISABLE_JIT": "1", "HYPOTHESIS_PROFILE": "few"})


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
