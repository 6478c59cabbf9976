"""The model card as it is once the adapter was judged: that of its folder, with the figures of the last verdict.

The figures stand in the card's metadata as the hub's `model-index`
(https://huggingface.co/docs/hub/model-cards#evaluation-results), and in words below. The works that judged are on no
hub, so the data set is named by what it is.
"""

from typing import Any

from artmaster_pipeline.adapters.describing import title_of
from artmaster_pipeline.adapters.folder import CARD
from artmaster_pipeline.adapters.model_card import model_card, one_line
from artmaster_pipeline.lineage.exports.subject import Subject
from artmaster_pipeline.records import Verdict


def files(subject: Subject) -> dict[str, str]:
    """README.md."""
    from huggingface_hub import ModelCard, ModelCardData

    adapter = subject.adapter
    text = model_card(subject.home, adapter, subject.snapshot, subject.folder)
    if (verdict := subject.verdict) is None:
        return {CARD: text}
    card = ModelCard(text)
    data = ModelCardData(**card.data.to_dict(), **_measured(subject))
    return {CARD: f"---\n{data.to_yaml()}\n---\n\n{card.text.strip()}\n{_judged(verdict)}"}


def _measured(subject: Subject) -> dict[str, Any]:
    """The figures as the card's metadata has them; none where a person alone has judged."""
    from huggingface_hub import EvalResult

    adapter = subject.adapter
    results = [
        EvalResult(
            task_type="text-to-image",
            dataset_type=f"{adapter.painter}-held-out",
            dataset_name=f"{len(subject.answer.held_out)} works held out of the training",
            metric_type=figure.name,
            metric_name=figure.says,
            metric_value=figure.value,
        )
        for figure in subject.figures
    ]
    return {"model_name": title_of(adapter, subject.painter.name), "eval_results": results} if results else {}


def _judged(verdict: Verdict) -> str:
    by = "a person" if verdict.by == "person" else "its figures"
    found = "Fit to be published" if verdict.publish else "Not fit to be published"
    reasons = "".join(f"- {one_line(reason)}\n" for reason in verdict.reasons)
    return f"\n## Evaluation\n\n{found}, by {by}.\n\n{reasons}".rstrip() + "\n"
