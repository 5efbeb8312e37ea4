from tests.inference.conftest import make_card, make_package, make_plan, package  # noqa: F401
