"""The miniature's two tokenizers: each word of the painters' captions is one token, everything else goes in pieces.

CLIP's falls back to bytes, so any Unicode text has its own tokens. T5's falls back to Latin letters and, beyond
them, to its unknown token, as FLUX.1-dev's own T5 does (its stock class has no byte fallback).
"""

import itertools
import re
import string
from collections import Counter
from collections.abc import Iterable
from typing import Any

TEXT_TOKENS = 48  # the longest prompt of T5; CLIP's is FLUX's own 77

# What captions and prompts about pictures say beyond the painters' own vocabulary.
_FIELD = """
a an and above after against among at before behind below beside between by down far for from high in inside into its
left low near no of off on out over right small large tall still the there through to toward under up upon wide with
painting picture print drawing sketch watercolour watercolor oil ink wash brush brushwork stroke strokes paper silk
canvas scroll album leaf fan screen woodblock engraving photograph photo portrait landscape still life seascape
style manner school century dynasty ming qing song yuan impressionist impressionism japanese chinese french european
mountain mountains hill hills peak peaks cliff cliffs rock rocks valley gorge ridge range volcano island islands shore
river stream lake sea ocean wave waves waterfall pond pool bay coast beach bank water snow rain mist fog cloud clouds
sky sun moon star stars wind storm sunrise sunset dawn day dusk night morning noon evening spring summer autumn winter
tree trees pine pines willow maple plum cherry blossom blossoms bamboo reed reeds grass orchid lotus peony flower
flowers fruit forest wood grove garden field fields meadow farm haystack haystacks path road bridge gate wall tower
temple pagoda pavilion hut house houses village town city street inn palace castle church harbour boat boats ship
ships sail fisherman traveller travellers scholar monk woman women man men girl boy child children people figure
figures dancer dancers horse horses ox bird birds goose geese crane cranes fish cat dog
red orange yellow green blue purple violet pink white black grey gray brown gold golden silver vermilion indigo ochre
emerald azurite umber malachite crimson turquoise pale dark bright light soft deep warm cool muted vivid misty snowy
level towering weighted gathered view clear falling drifting quiet empty full half one two three several many old young
"""
_LATIN = "".join(chr(code) for code in (*range(0x20, 0x7F), *range(0xA1, 0x180), *range(0x2010, 0x2027)))


def caption_words(captions: Iterable[str]) -> tuple[str, ...]:
    """The words of `captions`, punctuation apart, sorted."""
    return tuple(sorted({word for caption in captions for word in re.findall(r"[^\W\d_]+", caption)}))


def clip_tokenizer(words: Iterable[str] = ()) -> Any:
    """A CLIPTokenizer that knows the vocabulary and `words` (lower case, as CLIP reads) and every byte."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    split = ByteLevel(add_prefix_space=False).pre_tokenize_str
    spelled = sorted({piece for word in _vocabulary(words) for piece, _ in split(word.lower())})
    letters = sorted(ByteLevel.alphabet())
    merges = _merges(spelled)
    joined = dict.fromkeys(first + second for first, second in merges)  # two pairs may join to the same piece
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters), *joined]
    return CLIPTokenizer(
        vocab={token: number for number, token in enumerate(tokens)}, merges=merges, model_max_length=77
    )


def t5_tokenizer(words: Iterable[str] = ()) -> Any:
    """A T5TokenizerFast that knows the vocabulary and `words`, also at a sentence's beginning, and Latin letters."""
    from transformers import T5TokenizerFast

    known = sorted({form for word in _vocabulary(words) for form in (word, word.lower(), word.capitalize())})
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -6.0)]
    pieces += [("▁" + word, -8.0) for word in known]
    pieces += [(word, -9.0) for word in known if len(word) > 1]  # after a hyphen or a quotation mark
    pieces += [(letter, -12.0) for letter in _LATIN if not letter.isspace()]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=TEXT_TOKENS)


def _vocabulary(words: Iterable[str]) -> set[str]:
    from artmaster_pipeline.sample_painters import FURTHER_SUBJECTS, STYLES, SUBJECTS, imagine

    subjects = (*SUBJECTS, *FURTHER_SUBJECTS)
    scenes = [imagine(seed, style, subjects) for seed in range(400) for style in STYLES]
    said = caption_words(scene.caption(name_style=True) for scene in scenes)
    return {*_FIELD.split(), *string.ascii_lowercase, *said, *words}


def _merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Byte-pair merges (https://arxiv.org/abs/1508.07909) until every word is one piece.

    `tokenizers`' own trainer breaks ties by chance; here the first pair in the alphabet wins.
    """
    split = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges = []
    while pairs := Counter(pair for pieces in split for pair in itertools.pairwise(pieces)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        split = [_merge(pieces, best) for pieces in split]
    return merges


def _merge(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for piece in pieces:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged
