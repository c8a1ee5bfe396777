"""Which language a sentence is in: by its script, and for Latin letters by its small words.

Pure, deterministic, a few microseconds per word. Must always give an answer: where nothing shows,
the default.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

_SCRIPTS: Mapping[str, str] = {
    "HANGUL": "ko",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "CJK": "zh",
    "CYRILLIC": "ru",
    "ARABIC": "ar",
    "DEVANAGARI": "hi",
    "BENGALI": "bn",
    "GURMUKHI": "pa",
    "GUJARATI": "gu",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "SINHALA": "si",
    "THAI": "th",
    "MYANMAR": "my",
    "GREEK": "el",
    "HEBREW": "he",
    "ARMENIAN": "hy",
    "GEORGIAN": "ka",
    "ETHIOPIC": "am",
}
"""First word of a character's Unicode name -> the language that mostly uses it."""

_SAME_SCRIPT: Mapping[str, str] = {
    **dict.fromkeys(("uk", "bg", "sr", "mk", "kk", "tt"), "ru"),
    **dict.fromkeys(("fa", "ur", "ku"), "ar"),
    **dict.fromkeys(("mr", "ne"), "hi"),
    **dict.fromkeys(("cmn", "yue"), "zh"),
}

_TELLING_LETTERS: Mapping[str, Mapping[str, str]] = {
    "ru": {"uk": "іїєґ"},
    "ar": {"ur": "ٹڈڑںے", "fa": "پچژگ"},
}
"""Letters that only one language of a script has; the first that is met decides."""

_UNREADABLE = frozenset({"zh", "ja", "ko"})
"""One character of these decides: other voices read "Chinese letter", these read Latin words."""

_FOREIGN_WEIGHT = 4
"""Letters of other scripts count so much against Latin ones: a voice for them reads Latin words,
a Latin voice spells them out; but one Greek letter in a formula makes no Greek sentence."""

_SMALL_WORDS: Mapping[str, str] = {
    "en": "the and of to in is are was were it that this for with you have not be on at by from my "
    "we he she they but or an as will would what why how there our your his her its all can hello "
    "good evening morning welcome thank thanks please today",
    "de": "der die das und ist nicht ein eine einen einem mit den dem im in auf von zu für sich "
    "wir ich sie er es auch wird sind haben hat war aber oder wie was warum noch nur am guten",
    "fr": "le la les et est un une des du dans que qui pas pour sur avec il elle nous vous je ce "
    "cette au aux son sa ses mon ma mais ou où sont bonjour merci à en ne plus très quelle",
    "es": "el la los las y es un una en que de del por para con no se su al lo como más pero muy "
    "está este esta mi tu quiere hola gracias qué cuando hay son",
    "it": "il lo la gli le e è un una di che non per con in del della dei si mi ma come più sono "
    "ha questo questa al nel anche grazie buongiorno perché ogni vuoi alle",
    "pt": "o a os as e é um uma de do da dos das que não em no na para com por se mais mas como "
    "você eu ele ela foi está muito obrigado meu minha quando ao pelo depois antes",
    "nl": "de het een en van is dat niet op te in voor met zijn aan er ook maar naar bij uit wordt "
    "heeft mijn wij ik je u zou dit deze hoe wat waarom om",
    "pl": "i w z na nie się jest to do że jak ale o czy po co tak za od już dla mnie ma są moja "
    "mój dlaczego ta ten który może jutro jeden dobry",
    "cs": "a je v na se že to s z do ne si jsem jako ale o po za od už tak pro k má jsou moje můj "
    "proč ten ta který může zítra jeden dobrý z",
    "sv": "och att det är en ett som på för med av inte den till har jag vi du kan om men från var "
    "min varför i de",
    "da": "og at det er en et som på for med af ikke den til har jeg vi du kan om men fra hvor min "
    "hvorfor i de der",
    "no": "og at det er en et som på for med av ikke den til har jeg vi du kan om men fra hvor min "
    "hvorfor i de som",
    "fi": "ja on ei se että hän oli mutta niin kun myös ovat tämä minä sinä me te he voi jo yksi "
    "miksi mitä hyvää kiitos huomenna",
    "hu": "a az és hogy nem is egy van volt de ez meg csak már mint ki be fel minden miért kérem "
    "holnap jó",
    "ro": "și de la în cu nu este o un pe că se mai din sunt ce care pentru au dar fi al ai de mea "
    "mâine bună",
    "ca": "el la els les i és un una de del que no en per amb al als més però com està hi ha seva "
    "meva molt aquest aquesta després",
    "tr": "ve bir bu da de için ile ne çok daha var mı mi gibi ama ben sen o biz siz neden yarın "
    "merhaba iyi değil kadar",
    "id": "dan di yang ini itu dengan untuk dari ke tidak pada adalah akan saya kami anda bisa ada "
    "lebih mengapa besok selamat terima kasih",
    "vi": "và là của có không một trong được cho người với các đã để này tôi bạn rất những xin "
    "chào cảm ơn ngày",
}

_HINTS: Mapping[str, str] = {
    "de": "ßäöü",
    "fr": "çêèùœëî",
    "es": "ñ¿¡",
    "pt": "ãõ",
    "pl": "łąęśźżćń",
    "cs": "řěůčšž",
    "sv": "å",
    "da": "øæ",
    "hu": "őű",
    "ro": "ășțâ",
    "tr": "ığş",
    "vi": "đơưạảấầẩậắằẳặẹẻẽếềểễệịọỏốồổỗộớờởợụủứừửữựỳỵỷỹ",
    "fi": "äö",
}
"""Letters that speak for a language; each kind met counts as half a small word."""

_WORDS_PER_SMALL_WORD = 8
"""Fewer small words than one in so many are chance: "ten" is Polish, and a number."""

_LATIN_WORD = re.compile(r"[^\W\d_]+")
_WORDS: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split()) for language, words in _SMALL_WORDS.items()
}


def script_of(language: str) -> str:
    """A name for the script of a language: languages with the same one can share a voice."""
    named = _SAME_SCRIPT.get(language, language)
    return named if named in _SCRIPTS.values() else "latin"


def text_language(sentence: str, default: str, whole: str = "") -> str:
    """The language of a sentence, as a two-letter code.

    Args:
        sentence: what is to be spoken.
        default: of Latin letters that show nothing else, and of sentences without letters.
        whole: the text around it; kana anywhere in it make lone ideographs Japanese.
    """
    letters = _letters(sentence)
    script = _main_script(letters)
    if not script:
        return default
    if script == "zh" and "ja" in _letters(whole):
        return "ja"
    if script == "latin":
        return _latin_language(sentence, default)
    for language, telling in _TELLING_LETTERS.get(script, {}).items():
        if any(letter in sentence.lower() for letter in telling):
            return language
    return default if script_of(default) == script else script


def _main_script(letters: Mapping[str, int]) -> str:
    """The language whose voice can read the most of a sentence; "latin" for Latin letters."""
    if "ja" in letters:  # kana go with ideographs
        return "ja"
    readable = {
        script: count * (1 if script == "latin" else _FOREIGN_WEIGHT)
        for script, count in letters.items()
        if script in _UNREADABLE or not _UNREADABLE & letters.keys()
    }
    return max(readable, key=lambda script: readable[script], default="")


def _letters(text: str) -> Counter[str]:
    """How many letters there are of each script."""
    return Counter(
        _SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0], "latin")
        for letter in text
        if letter.isalpha()
    )


def _latin_language(sentence: str, default: str) -> str:
    lowered = sentence.lower()
    words = Counter(_LATIN_WORD.findall(lowered))
    scores = {
        language: sum(count for word, count in words.items() if word in known)
        + 0.5 * sum(letter in lowered for letter in _HINTS.get(language, ""))
        for language, known in _WORDS.items()
    }
    best = max(scores.values())
    if scores.get(default, 0.0) == best or best < max(1.0, len(words) / _WORDS_PER_SMALL_WORD):
        return default
    return max(scores, key=lambda language: scores[language])
