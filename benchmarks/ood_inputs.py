"""Pictures and texts that no shipped checkpoint was trained on, made from a seed, for `benchmarks.ood`.

`pyclassify.ood` was developed on other inputs, such as shuffled, turned and inverted training pictures and shuffled or
reversed training texts; with one exception: English reviews beside the Korean ones, which showed that surprise in the
order of tokens alone is not enough.
"""

from __future__ import annotations

import importlib.util
import inspect
import random
import string
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

DrawImage = Callable[[random.Random], Image.Image]

PHOTOS: Final = {
    "skimage": (
        "data",
        *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png"),
        *("grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png"),
        *("retina.jpg", "rocket.jpg"),
    ),
    "sklearn": ("datasets/images", "china.jpg", "flower.jpg"),
}
"""By package a folder in it and the photos there; a cat, a motorcycle and a rocket are near to some models' labels."""

FONTS: Final = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral")
"""Fonts that come with matplotlib."""

KEYS: Final = ("qwertyuiop", "asdfghjkl;", "zxcvbnm,.")
MODULES: Final = (
    *("argparse", "ast", "bisect", "calendar", "codecs", "configparser", "copy", "csv", "datetime", "decimal"),
    *("difflib", "enum", "fractions", "functools", "gettext", "heapq", "inspect", "locale", "mailbox", "pickle"),
    *("pprint", "queue", "random", "shutil", "socket", "statistics", "tarfile", "textwrap", "threading", "zipfile"),
)


# Pictures


def images(count: int, size_px: int, seed: int = 0) -> dict[str, list[Image.Image]]:
    """Draw pictures of several sorts.

    Args:
        count: of each sort.
        size_px: of the network's input; noise is made at this size, and at four times it.
        seed: the same seed gives the same pictures.
    """
    photos = photographs()
    draw: dict[str, DrawImage] = {
        "noise": lambda generator: noise(generator, size_px),
        "flat colour": lambda generator: Image.new("RGB", (64, 64), _colour(generator)),
        "text screenshots": screenshot,
        "other photos": lambda generator: crop(generator.choice(photos), generator),
        "drawn shapes": shapes,
    }
    return {
        sort: [draw_one(random.Random(f"{sort} {seed} {i}")) for i in range(count)] for sort, draw_one in draw.items()
    }


def noise(generator: random.Random, size_px: int) -> Image.Image:
    """Draw noise: uniform, or normal of one of several contrasts about a colour; in colour or in grey."""
    normal = np.random.default_rng(generator.randrange(2**32))
    side = size_px * generator.choice((1, 4))
    shape = (side, side, generator.choice((1, 3)))
    deviation = generator.choice((0, 10, 25, 50, 100))
    if deviation:
        pixels: np.ndarray[Any, Any] = np.asarray(_colour(generator)) + normal.normal(0, deviation, shape)
    else:
        pixels = normal.integers(0, 256, shape).astype(np.float64)
    return Image.fromarray(np.broadcast_to(pixels, (side, side, 3)).clip(0, 255).astype(np.uint8))


def _colour(generator: random.Random) -> tuple[int, int, int]:
    return generator.randrange(256), generator.randrange(256), generator.randrange(256)


def screenshot(generator: random.Random) -> Image.Image:
    """Draw lines of text, dark on light or light on dark."""
    import matplotlib

    width, height = generator.randrange(160, 640), generator.randrange(160, 640)
    ground, ink = generator.randrange(200, 256), generator.randrange(0, 80)
    if generator.random() < 0.5:
        ground, ink = ink, ground
    image = Image.new("RGB", (width, height), (ground, ground, ground))
    size = generator.randrange(9, 40)
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{generator.choice(FONTS)}.ttf")
    font, pen = ImageFont.truetype(str(path), size), ImageDraw.Draw(image)
    for top in range(generator.randrange(size), height, round(1.3 * size)):
        line = " ".join(generator.sample(SENTENCES["French"], 3))
        pen.text((0.5 * size, top), line, fill=(ink, ink, ink), font=font)
    return image


def shapes(generator: random.Random) -> Image.Image:
    """Draw a few discs, bars and triangles of plain colours on a plain ground."""
    image = Image.new("RGB", (128, 128), _colour(generator))
    pen = ImageDraw.Draw(image)
    for _ in range(generator.randrange(1, 6)):
        radius, x, y = generator.uniform(8, 50), generator.uniform(0, 128), generator.uniform(0, 128)
        box, shape = (x - radius, y - radius, x + radius, y + radius), generator.choice(("disc", "bar", "triangle"))
        if shape == "disc":
            pen.ellipse(box, fill=_colour(generator))
        elif shape == "bar":
            pen.rectangle((box[0], y - radius / 3, box[2], y + radius / 3), fill=_colour(generator))
        else:
            pen.regular_polygon((x, y, radius), 3, rotation=generator.randrange(360), fill=_colour(generator))
    return image


def photographs() -> list[Image.Image]:
    """Read the photos that scikit-image and scikit-learn bring with them."""
    photos = []
    for package, (folder, *names) in PHOTOS.items():
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            sys.exit(f"{package} is missing: pip install -r requirements-bench.txt")
        for name in names:
            with Image.open(Path(spec.submodule_search_locations[0]) / folder / name) as image:
                photos.append(image.convert("RGB"))
    return photos


def crop(photo: Image.Image, generator: random.Random) -> Image.Image:
    """Cut a square out of a photo, at least 64 pixels wide."""
    side = generator.randrange(64, min(photo.size) + 1)
    left, top = generator.randrange(photo.width - side + 1), generator.randrange(photo.height - side + 1)
    return photo.crop((left, top, left + side, top + side))


# Texts


def texts(
    count: int, lengths: Sequence[int], other: Mapping[str, Sequence[str]], seed: int = 0
) -> dict[str, list[str]]:
    """Make texts of several sorts, as long as those of the test data.

    Args:
        count: of each sort.
        lengths: of the test data, in characters, to draw from.
        other: texts of other data sets, by what they are.
        seed: the same seed gives the same texts.
    """
    result = {}
    for sort, parts in {**other, **SENTENCES, "code": code()}.items():
        generator = random.Random(f"{sort} {seed}")
        separator = "\n" if sort == "code" else " "
        result[sort] = [_joined(parts, generator.choice(lengths), separator, generator) for _ in range(count)]
    generator = random.Random(f"gibberish {seed}")
    result["keyboard gibberish"] = [gibberish(generator.choice(lengths), generator) for _ in range(count)]
    result["single letters"] = [generator.choice(string.ascii_letters) for _ in range(count)]
    return result


def _joined(parts: Sequence[str], length: int, separator: str, generator: random.Random) -> str:
    """Join parts from a random one on, one after the other, and cut the text at the length."""
    start = generator.randrange(len(parts))
    chosen: list[str] = []
    for part in cycle([*parts[start:], *parts[:start]]):
        chosen.append(part)
        if sum(map(len, chosen)) + len(chosen) > length:
            break
    return separator.join(chosen)[:length].strip() or chosen[0].strip()[:1]


def code() -> list[str]:
    """Return the lines of some modules of Python's own library, without empty ones."""
    sources = (
        inspect.getsource(importlib.import_module(name)) for name in MODULES
    )  # some are packages in later Pythons
    return [line for source in sources for line in source.splitlines() if line.strip()]


def gibberish(length: int, generator: random.Random) -> str:
    """Type as fingers do that wander over a keyboard, with a space now and then."""
    letters: list[str] = []
    row, column = generator.randrange(3), generator.randrange(9)
    while len(letters) < length:
        row = min(2, max(0, row + generator.choice((-1, 0, 0, 0, 1))))
        column = (column + generator.choice((-2, -1, 1, 2))) % 9
        letters.append(" " if generator.random() < 0.12 else KEYS[row][column])
    return "".join(letters).strip() or "k"


# Plain sentences in other languages than those of the shipped text models, written for this project.

SENTENCES: Final = {
    "German": (
        "Der Zug nach Hamburg hatte heute wieder eine halbe Stunde Verspätung.",
        "Im Garten meiner Großmutter wachsen Äpfel, Birnen und Pflaumen.",
        "Kannst du mir bitte sagen, wo hier die nächste Apotheke ist?",
        "Nach dem Regen roch die ganze Straße nach nassem Asphalt.",
        "Wir haben gestern bis Mitternacht über das Theaterstück geredet.",
        "Der Bäcker an der Ecke macht um sechs Uhr morgens auf.",
        "Meine Schwester lernt seit drei Jahren Geige und übt jeden Tag.",
        "Es ist noch zu früh, um etwas über das Ergebnis zu sagen.",
        "Die Kinder haben aus alten Kartons ein Schiff gebaut.",
        "Bei diesem Wetter bleibe ich lieber zu Hause und lese.",
        "Der Arzt meinte, ich solle mehr schlafen und weniger Kaffee trinken.",
        "Auf dem Markt gab es frischen Fisch und viel zu teure Erdbeeren.",
        "Ich habe den Schlüssel unter die Fußmatte gelegt.",
        "Das Konzert war ausverkauft, aber wir bekamen noch zwei Karten.",
        "Im Winter frieren die Teiche zu, und alle gehen Schlittschuh laufen.",
        "Sein Bruder arbeitet als Lehrer in einem kleinen Dorf.",
        "Die Rechnung muss bis zum Ende des Monats bezahlt werden.",
        "Hast du schon gehört, dass die Brücke gesperrt ist?",
        "Wer zuletzt das Haus verlässt, macht bitte das Licht aus.",
        "Der Hund schläft am liebsten neben dem warmen Ofen.",
        "Ohne Brille kann ich die kleinen Buchstaben nicht lesen.",
        "Am Sonntag besuchen wir das Museum für moderne Kunst.",
        "Die Suppe braucht noch etwas Salz und ein wenig Petersilie.",
        "Früher fuhr hier eine Straßenbahn bis zum Fluss hinunter.",
        "Ich verstehe nicht, warum der Drucker schon wieder streikt.",
        "Das Fahrrad steht seit Wochen mit plattem Reifen im Keller.",
        "Unsere Nachbarn ziehen nächsten Monat in eine größere Wohnung.",
        "Der Wind hat in der Nacht zwei Bäume umgeworfen.",
        "Sie schrieb ihm einen langen Brief und schickte ihn nie ab.",
        "Im Kühlschrank stehen noch Milch, Käse und ein Rest Kuchen.",
        "Die Prüfung war schwerer, als wir alle gedacht hatten.",
        "Er spricht so leise, dass man ihn kaum versteht.",
        "Nächste Woche sollen die Temperaturen wieder steigen.",
        "Für die Reise brauchst du einen gültigen Ausweis.",
        "Die Uhr an der Kirche geht immer fünf Minuten nach.",
        "Wir treffen uns um acht vor dem Eingang des Kinos.",
        "Das alte Haus am See steht schon lange leer.",
        "Meine Tante strickt jedem von uns Socken zu Weihnachten.",
        "Vergiss nicht, die Blumen auf dem Balkon zu gießen.",
        "Zum Glück hat niemand gemerkt, dass ich zu spät kam.",
    ),
    "French": (
        "Le train de Lyon est encore arrivé avec une demi-heure de retard.",
        "Dans le jardin de ma grand-mère, il y a des pommiers et des cerisiers.",
        "Pouvez-vous me dire où se trouve la pharmacie la plus proche ?",
        "Après la pluie, toute la rue sentait la terre mouillée.",
        "Nous avons parlé de cette pièce jusqu'à minuit passé.",
        "La boulangerie du coin ouvre à six heures du matin.",
        "Ma sœur apprend le violon depuis trois ans et joue chaque jour.",
        "Il est encore trop tôt pour connaître le résultat.",
        "Les enfants ont construit un bateau avec de vieux cartons.",
        "Par ce temps, je préfère rester à la maison et lire.",
        "Le médecin m'a conseillé de dormir plus et de boire moins de café.",
        "Au marché, il y avait du poisson frais et des fraises trop chères.",
        "J'ai laissé la clé sous le paillasson de la porte.",
        "Le concert était complet, mais nous avons trouvé deux places.",
        "En hiver, les étangs gèlent et tout le monde vient patiner.",
        "Son frère est instituteur dans un petit village de montagne.",
        "La facture doit être payée avant la fin du mois.",
        "As-tu entendu dire que le pont est fermé aux voitures ?",
        "Le dernier qui sort éteint la lumière, s'il vous plaît.",
        "Le chien dort toujours à côté du poêle quand il fait froid.",
        "Sans mes lunettes, je ne peux pas lire ces petites lettres.",
        "Dimanche, nous irons voir le musée d'art moderne.",
        "Il manque un peu de sel et de persil dans la soupe.",
        "Autrefois, un tramway descendait d'ici jusqu'au fleuve.",
        "Je ne comprends pas pourquoi l'imprimante refuse de marcher.",
        "Le vélo est à la cave depuis des semaines avec un pneu crevé.",
        "Nos voisins déménagent le mois prochain dans un appartement plus grand.",
        "Pendant la nuit, le vent a renversé deux arbres.",
        "Elle lui a écrit une longue lettre sans jamais l'envoyer.",
        "Il reste du lait, du fromage et un morceau de gâteau au frigo.",
        "L'examen était plus difficile que nous ne l'avions pensé.",
        "Il parle si bas qu'on l'entend à peine.",
        "Les températures devraient remonter la semaine prochaine.",
        "Pour ce voyage, il te faut une carte d'identité valable.",
        "L'horloge de l'église retarde toujours de cinq minutes.",
        "On se retrouve à huit heures devant l'entrée du cinéma.",
        "La vieille maison au bord du lac est vide depuis longtemps.",
        "Ma tante tricote des chaussettes à tout le monde pour Noël.",
        "N'oublie pas d'arroser les fleurs sur le balcon.",
        "Heureusement, personne n'a remarqué que j'étais en retard.",
    ),
    "Spanish": (
        "El tren de Sevilla llegó otra vez con media hora de retraso.",
        "En el huerto de mi abuela crecen manzanas, peras y ciruelas.",
        "¿Me puede decir dónde está la farmacia más cercana?",
        "Después de la lluvia toda la calle olía a tierra mojada.",
        "Ayer hablamos de la obra de teatro hasta la medianoche.",
        "La panadería de la esquina abre a las seis de la mañana.",
        "Mi hermana estudia violín desde hace tres años y toca cada día.",
        "Todavía es demasiado pronto para saber el resultado.",
        "Los niños construyeron un barco con cajas de cartón viejas.",
        "Con este tiempo prefiero quedarme en casa leyendo.",
        "El médico me dijo que durmiera más y tomara menos café.",
        "En el mercado había pescado fresco y fresas muy caras.",
        "Dejé la llave debajo de la alfombra de la entrada.",
        "No quedaban entradas para el concierto, pero conseguimos dos.",
        "En invierno los estanques se hielan y todos salen a patinar.",
        "Su hermano trabaja de maestro en un pueblo pequeño.",
        "La factura tiene que pagarse antes de fin de mes.",
        "¿Has oído que el puente está cerrado a los coches?",
        "El último que salga de casa, que apague la luz.",
        "Al perro le gusta dormir junto a la estufa caliente.",
        "Sin gafas no puedo leer unas letras tan pequeñas.",
        "El domingo vamos a visitar el museo de arte moderno.",
        "A la sopa le falta un poco de sal y de perejil.",
        "Antes bajaba por aquí un tranvía que llegaba hasta el río.",
        "No entiendo por qué la impresora no quiere funcionar hoy.",
        "La bicicleta lleva semanas en el sótano con una rueda pinchada.",
        "Nuestros vecinos se mudan el mes que viene a un piso más grande.",
        "Esta noche el viento ha tirado dos árboles del parque.",
        "Ella le escribió una carta larga que nunca llegó a enviar.",
        "En la nevera quedan leche, queso y un trozo de tarta.",
        "El examen fue más difícil de lo que todos pensábamos.",
        "Habla tan bajo que apenas se le entiende.",
        "La semana que viene volverán a subir las temperaturas.",
        "Para el viaje necesitas un documento de identidad válido.",
        "El reloj de la iglesia siempre va cinco minutos atrasado.",
        "Quedamos a las ocho delante de la entrada del cine.",
        "La casa vieja junto al lago lleva mucho tiempo vacía.",
        "Mi tía nos teje calcetines a todos por Navidad.",
        "No te olvides de regar las flores del balcón.",
        "Por suerte nadie se dio cuenta de que llegué tarde.",
    ),
    "Turkish": (
        "Ankara treni bugün yine yarım saat geç geldi.",
        "Büyükannemin bahçesinde elma, armut ve erik ağaçları var.",
        "En yakın eczanenin nerede olduğunu söyleyebilir misiniz?",
        "Yağmurdan sonra bütün sokak ıslak toprak kokuyordu.",
        "Dün gece yarısına kadar o oyun hakkında konuştuk.",
        "Köşedeki fırın sabah saat altıda açılıyor.",
        "Kız kardeşim üç yıldır keman öğreniyor ve her gün çalışıyor.",
        "Sonucu söylemek için henüz çok erken.",
        "Çocuklar eski kutulardan bir gemi yaptılar.",
        "Bu havada evde kalıp kitap okumayı tercih ederim.",
        "Doktor daha çok uyumamı ve daha az kahve içmemi söyledi.",
        "Pazarda taze balık ve çok pahalı çilek vardı.",
        "Anahtarı kapının önündeki paspasın altına bıraktım.",
        "Konserin biletleri bitmişti ama biz iki tane bulduk.",
        "Kışın göletler donar ve herkes kaymaya gider.",
        "Ağabeyi küçük bir köyde öğretmenlik yapıyor.",
        "Faturanın ay sonuna kadar ödenmesi gerekiyor.",
        "Köprünün arabalara kapatıldığını duydun mu?",
        "Evden en son çıkan lütfen ışığı söndürsün.",
        "Köpek en çok sıcak sobanın yanında uyumayı sever.",
        "Gözlüğüm olmadan bu küçük harfleri okuyamıyorum.",
        "Pazar günü modern sanat müzesini gezeceğiz.",
        "Çorbaya biraz tuz ve biraz maydanoz lazım.",
        "Eskiden buradan nehre kadar inen bir tramvay vardı.",
        "Yazıcının bugün neden çalışmadığını anlamıyorum.",
        "Bisiklet haftalardır patlak lastikle bodrumda duruyor.",
        "Komşularımız gelecek ay daha büyük bir eve taşınıyor.",
        "Rüzgâr bu gece parktaki iki ağacı devirdi.",
        "Ona uzun bir mektup yazdı ama hiç göndermedi.",
        "Buzdolabında süt, peynir ve bir dilim pasta kaldı.",
        "Sınav hepimizin düşündüğünden daha zordu.",
        "O kadar alçak sesle konuşuyor ki zor duyuluyor.",
        "Gelecek hafta sıcaklıkların yeniden yükselmesi bekleniyor.",
        "Yolculuk için geçerli bir kimlik kartı gerekli.",
        "Meydandaki saat her zaman beş dakika geri kalır.",
        "Saat sekizde sinemanın girişinde buluşuyoruz.",
        "Göl kenarındaki eski ev uzun zamandır boş duruyor.",
        "Teyzem her kış hepimize yün çorap örer.",
        "Balkondaki çiçekleri sulamayı unutma.",
        "Neyse ki geç kaldığımı kimse fark etmedi.",
    ),
}
