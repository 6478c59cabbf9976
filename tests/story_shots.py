"""A story as its storyboard has it, put together by hand: three shots, a figure that comes back, one that flies by."""

from typing import Any

from artmaster_pipeline.stories.records import (
    Authorship,
    Character,
    Era,
    Shot,
    ShotDraft,
    ShotRegion,
    Story,
    StyleContract,
    Wish,
    Words,
)

BELOW, ABOVE = (0.1, 0.5, 0.6, 0.95), (0.3, 0.05, 0.8, 0.4)
TRAVELLER, GEESE = "a traveller under tall trees", "geese above reeds"
SHOTS: tuple[dict[str, Any], ...] = (
    {"setting": "layered mountains", "perspective": "high", "onstage": ("traveller",)},
    {"setting": "a village by a river", "perspective": "level", "onstage": ("geese", "traveller")},
    {"setting": "islands in still water", "perspective": "level", "onstage": ()},
)


def a_story(painter: str = "", mix: str = "", name: str = "river", **changed: Any) -> Story:
    """Three shots of one era in a painter's hand, or a mix's."""
    shots = tuple(a_shot(number, **said) for number, said in enumerate(SHOTS, 1))
    parts = {
        "name": name,
        "title": Words(en="The river", zh="河"),
        "language": "en",
        "wish": Wish(text="a journey along a river", painter=painter, mix=mix, seed=5, eras=1, shots=3),
        "eras": (Era(id="song", name=Words(en="Song", zh="宋")),),
        "style_contract": StyleContract(painter=painter, mix=mix, medium="ink", palette=("wet black ink",)),
        "characters": (
            Character(id="traveller", name=Words(en="the traveller", zh="行人"), canonical_visual=TRAVELLER),
            Character(id="geese", name=Words(en="the geese", zh="雁"), canonical_visual=GEESE),
        ),
        "motifs": (),
        "shots": shots,
        "authorship": Authorship(author="template"),
    }
    return Story(**parts | changed)


def a_shot(number: int, setting: str, perspective: Any, onstage: tuple[str, ...]) -> Shot:
    """A shot with a place for everyone on stage."""
    places = {"traveller": BELOW, "geese": ABOVE}
    return Shot(
        id=f"shot-{number}",
        era="song",
        plot=Words(en=f"He comes to {setting}.", zh="他来了。"),
        setting=setting,
        perspective=perspective,
        onstage=onstage,
        static_description="in autumn at dusk",
        narration=Words(en="And on he goes.", zh="他走了。"),
        regions=tuple(ShotRegion(id=who, of=who, box=places[who]) for who in onstage),
        seed=100 + number,
    )


class WritesAnew:
    """An author who sets a shot in another place, and counts how often it was asked."""

    name = "template"

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def revise(self, story: Story, shot: Shot, faults: Any, progress: Any) -> ShotDraft:
        """The shot at a pavilion."""
        self.asked.append((shot.id, tuple(faults)))
        said = shot.model_dump(include=set(ShotDraft.model_fields))
        return ShotDraft.model_validate(said | {"setting": "a pavilion in the mountains", "motifs": ()})
