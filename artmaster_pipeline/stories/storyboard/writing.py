"""story.yaml and wish.yaml written for a person to go on with: comments beside what may be changed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from artmaster_pipeline.files import write_text
from artmaster_pipeline.stories.records import Story, Wish
from artmaster_pipeline.stories.storyboard.entries import mediums
from artmaster_pipeline.stories.storyboard.prompts import composed
from artmaster_pipeline.story_folders import STORY_FILE, WISH_FILE

_WIDTH = 110
_HEAD = """\
# A storyboard: what is told and what is painted, shot by shot. Change what you like, then: artmaster story check {name}
# What is painted is said in plain English words (setting, static_description, canonical_visual, prompt); what is told
# (title, plot, narration), in English and Chinese. A shot is painted again only where what is painted in it changes.
"""
_OF_PART = {
    "title": "",
    "language": "en or zh: which comes first in the book",
    "wish": "what was asked for",
    "style_contract": "what holds every shot to one hand: painter, or mix: 'A=0.7 B=0.3'; medium: {mediums};\n"
    "# palette ends every prompt; no prompt may hold a forbidden word",
    "eras": "the times that shots are set in",
    "characters": "who recurs: painted in the same words in every shot, or in an era's own (era_variants)",
    "motifs": "things of today, and what they are painted as",
    "shots": "perspective: high (up a mountain from its foot), deep (between mountains), level (across to far ones)\n"
    "# onstage and motifs: ids from above; regions: where they are, as shares of the picture: left, top, right, bottom",
    "authorship": "who wrote it, and what was mended in what he wrote",
}
_OF_WISH = {
    "text": "what the story is of",
    "language": "en or zh",
    "painter": "whose hand; or",
    "mix": "several, as 'A=0.7 B=0.3'",
    "eras": "how many times and cultures",
    "shots": "how many pictures",
    "seed": "another number is another story, and other pictures",
    "medium": "one of {mediums}; empty: what the painter's captions say",
    "author": "template, local, or the URL of an OpenAI-compatible endpoint: only then the wish leaves this machine",
    "model": "of an endpoint: which of its models; of local: a folder or a hub repository",
}


def write_story(folder: Path, story: Story) -> Path:
    """Write story.yaml into a folder; gives its path. `read_story` gives the same storyboard again."""
    write_text(folder / STORY_FILE, story_yaml(story))
    return folder / STORY_FILE


def write_wish(folder: Path, wish: Wish) -> Path:
    """Write wish.yaml into a folder; gives its path."""
    lines = [
        f"{_dumped({name: value}).rstrip()}\n# {_comment(comment)}"
        for (name, value), comment in zip(wish.model_dump(mode="json").items(), _OF_WISH.values(), strict=True)
    ]
    write_text(folder / WISH_FILE, "# A wish for a story. Below each line, what it says.\n" + "\n".join(lines) + "\n")
    return folder / WISH_FILE


def story_yaml(story: Story) -> str:
    """story.yaml's text. A prompt that follows from its shot is not said, but shown as a comment."""
    content = story.model_dump(mode="json", exclude={"shots"})
    parts = [_HEAD.format(name=story.name) + _dumped({"name": content["name"]}).rstrip()]
    for name, comment in _OF_PART.items():
        above = f"\n# {_comment(comment)}\n" if comment else ""
        value = _shots(story) if name == "shots" else _dumped({name: _said(content[name])})
        parts.append(above + value.rstrip())
    return "\n".join(parts) + "\n"


def _shots(story: Story) -> str:
    if not story.shots:
        return "shots: []\n"
    lines = ["shots:"]
    for shot in story.shots:
        prompt = composed(story, shot)
        said = _said(shot.model_dump(mode="json"))
        if shot.prompt == prompt:
            said.pop("prompt", None)
        text = _dumped([said])
        lines += [f"  {line}".rstrip() for line in text.rstrip().splitlines()]
        if shot.prompt in ("", prompt):
            lines.append(f"    # painted: {prompt}")
            lines.append("    # prompt: say it here yourself instead")
    return "\n".join(lines)


def _said(value: Any) -> Any:
    """A part without what says nothing."""
    if isinstance(value, dict):
        said = {name: _said(each) for name, each in value.items()}
        return {name: each for name, each in said.items() if each not in ("", [], {}, False)}
    return [_said(each) for each in value] if isinstance(value, list) else value


def _comment(text: str) -> str:
    return text.format(mediums=", ".join(mediums())) if "{mediums}" in text else text


class _Dumper(yaml.SafeDumper):
    """Lists of words, ids and numbers on one line, as a person writes them."""

    def represent_list(self, data: Iterable[Any]) -> yaml.SequenceNode:
        data = list(data)
        flow = all(isinstance(each, int | float) or (isinstance(each, str) and len(each) < 40) for each in data)
        node: yaml.SequenceNode = self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)
        return node

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(list, _Dumper.represent_list)


def _dumped(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=_WIDTH)
    return text
