"""The panel in plain words, with what its numbers of pictures do not allow to say."""

from typing import Any

from artmaster_pipeline.axes import AXIS_WORDS
from artmaster_pipeline.drawing_settings import DrawingSettings

_FEW_WORKS = 10  # below so many held-out works, or prompts, the figures are a hint
_ALIKE = (0.7, 1.3)  # a spread within these shares of the painter's own is as it should be


def summary(panel: dict[str, Any]) -> str:
    """One paragraph: how it was drawn, the hand, consistency, drift, copies, and how far the figures carry."""
    counts = panel["counts"]
    if not panel["axes"]:
        works = counts["held_out_works"]
        said = "No work was" if works == 0 else f"Only {_number(works, 'work')} {'was' if works == 1 else 'were'}"
        sentences = [f"{said} held out of the training, so nobody can say whose hand this is. Add scans of more works."]
    else:
        sentences = [*_hand(panel), _told_apart(panel["told_apart"]), _consistency(panel["consistency"])]
    sentences = [_drawn(panel["drawing"]), *sentences, _subjects(panel["subjects_read"]), _drift(panel["drift"])]
    sentences.append(_copies(panel["memorisation"]))
    few = min(counts["prompts"], counts["held_out_works"])
    if panel["axes"] and few < _FEW_WORKS:
        sentences.append(
            f"With {_number(counts['held_out_works'], 'held-out work')} and {_number(counts['prompts'], 'prompt')}"
            f"{_pictures_of_each(counts)} this is a hint, not a proof."
        )
    return " ".join(sentence for sentence in sentences if sentence)


def _pictures_of_each(counts: dict[str, int]) -> str:
    fewest, left = divmod(counts["pictures"], counts["prompts"])
    if counts["pictures"] == counts["prompts"]:
        return ""
    return f" ({fewest}{f' or {fewest + 1}' if left else ''} pictures of each)"


def excludes_zero(interval: list[float | None]) -> bool:
    """Whether an interval lies wholly above zero."""
    return interval[0] is not None and interval[0] > 0


def _drawn(settings: dict[str, Any]) -> str:
    drawing = DrawingSettings(**settings)
    return f"Drawn with {drawing.in_words()}." if drawing.further() else ""


def _hand(panel: dict[str, Any]) -> list[str]:
    better, level, worse = [], [], []
    for axis, figures in panel["axes"].items():
        low, high = figures["gain_interval"]
        name = AXIS_WORDS[axis]
        share = "" if figures["score"] is None else f" ({_share(figures['score'])})"
        if low is not None and low > 0:
            better.append(name + share)
        elif high is not None and high < 0:
            worse.append(name)
        else:
            level.append(name)
    sentences = []
    if better:
        sentences.append(f"The adapter comes nearer to the held-out works than the base in {_listed(better)}.")
    if level:
        sentences.append(f"In {_listed(level)} no difference from the base can be told.")
    if worse:
        sentences.append(f"In {_listed(worse)} it is farther from them than the base.")
    return sentences


def _share(score: float) -> str:
    if score > 1:
        return "the whole way from the base to the painter's own works"
    return f"{max(0, round(100 * score))} % of the way from the base to the painter's own works"


def _told_apart(areas: dict[str, float | None]) -> str:
    if areas["adapter"] is None or areas["base"] is None:
        return ""
    works = "" if areas["works"] is None else f", of works trained on in {100 * areas['works']:.0f} %"
    return (
        f"Asked which of two pictures is a held-out work, a classifier is right in {100 * areas['adapter']:.0f} % of "
        f"the samples' cases (of the base's in {100 * areas['base']:.0f} %{works}; 50 % is chance)."
    )


def _consistency(figures: dict[str, Any]) -> str:
    ratio = figures["ratio"]
    if ratio < _ALIKE[0]:
        said = "the samples are more alike than the painter's works are: a collapse of variety"
    elif ratio > _ALIKE[1]:
        said = "the samples differ more among each other than the painter's works do: the hand is not steady"
    else:
        said = "the samples differ among each other about as the painter's works do"
    other = figures.get("nearest_other")
    told = ""
    if other is not None:
        nearer = "nearer to" if figures["margin"] > 0 else "no nearer to"
        told = f", and they are {nearer} this painter than to {other}"
    return f"Consistency is {ratio:.2f}: {said}{told}."


def _subjects(figures: dict[str, Any] | None) -> str:
    if figures is None:
        return ""
    return (
        f"The embedded reader finds the subject that was asked for in {100 * figures['adapter']:.0f} % of the samples "
        f"(of the base's pictures in {100 * figures['base']:.0f} %)."
    )


def _drift(figures: dict[str, Any]) -> str:
    if not any(name in figures for name in ("training_like", "far")):
        return ""
    parts = [
        f"{100 * figures[name]['adapter']:.0f} % for {words} (base {100 * figures[name]['base']:.0f} %)"
        for name, words in (("training_like", "prompts like the training's"), ("far", "far prompts"))
        if name in figures
    ]
    return f"Told apart from other prompts, a picture's own prompt fits best in {' and '.join(parts)}; 50 % is chance."


def _copies(figures: dict[str, Any]) -> str:
    if not figures["pictures"]:
        return ""
    if not figures["suspects"]:
        return f"None of {_number(figures['pictures'], 'sample')} looks like a copy of a training work."
    count = figures["suspects"]
    return f"{_number(count, 'sample')} of {figures['pictures']} look{'s' if count == 1 else ''} like a training work."


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' if count != 1 else ''}"
