"""A model's answer made into a caption: what is depicted stays, how and by whom it was made goes.

The trigger word alone shall stand for the style. So whatever the model was asked, sentences on style, medium or
technique are dropped, and words about the picture as a picture are cut off. The lists hold what such models say; what
is not in them stays.
"""

import re
import unicodedata

_MOST_WORDS = 90  # three long sentences

# --- letters, marks, lists

_MARKS = str.maketrans(
    {"。": ". ", "、": ", ", "，": ", ", "；": "; ", "：": ": ", "！": "! ", "？": "? ", "・": " ", "_": " "}
    | dict.fromkeys("*`#")
    | dict.fromkeys("‘’", "'")
    | dict.fromkeys("“”„「」『』《》〈〉", '"')
    | dict(zip("【】〔〕", "()()", strict=True))
)
_HEADING = re.compile(r"\s*#+\s")
_LIST_ITEM = re.compile(r"^\s*(?:[-*•·–—>]+|\d{1,2}[.)])\s+")
_EMPTY_PAIR = re.compile(r"""\([^\w()]*\)|\[[^\w\[\]]*\]|(?<![\w.,!?])(?:"[\s,.]*"|'[\s,.]*')(?!\w)""")
_AT_A_BRACKET = re.compile(r"(?<=[(\[])[\s,;:–—-]+|[\s,;:–—-]+(?=[)\]])")
_BEFORE_A_MARK = re.compile(r"[\s,;:–—]+(?=[,;:.!?](?:\s|$))")
_MARKS_ALONE = re.compile(r"(?<=[.!?])(?:\s+[.!?]+)+(?=\s|$)")
_EDGES = " ,;:–—-"
_NO_END = "".join(rf"(?<!\b{word}\.)" for word in ("Mt", "St", "Mr", "Mrs", "Dr", "No", "ca"))
_BETWEEN_SENTENCES = re.compile(rf"""(?:(?<=[.!?])|(?<=[.!?]["')\]])){_NO_END}\s+(?![a-z])""")
_FINISHED = re.compile(r"""[.!?]["')\]]*$""")

# --- how an answer begins before it comes to the point: "Caption:", "In this traditional Chinese painting, ..."

_LABEL = re.compile(
    r"(?:(?:sure|certainly|of course|okay)\b[,.!:]+|here(?:'s| is| are)\b[^:.]{0,100}:"
    r"|(?:(?:main|overall|training|image|text|short)\s+)?(?:answer|prompt|caption|description|details?|layout|placement|"
    r"scene|subjects?|setting|season|location|time(?: of day)?|weather|air|atmosphere|light(?:ing)?|colou?rs?|"
    r"foreground|middle ?ground|background)(?:\s*(?:,|and|&|/)\s*[\w ]{2,16})?:)\s*",
    re.IGNORECASE,
)
_PICTURE = (
    r"(?:image|picture|photo|photograph|painting|artwork|work of art|work|piece|print|woodblock|woodcut|illustration|"
    r"drawing|sketch|etching|engraving|watercolou?r|scroll|composition|depiction|rendering|portrayal|canvas|masterpiece)"
)
_NO_PREPOSITION = r"(?!(?:an?|the|of|in|on|at|by|with|to|from|near|beside|under|over|behind|is|are|holding)\b)"
_THIS_PICTURE = (
    rf"(?:(?:this|the|an?)\s+(?:{_NO_PREPOSITION}[\w'-]+,?\s+){{0,6}}?{_PICTURE}\b(?!-)|(?:this|the)\s+scene\b)"
    r"""(?:,?\s+(?:titled|entitled|called|known as)\s+(?:"[^"]*"|[^,."]{1,60}?(?=,|\s+\w+s\s)))?"""
    r"(?:,?\s+by(?:\s+[\w'.-]+){1,4}?)?,?"
)
_VERB = r"(?:depict|show|portray|present|captur|featur|illustrat|represent|display|showcas|render)"
_SHOWS = rf"(?:\w+ly\s+|also\s+)?(?:{_VERB}(?:e?s|ing)|consists\s+of|is\s+of)\b\s*"
_WE_SEE = r"(?:we|you|one)\s+(?:can\s+)?sees?\b\s*"
_LEADS = tuple(
    re.compile(lead, re.IGNORECASE)
    for lead in (
        rf"(?:(?:this|it|here)\s+is\s+)?{_THIS_PICTURE}\s+(?:that\s+|which\s+)?(?:{_SHOWS}|(?:of|with)\b\s*)",
        rf"(?:with)?in\s+{_THIS_PICTURE}\s*(?:{_WE_SEE}|there\s+(?:is|are)\b\s*)?",
        rf"(?:it|this)\s+{_SHOWS}|{_VERB}ing\b\s*|{_WE_SEE}",
        r"(?:rendered|painted|executed|done|drawn|captured|created)\s+(?:in|with|on|using)\b[^,.]*,\s*",
    )
)
_OF_THE_PICTURE = re.compile(
    r"\s*\b(?:of|in|within|across|throughout)\s+(?:the|this)\s+(?:whole\s+|entire\s+)?"
    r"(?:image|picture|painting|artwork|print|composition|canvas|scroll)\b(?!['-])(?:\s+(?:plane|frame|space)\b)?",
    re.IGNORECASE,
)
_ITS = re.compile(
    r"\b(the|this)\s+(?:image|picture|photo(?:graph)?|painting|artwork|print|composition)'s\b", re.IGNORECASE
)
_THE_PICTURE = re.compile(r"\b(the|this)\s+(?:image|picture|photo(?:graph)?)\b(?!['-])", re.IGNORECASE)

# --- what belongs to the trigger: style, medium, technique, the object, what a critic says

_MEDIUM = (
    r"ink(?:s|ed)?|wash(?:es)? of|(?:colou?r|light|soft|pale) wash(?:es)?|pigments?|watercolou?rs?|gouache|tempera|"
    r"oils?(?=[,.]| (?:on|paints?|colou?rs?|paintings?)\b)|acrylics?|pastels(?! and)|pastel (?:drawing|on)|"
    r"charcoal (?:drawing|sketch|on)|etchings?|engravings?|lithograph\w*|wood-?blocks?|woodcuts?|mixed media|"
    r"the medium|on silk|silk (?:scroll|ground|surface|support|background|mount\w*)|"
    r"(?:on|rice|xuan|aged|yellowed|handmade) paper|paper (?:background|surface|ground)|"
    r"canvas(?! (?:sails?|tents?|awnings?|bags?|covers?|roofs?))"
)
_TECHNIQUE = (
    r"brush-?(?:work|strokes?)|brush (?:work|strokes?)|brushed|(?:bold|fine|dry|loose|wet|visible) (?:brush|strokes?)|"
    r"(?:strokes?|dabs?|daubs?) of|impasto|techniques?|printmak\w+|sketch(?:ed|y|es)|render(?:ed|ing|ings)|"
    r"negative space|chiaroscuro|sfumato|(?:atmospheric|linear|aerial) perspective"
)
_MANNER = (
    r"(?<!-)styles?|styli[sz]ed|stylistic(?:ally)?|genres?|aesthetics?|school of|dynasty|\w+ century|"
    r"(?:edo|meiji|song|tang|yuan|ming|qing)[- ](?:period|era)|ukiyo-e|sumi-e|shan ?shui|guohua|xieyi|gongbi|literati|"
    r"(?:post-?|neo-?)?(?:impression|expression|symbol|minimal|modern|cub|fauv|surreal|natural|real|romantic|pointill|"
    r"classic)is(?:ms?|ts?|tic)|baroque|rococo|abstract(?:ed|ion)?"
)
_COLOUR = "(?:red|green|blue|white|black|yellow|brown|gr[ae]y|pink|orange|vermilion)"
_OBJECT = (
    rf"paintings?|(?<!-)painted(?! (?:\w+ )?{_COLOUR}\b)|painters?|painterly|artworks?|arts?|artists?|artistry|"
    r"artistic(?:ally)?|masterpieces?|masterful(?:ly)?|(?:this|the) (?:print|drawing|sketch)|illustrations?|"
    r"(?:line|pencil|chinese|japanese) (?:drawing|art)s?|(?:japanese|art|colou?r|block) prints?|depictions?|"
    r"portrayals?|compositions?|compositional|scrolls?|mounting|mounted (?:as|on silk)|calligraph\w+|seals?|"
    r"inscri\w+|colophons?|signatures?|signed|red stamps?|"
    r"(?:chinese|japanese|kanji|written|vertical|handwritten) (?:characters?|script|text|writing)"
)
_MOOD = r"evok\w+|evocative|reminiscent|moods?|(?:sense|feelings?) of|symboli[sz]\w+|serenity|tranquill?ity"
_STYLE = re.compile(rf"\b(?:{_MEDIUM}|{_TECHNIQUE}|{_MANNER}|{_OBJECT}|{_MOOD})\b(?!-)", re.IGNORECASE)
# ", rendered in soft washes of ink": cut off, so that what stands before it is kept
_ASIDE = re.compile(
    r",\s+(?:all\s+|\w+ly\s+)*(?:rendered|painted|executed|done|drawn|depicted|captured|created|printed|inscribed|signed|"
    r"in\s+(?:the|an?)\s+[\w\s-]*?(?:style|manner|technique)|reminiscent|characteristic|typical|evoking|evocative|"
    r"creating|conveying|suggesting|adding|giving|lending|emphasi[sz]ing|contributing)\b.*?"
    r"""(?=[.!?]?["')\]]*$)""",
    re.IGNORECASE,
)


def plain_description(answer: str) -> str:
    """What an answer says of the things in a picture: one line of at most 90 words; empty where nothing is left.

    Sentences on style, medium or technique are gone; "The image depicts" and its kin are cut off; only Latin letters
    stay; a last sentence that was cut short is gone where another one is there. A plain description is left as it is.
    """
    text = _told_plainly(answer)
    while (again := _told_plainly(text)) != text:
        text = again
    return text


def _told_plainly(answer: str) -> str:
    sentences = [sentence for block in _blocks(answer) for sentence in _BETWEEN_SENTENCES.split(block)]
    kept = [*dict.fromkeys(filter(None, map(_plain_sentence, sentences)))]  # a model may say a sentence again and again
    if len(kept) > 1 and not _FINISHED.search(kept[-1]):
        kept.pop()
    return _shortened(kept)


def _blocks(answer: str) -> list[str]:
    """The paragraphs, list items and labelled lines of an answer, in Latin letters, each but the last with an end."""
    blocks = [""]
    for line in filter(lambda line: not _HEADING.match(line), answer.splitlines()):
        text = _latin(_LIST_ITEM.sub("", line, count=1))
        if not line.strip() or _LIST_ITEM.match(line) or _LABEL.match(text):
            blocks.append("")
        blocks[-1] = f"{blocks[-1]} {text}".strip()
    blocks = [block for block in blocks if block and not block.endswith(":")]  # "Here is a caption of the picture:"
    return [text if _FINISHED.search(text) else f"{text.rstrip(_EDGES)}." for text in blocks[:-1]] + blocks[-1:]


def _latin(line: str) -> str:
    """The line without markdown and other letters than Latin ones, and without their empty brackets."""
    text = unicodedata.normalize("NFKC", line.translate(_MARKS))
    text = "".join(c if c.isprintable() else " " for c in text if not _is_foreign(c))
    text = _AT_A_BRACKET.sub("", _EMPTY_PAIR.sub("", " ".join(text.split())))
    text = _BEFORE_A_MARK.sub("", _MARKS_ALONE.sub("", " ".join(text.split()))).lstrip(_EDGES)
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and text.count('"') == 2
    return text[1:-1].strip(_EDGES) if quoted else text


def _is_foreign(character: str) -> bool:
    """Whether it is a letter of another script, or a mark above or below one that Latin has no letter for."""
    kind = unicodedata.category(character)
    return kind[0] == "M" or (kind[0] == "L" and not unicodedata.name(character, "").startswith("LATIN"))


def _plain_sentence(sentence: str) -> str:
    """The sentence without its way up to the point; empty where it speaks of style or says nothing."""
    text = sentence
    for begin in (_LABEL, *_LEADS, *_LEADS):
        if found := begin.match(text):
            text = text[found.end() :].lstrip(f"{_EDGES}.")
    text = _THE_PICTURE.sub(r"\1 scene", _ITS.sub(r"\1", _OF_THE_PICTURE.sub("", text)))
    if (aside := _ASIDE.search(text)) and _STYLE.search(aside.group()):
        text = text[: aside.start()] + text[aside.end() :]
    text = _BEFORE_A_MARK.sub("", text).strip(_EDGES)
    if _STYLE.search(text) or not any(map(str.isalpha, text)):
        return ""
    return text[0].upper() + text[1:]


def _shortened(sentences: list[str]) -> str:
    """As many whole sentences as the limit allows; of a first one that is too long, what comes before a late comma."""
    text = ""
    for sentence in sentences:
        longer = f"{text} {sentence}".strip()
        if len(longer.split()) > _MOST_WORDS:
            break
        text = longer
    if text or not sentences:
        return text
    cut = " ".join(sentences[0].split()[:_MOST_WORDS])
    comma = cut.rfind(",", len(cut) // 2)
    return f"{(cut[:comma] if comma > 0 else cut).rstrip(_EDGES)}."
