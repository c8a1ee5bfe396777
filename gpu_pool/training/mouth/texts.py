"""What the synthesizers are made to say: plain sentences written for this project.

First step of the training path. A language is named as espeak-ng names its voice. Must hold no
text from anywhere else.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

HELD_OUT_LANGUAGES = ("sv", "tr", "ko")
"""Never trained: they show what the network is worth in a language it has not met."""

LATIN_FOR_PSEUDO_WORDS = frozenset(
    {"en-us", "en", "de", "fr", "es", "it", "pt", "pt-br", "pl", "nl", "id", "fi", "ca", "cs"}
)
"""Languages whose spelling rules read any Latin letters, so that made-up words sound like them."""

SENTENCES: Mapping[str, tuple[str, ...]] = {
    "en-us": (
        "The harbor opens before sunrise, and the first boats push out past the breakwater.",
        "Mara baked eleven loaves for the bake sale, but her brother ate both of the warm ones.",
        "Could you move the purple vase away from the window, please?",
        "Our viewers wrote in from Boston, Memphis, Phoenix, and a small farm near Wichita.",
        "This lamp fits in one hand, runs for forty hours, and costs less than a family pizza.",
        "Rough weather is coming through the valley, so check the bridge before you leave.",
        "Nobody thought the old theater would ever be full again, yet here we all are.",
        "She measured the beige fabric twice, then cut a huge triangle out of the middle.",
        "Why does the clock in the hall always stop at a quarter to three?",
        "Thick fog, five black umbrellas, and a very patient taxi driver: that was our morning.",
        "Just choose a chair, enjoy the show, and join us for chocolate after the match.",
        "The oldest orchard on the road grows pears, plums, apricots, and bitter oranges.",
        "Zero, one, two, three, four, five, six, seven, eight, nine, ten.",
        "Put your thumb on the blue button, breathe out, and say the word moon out loud.",
    ),
    "en": (
        "The bakery on the corner sells proper bread, and the queue is usually out of the door.",
        "If the ferry is late again, we shall have to walk back over the footbridge.",
        "My aunt has kept bees for forty years and has never once been stung on a Sunday.",
        "Would anybody like the last piece of plum tart, or may I have it?",
        "It rained on Monday, poured on Tuesday, and by Wednesday the garden was a pond.",
        "The judge measured every marrow with great care and a very small ruler.",
        "Both brothers took the Thursday coach to Perth, with a picnic and far too many maps.",
        "Above the fireplace hung a picture of a rather cross bishop.",
    ),
    "de": (
        "Am Bahnhof wartet ein kleiner Junge mit einem viel zu großen Koffer.",
        "Möchten Sie lieber Kaffee mit Milch oder einen Pfefferminztee?",
        "Der Bäcker öffnet um halb sechs, und um sieben sind die Brezeln schon weg.",
        "Übermorgen wird es kühler, im Westen fällt etwas Schnee bis in die Täler.",
        "Meine Großmutter pflückt Kirschen, mein Vater baut den Zaun, und wir spielen Schach.",
        "Diese Pumpe wiegt achtzehn Kilo und passt trotzdem in jeden Kofferraum.",
        "Warum hüpft der Frosch immer wieder aus dem Brunnen?",
        "Zwölf Boote liegen am Ufer, eins davon ist frisch gestrichen.",
    ),
    "fr": (
        "Le boulanger du village ferme sa boutique tous les mercredis après midi.",
        "Voulez-vous goûter cette soupe aux poireaux avant qu'elle ne refroidisse ?",
        "Mon frère a peint la barque en bleu, puis il a oublié le pot au bord de l'eau.",
        "Demain, un peu de pluie tombera sur les montagnes du sud.",
        "Nous cherchons un appartement lumineux, pas trop cher, avec un grand balcon.",
        "Quelle heure est-il quand les cloches sonnent deux fois ?",
        "Un homme pressé a perdu son chapeau devant la gare.",
        "Cette machine coûte cent quatre-vingts euros et fonctionne sans bruit.",
    ),
    "es": (
        "La panadera abre la puerta a las seis y el barrio entero huele a pan caliente.",
        "¿Quieres probar la sopa antes de que se enfríe?",
        "Mi vecino cultiva tomates, pimientos y unas fresas muy pequeñas.",
        "El tren de la sierra llega con veinte minutos de retraso por culpa de la niebla.",
        "Guarda las llaves en el bolsillo y no hables tan fuerte, por favor.",
        "El jueves jugamos al ajedrez en la plaza, debajo de los árboles.",
        "Esta bomba pesa ocho kilos y cabe en cualquier maletero.",
        "¿Por qué se ha parado otra vez el reloj de la torre?",
    ),
    "it": (
        "Ogni mattina il fornaio apre la bottega prima che sorga il sole.",
        "Vuoi assaggiare la zuppa di ceci prima che si raffreddi?",
        "Mia zia raccoglie le prugne e prepara una marmellata buonissima.",
        "Il traghetto parte alle nove e torna verso mezzogiorno, se il mare è calmo.",
        "Giuseppe ha dipinto la barca di azzurro e si è sporcato le scarpe.",
        "Perché l'orologio della piazza si ferma sempre alle tre e un quarto?",
        "Questa pompa pesa poco e funziona senza fare rumore.",
        "Domani pioverà sulle montagne, ma al mare farà bello.",
    ),
    "pt": (
        "A padaria da esquina abre cedo e fecha quando acaba o pão.",
        "Queres provar a sopa antes que arrefeça?",
        "O meu avô plantou três pereiras e uma figueira junto ao poço.",
        "Amanhã vai chover no norte, mas o sul fica com sol.",
        "O barco azul ficou preso na areia durante a maré baixa.",
        "Porque é que o relógio da torre pára sempre às três?",
    ),
    "pt-br": (
        "Minha vizinha faz um bolo de fubá que deixa a rua inteira com fome.",
        "Você pode fechar a janela antes que a chuva comece?",
        "O ônibus das oito passou cheio e ninguém conseguiu subir.",
        "A gente pintou o portão de verde e esqueceu a lata aberta.",
        "Essa bomba pesa pouco, cabe no carro e quase não faz barulho.",
        "Depois do jogo, os meninos foram tomar sorvete na praça.",
    ),
    "pl": (
        "Piekarz otwiera sklep o szóstej, a o ósmej nie ma już bułek.",
        "Czy mógłby pan przesunąć to krzesło bliżej okna?",
        "Moja babcia zbiera śliwki i gotuje z nich powidła.",
        "Jutro w górach spadnie śnieg, a nad morzem będzie padał deszcz.",
        "Ta pompa waży osiem kilogramów i mieści się w każdym bagażniku.",
        "Dlaczego zegar na wieży zawsze staje za kwadrans trzecia?",
    ),
    "ru": (
        "Пекарь открывает лавку в шесть утра, и весь переулок пахнет тёплым хлебом.",
        "Вы не могли бы подвинуть стул поближе к окну?",
        "Моя бабушка собирает сливы и варит из них густое варенье.",
        "Завтра в горах выпадет снег, а у моря будет пасмурно и тихо.",
        "Этот насос весит восемь килограммов и помещается в любой багажник.",
        "Почему часы на башне всегда останавливаются без четверти три?",
        "Мальчик с огромным чемоданом ждёт поезда и жуёт яблоко.",
        "Пять лодок стоят у берега, одна из них недавно покрашена в голубой цвет.",
        "Осторожно, мост скользкий, идите медленно и держитесь за перила.",
        "После матча мы пили чай с лимоном и вспоминали лето.",
        "Художник потерял шляпу и теперь рисует только дождь.",
        "Звоните нам вечером, мы всегда рады вашим вопросам.",
    ),
    "uk": (
        "Пекар відчиняє крамницю о шостій, і вся вулиця пахне хлібом.",
        "Чи могли б ви посунути стілець ближче до вікна?",
        "Моя бабуся збирає сливи та варить густе повидло.",
        "Завтра в горах випаде сніг, а біля моря буде тихо.",
        "Чому годинник на вежі завжди зупиняється о третій?",
    ),
    "cs": (
        "Pekař otevírá krámek v šest a v osm už nemá ani jeden rohlík.",
        "Mohl byste prosím posunout tu židli blíž k oknu?",
        "Moje babička sbírá švestky a vaří z nich povidla.",
        "Zítra bude na horách sněžit a v údolí pršet.",
        "Proč se hodiny na věži vždycky zastaví ve čtvrt na tři?",
        "Pět lodí stojí u břehu a jedna z nich je čerstvě natřená.",
    ),
    "nl": (
        "De bakker op de hoek opent om zes uur en verkoopt het lekkerste brood van de stad.",
        "Wilt u de stoel iets dichter bij het raam zetten?",
        "Mijn oma plukt pruimen en kookt er een grote pan jam van.",
        "Morgen valt er sneeuw in de bergen en regen aan zee.",
        "Waarom blijft de klok van de toren altijd om kwart voor drie staan?",
        "Vijf boten liggen aan de kade, en er is er een pas geverfd.",
    ),
    "da": (
        "Bageren åbner butikken klokken seks, og klokken otte er brødet væk.",
        "Kan du flytte stolen lidt tættere på vinduet?",
        "Min mormor plukker blommer og koger marmelade af dem.",
        "I morgen falder der sne i bjergene og regn ved havet.",
    ),
    "sv": (
        "Bagaren på hörnet öppnar klockan sex och bullarna tar slut före åtta.",
        "Kan du flytta stolen lite närmare fönstret?",
        "Min mormor plockar plommon och kokar en stor gryta sylt.",
        "I morgon faller det snö i fjällen och regn vid havet.",
        "Varför stannar klockan i tornet alltid en kvart i tre?",
        "Fem båtar ligger vid bryggan och en av dem är nymålad.",
    ),
    "fi": (
        "Leipuri avaa kaupan kuudelta, ja kahdeksalta pullat ovat jo loppu.",
        "Voisitko siirtää tuolin vähän lähemmäs ikkunaa?",
        "Mummo poimii luumuja ja keittää niistä ison padan hilloa.",
        "Huomenna vuorilla sataa lunta ja meren rannalla vettä.",
        "Miksi tornin kello pysähtyy aina varttia vaille kolme?",
        "Viisi venettä on laiturissa, ja yksi niistä on juuri maalattu siniseksi.",
        "Poika odottaa junaa liian suuren matkalaukun kanssa.",
        "Tämä pumppu painaa kahdeksan kiloa ja mahtuu jokaiseen autoon.",
        "Ottelun jälkeen joimme kahvia ja söimme mustikkapiirakkaa.",
        "Kävele hitaasti, silta on liukas ja sumu peittää joen.",
    ),
    "hu": (
        "A pék hatkor nyitja ki a boltot, és nyolcra elfogy a kenyér.",
        "Közelebb tenné a széket az ablakhoz, kérem?",
        "A nagymamám szilvát szed, és lekvárt főz belőle.",
        "Holnap a hegyekben hó esik, a tónál pedig eső.",
        "Miért áll meg mindig háromnegyed háromkor a toronyóra?",
    ),
    "ro": (
        "Brutarul deschide prăvălia la șase, iar la opt nu mai are pâine.",
        "Ați putea să mutați scaunul mai aproape de fereastră?",
        "Bunica mea culege prune și face un gem foarte bun.",
        "Mâine ninge la munte și plouă la mare.",
        "De ce se oprește mereu ceasul din turn la trei fără un sfert?",
    ),
    "ca": (
        "El forner obre la botiga a les sis i a les vuit ja no queda pa.",
        "Podria acostar una mica la cadira a la finestra?",
        "La meva padrina cull prunes i en fa una melmelada molt bona.",
        "Demà nevarà a la muntanya i plourà a la vora del mar.",
        "Per què el rellotge de la torre sempre s'atura a les tres?",
        "Cinc barques són al moll, i n'hi ha una acabada de pintar de blau.",
        "Un noi espera el tren amb una maleta massa grossa.",
        "Aquesta bomba pesa vuit quilos i cap a qualsevol cotxe.",
        "Després del partit vam beure xocolata i vam jugar als escacs.",
        "Camineu a poc a poc, que el pont rellisca i hi ha boira.",
    ),
    "el": (
        "Ο φούρναρης ανοίγει το μαγαζί στις έξι και όλος ο δρόμος μυρίζει ψωμί.",
        "Μπορείτε να φέρετε την καρέκλα πιο κοντά στο παράθυρο;",
        "Η γιαγιά μου μαζεύει δαμάσκηνα και φτιάχνει μαρμελάδα.",
        "Αύριο θα χιονίσει στα βουνά και θα βρέξει στη θάλασσα.",
        "Γιατί σταματάει πάντα το ρολόι του πύργου στις τρεις;",
    ),
    "tr": (
        "Fırıncı dükkanı sabah altıda açar, sekizde ekmek kalmaz.",
        "Sandalyeyi pencereye biraz daha yaklaştırır mısınız?",
        "Büyükannem erik toplar ve büyük bir tencere reçel yapar.",
        "Yarın dağlara kar, deniz kıyısına yağmur yağacak.",
        "Kuledeki saat neden hep üçe çeyrek kala duruyor?",
        "Beş tekne kıyıda bekliyor, biri yeni maviye boyanmış.",
    ),
    "cmn": (
        "面包师傅每天早上六点开门，八点以前面包就卖完了。",
        "请把椅子往窗户那边挪一点，好吗？",
        "我奶奶喜欢摘李子，然后煮一大锅果酱。",
        "明天山上会下雪，海边会下小雨，风不大。",
        "为什么钟楼上的钟总是停在两点三刻？",
        "码头上有五条船，其中一条刚刚刷成蓝色。",
        "这个水泵只有八公斤，放得进任何一辆汽车。",
        "一个小男孩拖着很大的箱子，在车站等火车。",
        "比赛以后我们一起喝茶，聊了很久去年夏天的事。",
        "慢慢走，桥上很滑，河面上都是雾。",
    ),
    "hi": (
        "नानबाई सुबह छह बजे दुकान खोलता है और आठ बजे तक रोटी बिक जाती है।",
        "क्या आप कुर्सी को खिड़की के पास रख सकते हैं?",
        "मेरी दादी आम तोड़ती हैं और मीठा मुरब्बा बनाती हैं।",
        "कल पहाड़ों पर बर्फ गिरेगी और समुद्र के किनारे बारिश होगी।",
        "घंटाघर की घड़ी हमेशा तीन बजे क्यों रुक जाती है?",
    ),
    "bn": (
        "বেকারির দোকান সকাল ছয়টায় খোলে আর আটটার মধ্যে রুটি শেষ হয়ে যায়।",
        "চেয়ারটা কি জানালার কাছে রাখবেন?",
        "কাল পাহাড়ে বরফ পড়বে আর সমুদ্রের ধারে বৃষ্টি হবে।",
    ),
    "ja": (
        "ぱんやさんは あさ ろくじに みせを あけます。 はちじには ぱんが なくなります。",
        "いすを すこし まどの ちかくに うごかして もらえますか。",
        "そぼは うめを ひろって おおきな なべで じゃむを つくります。",
        "あしたは やまで ゆきが ふり、 うみべは あめに なるでしょう。",
        "どうして とうの とけいは いつも さんじに とまるのでしょう。",
        "ふねが ごそう ならび、 ひとつは あおく ぬったばかりです。",
    ),
    "ko": (
        "빵집 주인은 여섯 시에 문을 열고 여덟 시면 빵이 다 팔립니다.",
        "의자를 창문 쪽으로 조금 옮겨 주시겠어요?",
        "할머니는 자두를 따서 큰 냄비에 잼을 만드십니다.",
        "내일은 산에 눈이 오고 바닷가에는 비가 내리겠습니다.",
        "탑에 있는 시계는 왜 항상 세 시에 멈출까요?",
        "배 다섯 척이 부두에 있고 하나는 파란색으로 칠했습니다.",
    ),
    "ar": (
        "يفتح الخباز دكانه في السادسة صباحا وتفوح رائحة الخبز في الشارع كله.",
        "هل يمكنك أن تقرب الكرسي من النافذة قليلا؟",
        "تجمع جدتي البرقوق وتطبخ منه مربى لذيذا.",
        "غدا يتساقط الثلج على الجبال وينزل المطر قرب البحر.",
    ),
    "fa": (
        "نانوا ساعت شش مغازه را باز می‌کند و بوی نان همه جا می‌پیچد.",
        "می‌توانید صندلی را کمی به پنجره نزدیک کنید؟",
        "مادربزرگم آلو می‌چیند و مربای خوشمزه می‌پزد.",
    ),
    "vi": (
        "Người thợ bánh mở cửa lúc sáu giờ sáng và bán hết bánh trước tám giờ.",
        "Bạn có thể dời cái ghế lại gần cửa sổ được không?",
        "Bà tôi hái mận rồi nấu một nồi mứt thật to.",
        "Ngày mai trên núi có tuyết, còn ngoài biển thì mưa nhỏ.",
    ),
    "id": (
        "Tukang roti membuka toko jam enam pagi dan pulang sebelum siang.",
        "Bisakah kursi itu dipindahkan lebih dekat ke jendela?",
        "Nenek saya memetik buah mangga lalu membuat selai.",
        "Besok turun hujan di pantai dan angin bertiup pelan.",
        "Mengapa jam di menara itu selalu berhenti pukul tiga?",
    ),
    "sw": (
        "Mwokaji hufungua duka saa kumi na mbili asubuhi na mkate huisha mapema.",
        "Je, unaweza kusogeza kiti karibu na dirisha?",
        "Bibi yangu huchuma maembe na kupika jamu tamu.",
    ),
}

_ONSETS = (
    *("b", "p", "m", "f", "v", "t", "d", "s", "z", "sh", "ch", "j", "k", "g", "n", "l", "r", "w"),
    *("y", "th", "h", "br", "pl", "tr", "st", "sp", "fl", "m", "b", "p", "f", "v"),
)
_NUCLEI = ("a", "e", "i", "o", "u", "ai", "ee", "oo", "ou", "ay", "ow", "a", "o")
_CODAS = ("", "", "", "", "n", "m", "p", "s", "t", "l", "r", "b", "k", "f")
_WORD = re.compile(r"[^\s.,?!;:¿¡।؟。，？！、]+")


def spoken_text(rng: random.Random, language: str) -> str:
    """A sentence, shuffled words, or made-up words: phonemes in orders no text would give."""
    draw = rng.random()
    sentences = SENTENCES[language]
    if draw < 0.4:
        return " ".join(rng.sample(sentences, min(len(sentences), rng.choice((1, 2)))))
    if draw < 0.78 or language not in LATIN_FOR_PSEUDO_WORDS:
        known = words(language)
        drawn = [rng.choice(known) for _ in range(rng.randint(5, 14))]
    else:
        drawn = [_pseudo_word(rng) for _ in range(rng.randint(4, 10))]
    pieces = [word + (", " if rng.random() < 0.1 else " ") for word in drawn]
    return "".join(pieces).strip(" ,") + "."


def words(language: str) -> list[str]:
    """Words of a language; Chinese, written without spaces, in pieces of two characters."""
    found = _WORD.findall(" ".join(SENTENCES[language]))
    if language != "cmn":
        return found
    return [piece[i : i + 2] for piece in found for i in range(0, len(piece) - 1, 2)]


def _pseudo_word(rng: random.Random) -> str:
    syllables = rng.choice((1, 2, 2, 3))
    return "".join(
        rng.choice(_ONSETS) + rng.choice(_NUCLEI) + rng.choice(_CODAS) for _ in range(syllables)
    )
