"""Families about language: sentiment, spelling and grammar, odd one out, JSON extraction."""
# ruff: noqa: E501 - a row of a table stays on one line

from __future__ import annotations

from typing import TYPE_CHECKING

from everyday.families.question import (
    Item,
    Question,
    choice_item,
    draw_distinct,
    label_item,
    sample_items,
    table,
)

if TYPE_CHECKING:
    from random import Random

# P or N, and the review; the later ones turn on negation, contrast or sarcasm.
_REVIEWS = table("""
P|I loved every minute of this film.
P|The soup was delicious and the staff were friendly.
P|Great headphones, clear sound and very comfortable.
P|A wonderful hotel with a lovely view.
P|This book made me laugh out loud.
P|Fast delivery and the lamp looks beautiful.
P|Best pizza in town, we come every week.
P|My kids adore this toy.
P|The battery lasts for days. Excellent phone.
P|A moving story with brilliant acting.
P|The room was spotless and the bed was soft.
P|Works perfectly and was easy to set up.
P|I would happily buy this jacket again.
P|The guide was funny and knew everything.
P|Fresh fish, fair prices, warm welcome.
N|The film was boring from start to finish.
N|The soup was cold and the waiter was rude.
N|These headphones broke after two days.
N|Dirty rooms and a terrible smell.
N|I could not finish this dull book.
N|The lamp arrived cracked and nobody replied to my emails.
N|The worst pizza I have ever eaten.
N|This toy fell apart in an hour.
N|The battery dies by noon. Awful phone.
N|Weak plot and wooden acting.
N|The bed was hard and the room was noisy.
N|It never worked and the refund took months.
N|I regret buying this jacket.
N|The tour was a waste of money.
N|Overpriced, bland and slow.
P|Not bad at all, I was pleasantly surprised.
P|I can't find a single thing to complain about.
P|I expected a disaster and got a masterpiece.
P|The cover is ugly, but the story inside is superb.
P|It is not cheap, yet it is worth every penny.
P|I never thought a vacuum cleaner could make me this happy.
P|You won't regret buying this one.
P|The queue was long, but the food made us forget it at once.
P|I was ready to hate it and ended up watching it twice.
P|Nothing about this stay could have been better.
P|My old one was awful. This one is anything but.
P|There isn't a dull page in the whole book.
P|I had doubts about the price, and they vanished after one night on this mattress.
P|The only problem is that I can't stop eating them.
P|Don't believe the bad reviews, this place is a gem.
P|It took me a week to get used to it, and now I could not live without it.
P|The first chapter drags, but after that I could not put it down.
P|Hardly a flaw anywhere.
P|I have yet to meet anyone who was disappointed by this cafe.
P|Small, plain and far better than the expensive rivals.
P|My wife mocked me for ordering it, and now she uses it every day.
P|I wish I had found this restaurant years ago.
P|Never once has this kettle let me down.
P|The trailer was terrible. Thankfully, the film is nothing like it.
P|It failed to disappoint, even after all the hype.
P|We were sorry to leave.
P|I'd be lying if I said I didn't enjoy it.
P|If only every hotel were run like this one.
P|The complaints about noise are a mystery to me, I slept like a baby.
P|Far from the boring lecture I feared.
N|Not good at all, I was really let down.
N|I wanted to love it, but I can't.
N|I expected a masterpiece and got a disaster.
N|The cover is beautiful, but the story inside is empty.
N|It is cheap, and you can tell.
N|I have never been so happy to leave a hotel.
N|You will regret buying this one.
N|The view was nice, but that does not make up for the cockroaches.
N|Great, another charger that stops working after a week.
N|Oh wonderful, a waterproof watch that drowned in the rain.
N|If you enjoy waiting two hours for cold fries, this is the place for you.
N|A perfect film for anyone who needs a nap.
N|The best thing about the meal was that it ended.
N|Thanks for the free food poisoning.
N|Five stars for the marketing team, who sold me this junk.
N|It works brilliantly as a paperweight.
N|I laughed a lot, although it was meant to be a tragedy.
N|The actors are talented, which makes the result even sadder.
N|Nothing about this stay was worth the price.
N|My old one was excellent. This one is anything but.
N|There isn't an interesting page in the whole book.
N|I had high hopes, and they vanished after one night on this mattress.
N|The only good thing is the box it came in.
N|Don't believe the good reviews, this place is a trap.
N|The first chapter is gripping, but after that I gave up.
N|Hardly anything worked as promised.
N|I have yet to meet anyone who liked this cafe.
N|Big, shiny and far worse than the cheap rivals.
N|I wish I had read the reviews before booking.
N|Never once has this kettle boiled without leaking.
N|The trailer was brilliant. Sadly, the film is nothing like it.
N|It could have been lovely if anyone had cleaned it.
N|I'd be lying if I said I enjoyed it.
N|If only the food were as good as the menu makes it sound.
N|Customer service was a delight, if you like being hung up on.
N|A masterclass in how to ruin a good novel.
N|I slept like a baby: I woke up crying every two hours because of the noise.
N|Congratulations, you managed to make chocolate taste bad.
N|The sound is crisp when it works, which is almost never.
N|Far from the exciting match we were promised.
N|I'm sure somebody enjoys it, but that somebody is not me.
N|So fresh that the salad was still moving.
P|Simple, honest cooking that left us smiling.
P|The plot twist at the end is genius.
P|This little cafe never disappoints.
P|My back pain is gone since I bought this chair.
N|My back pain started when I bought this chair.
N|The plot twist at the end is absurd.
N|This airline loses my bags every single time.
N|Simple cooking would be fine if it were not burnt.
""")
_ASK_SENTIMENT = (
    "Is this review positive or negative? '{}' Answer with one word: positive or negative.",
    "Review: '{}'\nClassify the sentiment as positive or negative. Answer with one word.",
    "Does the writer of this review sound positive or negative? '{}' Reply with one word.",
)


def sentiment(rng: Random, n: int) -> list[Question]:
    """Short reviews; about half turn on negation, contrast or sarcasm."""
    labels = ("positive", "negative")
    items = [
        label_item(
            rng.choice(_ASK_SENTIMENT).format(review), labels["PN".index(mark)], sorted(labels)
        )
        for mark, review in _REVIEWS
    ]
    return sample_items("sentiment", rng, n, items)


# The right spelling and three wrong ones.
_SPELLINGS = table("""
accommodate|accomodate|acommodate|acomodate
achieve|acheive|acheeve|achive
believe|beleive|belive|beleeve
calendar|calender|calandar|calander
cemetery|cemetary|cematery|semetery
conscience|concience|consience|conscence
definitely|definately|definitly|defiantely
embarrass|embarass|embarras|embaress
environment|enviroment|enviromment|envirenment
existence|existance|existense|exsistence
foreign|foriegn|foregin|forein
friend|freind|frend|freeind
government|goverment|governmant|govornment
grammar|grammer|gramar|gramer
guarantee|garantee|guarentee|gaurantee
harass|harrass|haras|harras
height|hieght|heigth|hight
immediately|immediatly|imediately|immedietly
independent|independant|indipendent|independint
knowledge|knowlege|knowledje|knoledge
library|libary|librery|libraray
lightning|lightnning|lightnin|litening
maintenance|maintainance|maintenence|maintnance
millennium|millenium|milennium|milenium
mischievous|mischevious|mischevous|mischeivous
necessary|neccessary|necesary|neccesary
noticeable|noticable|notisable|noticeble
occasion|ocassion|occassion|ocasion
occurrence|occurence|ocurrence|occurrance
parallel|paralell|parallell|paralel
perseverance|perseverence|persaverance|perserverance
possession|posession|possesion|posesion
privilege|priviledge|privelege|privlege
pronunciation|pronounciation|pronuntiation|pronunciacion
questionnaire|questionaire|questionnare|questionairre
receive|recieve|receeve|receve
recommend|recomend|reccomend|reccommend
restaurant|restaraunt|restaurent|resturant
rhythm|rythm|rhythem|rythym
schedule|schedual|shedule|scedule
separate|seperate|seperete|separete
successful|succesful|successfull|sucessful
surprise|suprise|surprisse|surprice
tomorrow|tommorow|tommorrow|tomorow
truly|truely|trully|trulie
until|untill|untell|untile
vacuum|vaccum|vaccuum|vacume
weird|wierd|weerd|wird
beginning|begining|beggining|beginining
liaison|liason|laison|liasion
""")
# The right sentence and the wrong one.
_SENTENCES = table("""
She doesn't like coffee.|She don't like coffee.
They were late yesterday.|They was late yesterday.
I have seen that film.|I have saw that film.
He goes to school by bus.|He go to school by bus.
Its roof is red, and it's an old house.|It's roof is red, and its an old house.
Your bag is here, so you're lucky.|You're bag is here, so your lucky.
There are three cats in their garden.|Their are three cats in there garden.
She is taller than me.|She is more taller than me.
I could have gone home.|I could of gone home.
He has fewer books than she does.|He has less books than she does.
Between you and me, it was a mistake.|Between you and I, it was a mistake.
Each of the boys has a bike.|Each of the boys have a bike.
Neither answer is correct.|Neither answer are correct.
The news is good today.|The news are good today.
If I were you, I would wait.|If I am you, I would wait.
She sings beautifully.|She sings beautiful.
We arrived at the airport at noon.|We arrived to the airport at noon.
I am interested in history.|I am interested on history.
He is good at chess.|He is good in chess.
I look forward to meeting you.|I look forward to meet you.
She has lived here since 2010.|She lives here since 2010.
He suggested that we leave early.|He suggested us to leave early.
I don't know where he lives.|I don't know where does he live.
The children's toys are new.|The childrens toys are new.
Who's at the door?|Whose at the door?
Whose coat is this?|Who's coat is this?
The medicine affected her sleep.|The medicine effected her sleep.
I need some advice.|I need an advice.
He lay down on the sofa an hour ago.|He laid down on the sofa an hour ago.
This is the best cake I have ever eaten.|This is the most best cake I have ever eaten.
She let me use her phone.|She let me to use her phone.
He made them clean the room.|He made them to clean the room.
Can you tell me what time it is?|Can you tell me what time is it?
There is a lot of milk left.|There are a lot of milk left.
He drove more slowly than usual.|He drove more slower than usual.
One of my friends is a doctor.|One of my friends are a doctor.
The book that I bought is heavy.|The book who I bought is heavy.
I used to swim every day.|I use to swimming every day.
She told me that she was tired.|She said me that she was tired.
We discussed the problem.|We discussed about the problem.
It depends on the weather.|It depends of the weather.
He is married to a teacher.|He is married with a teacher.
I have known her for ten years.|I know her since ten years.
The list of names is on the desk.|The list of names are on the desk.
Having finished dinner, we washed the plates.|Having finished dinner, the plates were washed.
He asked whether I was ready.|He asked that was I ready.
The team that wins gets a prize.|The team that win gets a prize.
My sister's room is small, but mine is big.|My sisters room is small, but my is big.
I had never seen snow before that day.|I had never saw snow before that day.
Please bring it to him and me.|Please bring it to him and I.
The principal gave a speech on principles.|The principle gave a speech on principals.
It rained, so the match was cancelled.|It rained, so the match were cancelled.
He would rather stay than leave.|He would rather stay then leave.
They lost their way because the path was loose.|They loosed their way because the path was lose.
She complimented him on the dress that complements her eyes.|She complemented him on the dress that compliments her eyes.
""")


def _spelling_item(rng: Random, right: str, *wrong: str) -> Item:
    options = [right, *rng.sample(wrong, rng.randint(1, 3))]
    rng.shuffle(options)
    ask = rng.choice(("Which spelling is correct", "Which of these is spelled correctly"))
    prompt = f"{ask}: {' or '.join(options)}? Answer with the word only."
    return prompt, {"accept": [right], "wrong": list(wrong)}, "contains"


def _grammar_item(rng: Random, right: str, wrong: str) -> Item:
    ask = ("Which sentence is correct English?", "Which sentence has no grammar mistake?")
    return choice_item(rng, rng.choice(ask), right, [wrong])


def spelling_grammar(rng: Random, n: int) -> list[Question]:
    """Choose the right spelling of four, or the right sentence of two."""
    spelled = [_spelling_item(rng, *row) for row in _SPELLINGS]
    return sample_items(
        "spelling_grammar", rng, n, spelled + [_grammar_item(rng, *row) for row in _SENTENCES]
    )


# A group, and its members; no word stands in two groups that meet in one question.
_GROUPS = {
    name: members.split(",")
    for name, members in table("""
    fruit|apple,banana,pear,mango,cherry,peach
    furniture|chair,table,sofa,wardrobe,desk,bookcase
    mammals|whale,dolphin,seal,otter,walrus,manatee
    fish|salmon,trout,tuna,cod,herring,shark
    birds|eagle,sparrow,penguin,ostrich,owl,pigeon
    insects|ant,bee,wasp,beetle,butterfly,mosquito
    arachnids|spider,scorpion,tick,mite,tarantula
    reptiles|lizard,crocodile,tortoise,python,gecko,iguana
    metals|iron,copper,zinc,silver,nickel,tin
    gases|oxygen,hydrogen,nitrogen,helium,neon,argon
    planets|Mercury,Venus,Mars,Jupiter,Saturn,Neptune
    moons|Titan,Europa,Ganymede,Callisto,Phobos,Triton
    prime numbers|seven,eleven,thirteen,seventeen,nineteen
    composite numbers|nine,fifteen,twenty-one,twenty-five,twenty-seven
    string instruments|violin,cello,harp,guitar,lute,banjo
    wind instruments|flute,clarinet,oboe,trumpet,trombone,bassoon
    percussion instruments|drum,cymbal,tambourine,xylophone,triangle
    European capitals|Paris,Rome,Madrid,Vienna,Lisbon,Warsaw
    European cities that are not capitals|Barcelona,Munich,Milan,Lyon,Geneva,Rotterdam
    painters|Monet,Rembrandt,Picasso,Vermeer,Cezanne
    composers|Mozart,Beethoven,Chopin,Verdi,Brahms
    ball sports|tennis,basketball,volleyball,baseball,handball
    water sports|swimming,rowing,sailing,surfing,diving
    polygons|square,hexagon,pentagon,octagon,rhombus
    round shapes|circle,ellipse,disc,oval
    clothes|shirt,trousers,jacket,skirt,sweater,scarf
    tools|hammer,saw,screwdriver,drill,pliers,wrench
    weather|rain,snow,hail,fog,drizzle,sleet
    nouns of emotion|anger,joy,fear,grief,pride
    colours|red,green,blue,yellow,purple,orange
    root vegetables|carrot,beetroot,radish,turnip,parsnip
    leafy vegetables|spinach,lettuce,kale,cabbage,chard
    """)
}
_PAIRS = table("""
fruit|furniture
mammals|fish
birds|mammals
insects|arachnids
reptiles|mammals
birds|insects
metals|gases
planets|moons
prime numbers|composite numbers
string instruments|wind instruments
percussion instruments|string instruments
European capitals|European cities that are not capitals
painters|composers
ball sports|water sports
polygons|round shapes
clothes|tools
weather|nouns of emotion
colours|clothes
root vegetables|leafy vegetables
fruit|root vegetables
tools|fruit
fish|birds
furniture|weather
""")


def _odd_one(rng: Random) -> Item:
    pair = list(rng.choice(_PAIRS))
    rng.shuffle(pair)
    members = rng.sample(_GROUPS[pair[0]], rng.randint(3, 4))
    odd = rng.choice(_GROUPS[pair[1]])
    members.append(odd)
    rng.shuffle(members)
    listed = ", ".join(members)
    ask = rng.choice(
        (
            f"Which word does not belong with the others: {listed}?",
            f"Find the odd one out: {listed}.",
            f"One of these members is not like the rest. Which one? {listed}.",
        )
    )
    hint = f" The others are {pair[0]}." if rng.random() < 0.4 else ""  # noqa: PLR2004 - a share
    return label_item(f"{ask}{hint} Answer with the word only.", odd, sorted(members))


def _only_member(rng: Random) -> Item:
    pair = list(rng.choice(_PAIRS))
    rng.shuffle(pair)
    member = rng.choice(_GROUPS[pair[0]])
    options = [member, *rng.sample(_GROUPS[pair[1]], rng.randint(1, 3))]
    rng.shuffle(options)
    ask = f"Which of these belongs to the group '{pair[0]}': {', '.join(options)}?"
    return label_item(f"{ask} Answer with the word only.", member, sorted(options))


def odd_one_out(rng: Random, n: int) -> list[Question]:
    """Find the word that does not belong, or the only one that does."""
    return draw_distinct("odd_one_out", rng, n, (_odd_one, _only_member))
