"""What a title says, in the sample painters' words: the vocabulary of landscape titles in five languages.

Titles of Chinese and Japanese painting name season, hour, weather and motif in set characters (a boat is moored, rain
clears, pines sound), so a table of them translates much of what such a title says of its picture. A later motif in the
table never hides an earlier one: the more specific ones come first.
"""

import re
import unicodedata
from dataclasses import dataclass

from artmaster_pipeline.sample_painters.scenes import SEASONS, TIMES_OF_DAY

# what is said -> characters or words; a character counts anywhere in a title, a word only as a word
_MOTIFS: tuple[tuple[str, str, str], ...] = (
    ("a lady under a parasol", "", "parasol umbrella ombrelle ombrello Sonnenschirm"),
    (
        "a bowl of fruit on a terrace",
        "果 葡萄 荔枝 枇杷",
        "fruit fruits apples grapes pears peaches pommes Obst",
    ),
    (
        "a vase of flowers on a terrace",
        "瓶花 花瓶",
        "bouquet vase chrysanthemums roses peonies sunflowers Blumen fleurs fiori flores",
    ),
    ("geese above reeds", "雁 鸿 鴻 芦 蘆", "geese goose reeds"),
    (
        "a branch with a bird",
        "禽 雀 莺 鶯 鹊 鵲 梅 花鸟 花鳥 海棠 桃花 杏花",
        "bird birds blossom blossoms plum",
    ),
    ("bamboo", "竹", "bamboo"),
    ("a waterfall between cliffs", "瀑 飞泉 飛泉 龙湫 龍湫", "waterfall waterfalls falls cascade Wasserfall cascata"),
    ("a bridge over a stream", "桥 橋", "bridge bridges pont Brücke ponte puente brug"),
    ("a pagoda on a hill", "塔 寺 观 觀 浮图", "pagoda temple temples shrine"),
    (
        "a fishing boat on a lake",
        "舟 船 帆 渔 漁 钓 釣",
        "boat boats fishing fisherman fishermen sailboat sailboats ferry regatta bateau bateaux Boot Boote barca",
    ),
    ("a pavilion in the mountains", "亭 阁 閣 楼 樓 轩 軒 山居 草堂", "pavilion hermitage"),
    (
        "a village by a river",
        "村 庄 莊 江乡",
        "village villages town houses hamlet Dorf maison maisons villaggio pueblo dorp Vétheuil",
    ),
    ("islands in still water", "岛 島 屿 嶼 洲", "island islands lagoon pond lilies lily"),
    ("a pine beside a rock", "松", "pine pines"),
    (
        "a traveller under tall trees",
        "行旅 树 樹 林下 疏林 寒林",
        "road path poplars trees woods wood forest traveller travellers arbres route Wald Weg strada bosque",
    ),
    ("tall clouds over the sea", "海", "sea ocean seascape waves wave coast beach mer See Meer mare mar zee"),
    (
        "layered mountains",
        "山 峰 岭 嶺 峦 巒 岳 嶽 峡 峽 崖 岩 巖 溪山",
        "mountain mountains hills cliffs cliff peaks valley montagne montagnes Gebirge Berge monte montañas bergen",
    ),
)
_SEASONS = {
    "spring": ("春", "spring printemps Frühling primavera lente"),
    "summer": ("夏", "summer été Sommer estate verano zomer"),
    "autumn": ("秋 红叶 紅葉", "autumn fall automne Herbst autunno otoño herfst"),
    "winter": ("冬 雪 寒", "winter snow hiver Winter inverno invierno neige Schnee neve nieve"),
}
_TIMES = {
    "dawn": ("晓 曉 朝 晨", "dawn sunrise morning aube matin Morgen alba"),
    "dusk": ("夕 暮 晚 落照", "dusk sunset evening twilight soir couchant Abend tramonto atardecer"),
    "night": ("夜 月", "night moon moonlight nuit Nacht notte noche"),
}
_WEATHERS = {
    "snow": ("雪", "snow neige Schnee neve nieve"),
    "rain": ("雨", "rain shower pluie Regen pioggia lluvia"),
    "mist": ("雾 霧 烟 煙 云 雲 岚 嵐 霭 靄", "mist fog haze brume brouillard Nebel nebbia niebla"),
    "clear": ("晴 霁 霽", "clear sunny"),
}
# Names of places whose characters would else be taken for what they mean.
_PLACES = {
    "雁荡": "山",
    "雁蕩": "山",
    "雁宕": "山",
    "桂林": "",
    "黄海": "山",
    "黃海": "山",
    "雲南": "",
    "云南": "",
    "上海": "",
}


@dataclass(frozen=True)
class SaidInTitle:
    """What a title says, in the sample painters' words; empty where it says nothing of it."""

    subject: str = ""
    season: str = ""
    time_of_day: str = ""
    weather: str = ""

    def __bool__(self) -> bool:
        return bool(self.subject or self.season or self.time_of_day or self.weather)


def said_in_title(title: str) -> SaidInTitle:
    """What a title of a picture says of it. Rain that has cleared is clear air, as the characters for it say."""
    signs = unicodedata.normalize("NFKC", title)
    for place, meant in _PLACES.items():
        signs = signs.replace(place, meant)
    words = set(re.findall(r"[^\W\d_]+", signs.casefold()))

    def says(told: tuple[str, str]) -> bool:
        by_sign, by_word = told
        return any(sign in signs for sign in by_sign.split()) or not words.isdisjoint(by_word.casefold().split())

    def first(table: dict[str, tuple[str, str]], order: tuple[str, ...]) -> str:
        return next((name for name in order if name in table and says(table[name])), "")

    weather = "clear" if says(_WEATHERS["clear"]) else first(_WEATHERS, ("snow", "rain", "mist"))
    season = first(_SEASONS, SEASONS)
    if weather == "rain" and season == "winter":  # what the base was never shown
        season = ""
    if weather == "snow":
        season = "winter"
    subject = next((name for name, by_sign, by_word in _MOTIFS if says((by_sign, by_word))), "")
    return SaidInTitle(subject, season, first(_TIMES, TIMES_OF_DAY), weather)
