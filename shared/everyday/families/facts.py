"""Families about the world: capitals, general facts, translation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from everyday.families.question import Item, Question, sample_items, table

if TYPE_CHECKING:
    from random import Random

# Country, capital and its other names, and a city often mistaken for it.
_CAPITALS = table("""
France|Paris
Germany|Berlin
Italy|Rome
Spain|Madrid
Portugal|Lisbon
the United Kingdom|London
Ireland|Dublin
Austria|Vienna
Switzerland|Bern,Berne|Zurich,Geneva
Belgium|Brussels
the Netherlands|Amsterdam
Denmark|Copenhagen
Norway|Oslo
Sweden|Stockholm
Finland|Helsinki
Iceland|Reykjavik,Reykjavík
Poland|Warsaw
Hungary|Budapest
Romania|Bucharest
Bulgaria|Sofia
Greece|Athens
Serbia|Belgrade
Croatia|Zagreb
Slovenia|Ljubljana
Slovakia|Bratislava
Albania|Tirana
North Macedonia|Skopje
Montenegro|Podgorica
Moldova|Chisinau,Chișinău,Kishinev
Ukraine|Kyiv,Kiev
Belarus|Minsk
Lithuania|Vilnius
Latvia|Riga
Estonia|Tallinn
Russia|Moscow
Turkey|Ankara|Istanbul
Cyprus|Nicosia
Malta|Valletta
Georgia (the country)|Tbilisi
Armenia|Yerevan
Azerbaijan|Baku
Egypt|Cairo
Libya|Tripoli
Tunisia|Tunis
Algeria|Algiers
Morocco|Rabat|Casablanca,Marrakesh
Senegal|Dakar
Ghana|Accra
Nigeria|Abuja|Lagos
Cameroon|Yaounde,Yaoundé|Douala
Kenya|Nairobi
Uganda|Kampala
Rwanda|Kigali
Ethiopia|Addis Ababa
Sudan|Khartoum
Somalia|Mogadishu
Zambia|Lusaka
Zimbabwe|Harare
Botswana|Gaborone
Namibia|Windhoek
Angola|Luanda
Mozambique|Maputo
Madagascar|Antananarivo
Mali|Bamako
Niger|Niamey
Chad|N'Djamena,Ndjamena
Burkina Faso|Ouagadougou
Togo|Lome,Lomé
Liberia|Monrovia
Sierra Leone|Freetown
Gabon|Libreville
Eritrea|Asmara
Malawi|Lilongwe|Blantyre
Mauritius|Port Louis
Canada|Ottawa|Toronto,Montreal,Vancouver
the United States|Washington
Mexico|Mexico City
Cuba|Havana
Jamaica|Kingston
Haiti|Port-au-Prince
the Dominican Republic|Santo Domingo
Guatemala|Guatemala City
Honduras|Tegucigalpa
Nicaragua|Managua
Costa Rica|San Jose,San José
Panama|Panama City
Colombia|Bogota,Bogotá
Venezuela|Caracas
Ecuador|Quito|Guayaquil
Peru|Lima
Chile|Santiago
Argentina|Buenos Aires
Uruguay|Montevideo
Paraguay|Asuncion,Asunción
Brazil|Brasilia,Brasília|Rio de Janeiro,Sao Paulo,São Paulo
Suriname|Paramaribo
Guyana|Georgetown
Barbados|Bridgetown
China|Beijing,Peking|Shanghai
Japan|Tokyo
South Korea|Seoul
North Korea|Pyongyang
Mongolia|Ulaanbaatar,Ulan Bator
India|New Delhi|Mumbai
Pakistan|Islamabad|Karachi,Lahore
Bangladesh|Dhaka
Nepal|Kathmandu
Bhutan|Thimphu
Afghanistan|Kabul
Iran|Tehran
Iraq|Baghdad
Syria|Damascus
Jordan|Amman
Lebanon|Beirut
Saudi Arabia|Riyadh|Jeddah,Mecca
Oman|Muscat
Qatar|Doha
the United Arab Emirates|Abu Dhabi|Dubai
Uzbekistan|Tashkent|Samarkand
Kyrgyzstan|Bishkek
Tajikistan|Dushanbe
Turkmenistan|Ashgabat
Thailand|Bangkok
Vietnam|Hanoi|Ho Chi Minh City
Laos|Vientiane
Cambodia|Phnom Penh
the Philippines|Manila
Malaysia|Kuala Lumpur
Australia|Canberra|Sydney,Melbourne
New Zealand|Wellington|Auckland
Fiji|Suva
Papua New Guinea|Port Moresby
Samoa|Apia
Tonga|Nuku'alofa,Nukualofa
Vanuatu|Port Vila
Brunei|Bandar Seri Begawan
""")
_ASK_CAPITAL = (
    "What is the capital of {}?",
    "Name the capital city of {}.",
    "Which city is the capital of {}?",
)
_ENDINGS = ("Answer with the city name only.", "Reply with just the name of the city.")


def _capital(rng: Random, country: str, names: str, mistaken: str = "") -> Item:
    accept = names.split(",")
    reference = {"accept": accept, "wrong": mistaken.split(",")} if mistaken else accept
    question = rng.choice(_ASK_CAPITAL).format(country)
    return f"{question} {rng.choice(_ENDINGS)}", reference, "contains"


def capitals(rng: Random, n: int) -> list[Question]:
    """Capitals, from well known to obscure."""
    return sample_items("capitals", rng, n, [_capital(rng, *row) for row in _CAPITALS])


# Question and the accepted answers.
_FACTS = table("""
What is the chemical symbol for gold?|Au
What is the chemical symbol for sodium?|Na
What is the chemical symbol for iron?|Fe
What is the chemical symbol for tungsten?|W
What is the chemical symbol for potassium?|K
What is the chemical symbol for silver?|Ag
Which element has atomic number 1?|hydrogen
Which element has atomic number 6?|carbon
Which element has atomic number 8?|oxygen
Which element has atomic number 26?|iron
Which element has atomic number 79?|gold
Which element has atomic number 92?|uranium
Which planet is closest to the Sun?|Mercury
Which planet is the largest in the Solar System?|Jupiter
Which planet is known as the Red Planet?|Mars
Which planet has the moon Titan?|Saturn
Which planet has the moon Triton?|Neptune
Which planet has the moons Phobos and Deimos?|Mars
What is the largest ocean on Earth?|Pacific
What is the largest continent by area?|Asia
What is the smallest continent by area?|Australia,Oceania
What is the highest mountain above sea level?|Everest
What is the second highest mountain above sea level?|K2,Godwin-Austen
What is the highest mountain in Africa?|Kilimanjaro
What is the highest mountain in South America?|Aconcagua
What is the highest mountain in North America?|Denali,McKinley
What is the largest hot desert in the world?|Sahara
Which river flows through Paris?|Seine
Which river flows through London?|Thames
Which river flows through Cairo?|Nile
Which river flows through Vienna?|Danube
Which river flows through Rome?|Tiber
Which river flows through Baghdad?|Tigris
What is the deepest lake in the world?|Baikal
Which country has the city of Timbuktu?|Mali
Which country has the city of Marrakesh?|Morocco
Which country owns Greenland?|Denmark
In which country is Machu Picchu?|Peru
In which country is Angkor Wat?|Cambodia
In which country is Petra, the ancient rock-cut city?|Jordan
In which country is the Taj Mahal?|India
In which city is the Colosseum?|Rome
In which city is the Hermitage Museum?|Saint Petersburg,St Petersburg,St. Petersburg
In which city is the Prado Museum?|Madrid
In which city is the Brandenburg Gate?|Berlin
In which city is the Hagia Sophia?|Istanbul
What is the currency of Japan?|yen
What is the currency of India?|rupee,rupees
What is the currency of Switzerland?|franc,francs
What is the currency of Poland?|zloty,złoty
What is the currency of Thailand?|baht
What is the currency of Hungary?|forint
What is the currency of Vietnam?|dong
What is the currency of Israel?|shekel,shekels
Who wrote Romeo and Juliet?|Shakespeare
Who wrote Pride and Prejudice?|Austen
Who wrote War and Peace?|Tolstoy
Who wrote Crime and Punishment?|Dostoevsky,Dostoyevsky
Who wrote Don Quixote?|Cervantes
Who wrote Moby-Dick?|Melville
Who wrote Frankenstein?|Shelley
Who wrote The Metamorphosis, about a man who becomes an insect?|Kafka
Who wrote One Hundred Years of Solitude?|Marquez,Márquez
Who wrote The Trial?|Kafka
Who painted the Mona Lisa?|Leonardo,da Vinci
Who painted The Starry Night?|Gogh
Who painted Guernica?|Picasso
Who painted Girl with a Pearl Earring?|Vermeer
Who painted The Night Watch?|Rembrandt
Who painted The Birth of Venus?|Botticelli
Who painted The Scream?|Munch
Who composed The Four Seasons?|Vivaldi
Who composed The Magic Flute?|Mozart
Who composed Swan Lake?|Tchaikovsky
Who composed the opera Carmen?|Bizet
Who composed the opera Aida?|Verdi
Who composed the Moonlight Sonata?|Beethoven
Who developed the theory of general relativity?|Einstein
Who proposed natural selection in On the Origin of Species?|Darwin
Who discovered penicillin?|Fleming
Who invented the World Wide Web?|Berners-Lee
Who proposed the periodic table of 1869?|Mendeleev,Mendeleyev
Who formulated the three laws of planetary motion?|Kepler
Who was the first person to walk on the Moon?|Armstrong
Who was the first human in space?|Gagarin
Who was the first president of the United States?|Washington
Who was the British prime minister for most of the Second World War?|Churchill
Who was the first emperor of Rome?|Augustus,Octavian
Who led the first expedition to reach the South Pole?|Amundsen
Which gas do plants take in for photosynthesis?|carbon dioxide,CO2,CO₂
Which gas makes up most of Earth's atmosphere?|nitrogen
What is the hardest natural mineral?|diamond
What is the largest organ of the human body?|skin
Which organ produces insulin?|pancreas
Which organ pumps blood through the body?|heart
What is the longest bone in the human body?|femur,thigh bone,thighbone
Which vitamin does the skin make in sunlight?|D,vitamin D
What is the largest living land animal?|elephant
What is the fastest land animal?|cheetah
What is the largest animal ever known to have lived?|blue whale
What is the tallest living animal?|giraffe
What is the SI unit of force?|newton,newtons
What is the SI unit of electrical resistance?|ohm,ohms
What is the SI unit of electric charge?|coulomb,coulombs
What is the SI unit of magnetic flux density?|tesla,teslas
What is the SI unit of frequency?|hertz
What is the main language spoken in Brazil?|Portuguese
What is the main language spoken in Austria?|German
What is the official language of Iran?|Persian,Farsi
In which sport is the Davis Cup awarded?|tennis
In which sport is the Stanley Cup awarded?|ice hockey,hockey
In which sport is the Ryder Cup contested?|golf
What is a baby kangaroo called?|joey
What is a group of wolves called?|pack
What is a group of lions called?|pride
What do caterpillars turn into?|butterfly,butterflies,moth,moths
What is frozen water called?|ice
What is the study of earthquakes called?|seismology
What is the study of insects called?|entomology
What is the study of fungi called?|mycology
Which Greek god ruled the sea?|Poseidon
Which Norse god wields the hammer Mjolnir?|Thor
Which Roman god corresponds to the Greek god Ares?|Mars
Who is the Greek goddess of wisdom?|Athena,Athene
Which metal is liquid at room temperature?|mercury
Which metal is the main component of steel?|iron
Copper and tin are the main components of which alloy?|bronze
Copper and zinc are the main components of which alloy?|brass
""")
_YEARS_AND_COUNTS = table("""
In which year did the Second World War end?|1945
In which year did the First World War begin?|1914
In which year did the Berlin Wall fall?|1989
In which year did the Titanic sink?|1912
In which year did humans first land on the Moon?|1969
In which year did the French Revolution begin?|1789
In which year was the Battle of Hastings?|1066
In which year was the Battle of Waterloo?|1815
In which year did Columbus first reach the Americas?|1492
In which year did the Chernobyl disaster happen?|1986
In which year was the Magna Carta sealed?|1215
In which year did Constantinople fall to the Ottomans?|1453
How many sides does a hexagon have?|6
How many sides does a dodecagon have?|12
How many legs does a spider have?|8
How many planets are in the Solar System?|8
How many bones are in the typical adult human body?|206
How many strings does a standard violin have?|4
How many keys does a standard modern piano have?|88
How many squares are on a chessboard, counting only the smallest ones?|64
How many players does a football (soccer) team have on the field?|11
How many chromosomes does a typical human body cell have?|46
How many degrees are in a right angle?|90
How many edges does a cube have?|12
How many time zones does mainland China officially use?|1
""")
_SHORT = ("Answer briefly, with the name only.", "Give only the answer, no explanation.")


def _fact(rng: Random, question: str, names: str) -> Item:
    accept = names.split(",")
    # One letter in running prose proves nothing, so it must be the whole answer.
    grader = "exact" if len(accept[0]) == 1 else "contains"
    return f"{question} {rng.choice(_SHORT)}", accept, grader


def general_facts(rng: Random, n: int) -> list[Question]:
    """Science, history, geography and culture."""
    named = [_fact(rng, *row) for row in _FACTS]
    counted: list[Item] = [
        (f"{question} Answer with the number only.", int(value), "number")
        for question, value in _YEARS_AND_COUNTS
    ]
    return sample_items("general_facts", rng, n, named + counted)


_SPANISH = table("""
perro|dog
gato|cat
casa|house,home
agua|water
libro|book
manzana|apple
queso|cheese
zapato|shoe
ventana|window
cuchara|spoon
mariposa|butterfly
abeja|bee
lluvia|rain
nieve|snow
puente|bridge
espejo|mirror
reloj|clock,watch
escalera|ladder,stairs,staircase,stairway,stair
cebolla|onion
ajo|garlic
zanahoria|carrot
tortuga|turtle,tortoise
almohada|pillow,cushion
paraguas|umbrella
tijeras|scissors
cuchillo|knife
tiburón|shark
calabaza|pumpkin,squash,gourd
sábana|sheet,bedsheet,bed sheet
pulpo|octopus
ardilla|squirrel
murciélago|bat
erizo|hedgehog
tobillo|ankle
codo|elbow
ceja|eyebrow
alfombra|carpet,rug
sótano|basement,cellar
clavo|nail,clove
""")
_FRENCH = table("""
chien|dog
chat|cat
pain|bread
eau|water
fromage|cheese
pomme|apple
livre|book,pound
maison|house,home
voiture|car
fenêtre|window
poisson|fish
oiseau|bird
neige|snow
pluie|rain
soleil|sun
lune|moon
fleur|flower
arbre|tree
cuillère|spoon
couteau|knife
papillon|butterfly
abeille|bee
pont|bridge
miroir|mirror
oignon|onion
tortue|turtle,tortoise
oreiller|pillow
parapluie|umbrella
ciseaux|scissors
écureuil|squirrel
chauve-souris|bat
hérisson|hedgehog
citrouille|pumpkin
requin|shark
coude|elbow
sourcil|eyebrow
cheville|ankle
tiroir|drawer
grenouille|frog
escargot|snail
""")
_GERMAN = table("""
Hund|dog
Katze|cat
Brot|bread
Wasser|water
Haus|house,home
Buch|book
Apfel|apple
Baum|tree
Schule|school
Auto|car,automobile
Fenster|window
Vogel|bird
Schnee|snow
Regen|rain
Löffel|spoon
Messer|knife
Schmetterling|butterfly
Biene|bee
Brücke|bridge
Spiegel|mirror
Zwiebel|onion
Schildkröte|turtle,tortoise
Kissen|pillow,cushion
Regenschirm|umbrella
Schere|scissors
Eichhörnchen|squirrel
Fledermaus|bat
Igel|hedgehog
Kürbis|pumpkin,squash
Hai|shark
Ellbogen|elbow
Augenbraue|eyebrow
Schublade|drawer
Frosch|frog
Schnecke|snail,slug
Handschuh|glove
Krankenhaus|hospital
Bleistift|pencil
Flughafen|airport
Schraube|screw,bolt
""")


def _translate(rng: Random, language: str, word: str, names: str) -> Item:
    forms = (
        f"What does the {language} word '{word}' mean in English?",
        f"Translate the {language} word '{word}' into English.",
        f"What is the English word for the {language} '{word}'?",
    )
    accept = [name for single in names.split(",") for name in (single, _plural(single))]
    return f"{rng.choice(forms)} Answer with the English word only.", accept, "contains"


def _plural(noun: str) -> str:
    return noun if noun.endswith("s") else f"{noun}s"


def translation(rng: Random, n: int) -> list[Question]:
    """Spanish, French and German nouns, from everyday to rare."""
    languages = (("Spanish", _SPANISH), ("French", _FRENCH), ("German", _GERMAN))
    items = [_translate(rng, name, *row) for name, rows in languages for row in rows]
    return sample_items("translation", rng, n, items)
