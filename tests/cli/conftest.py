import pytest

from medseg.cli import main
from tests.models.conftest import card, packed, plan, weights  # noqa: F401


@pytest.fixture
def medseg(monkeypatch, capsys):
    """Run the command line in this process; return exit status, output and errors."""
    monkeypatch.setattr(main, "ENVIRONMENT", {})
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main.main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return end.value.code, told.out, told.err

    return run
