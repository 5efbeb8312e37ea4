import pytest
from pydantic import ValidationError

from medseg.models import Card, as_markdown, brief


def test_the_brief_says_purpose_warning_source_figures_and_limits(card):
    assert brief(card) == [
        "Outlines nothing, for tests.",
        "Research use only: not a medical device, not for diagnosis or treatment.",
        "Images: MR",
        "Trained on: Made up, 3 cases: Nobody, CC0-1.0",
        "Dice, Anterior 0.876 (95 %: 0.801 to 0.912) (fold 0, 2 cases)",
        "Limit: Fails on everything.",
    ]


def test_the_page_holds_every_part_of_the_card(card):
    page = as_markdown(card, "Tiny 1.0")
    assert page.startswith("# Tiny 1.0\n\nOutlines nothing")
    for part in (
        "not for diagnosis", "Modality: MR", "40 x 50 x 40 mm", "- Made up, 3 cases: Nobody",
        "## Results: fold 0, 2 cases", "| Dice, Anterior | 0.8765 | 0.8011 to 0.9123 |",
        "- Fails on everything.",
        "Training took 12 minutes", "Fold 0 was left out", "epochs: 3",
    ):  # fmt: skip
        assert part in page


def test_a_page_leaves_out_what_is_not_known(card):
    known = {"intended_use", "modality", "training_data"}
    page = as_markdown(Card(**{name: getattr(card, name) for name in known}))
    assert "Training took" not in page
    assert "None" not in page


@pytest.mark.parametrize("field", ["intended_use", "modality", "training_data"])
def test_a_card_without_what_a_user_must_know_is_none(card, field):
    content = card.model_dump()
    del content[field]
    with pytest.raises(ValidationError, match=field):
        Card.model_validate(content)
