from tests.models.conftest import card, packed, plan, weights  # noqa: F401
