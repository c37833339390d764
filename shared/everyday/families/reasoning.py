"""Families about reasoning: commonsense choices and logic."""
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
    words,
)

if TYPE_CHECKING:
    from random import Random

# The question, the right option and the wrong ones.
_COMMONSENSE = table("""
What do you use to cut paper?|scissors|a spoon|a pillow|a cup
Where do you keep milk so that it stays fresh?|in the refrigerator|in the oven|on the roof|in a drawer
What should you do when a traffic light turns red?|stop|speed up|close your eyes|sing
What do you wear on your feet in the snow?|boots|a hat|gloves|a scarf
What do people usually do in a library?|read books|swim|fry eggs|play drums
What would you use to see in a dark cave?|a flashlight|a mirror|sunglasses|a towel
Which of these can fly?|a sparrow|a horse|a whale|a snake
What happens to ice left in the sun?|it melts|it grows|it burns|it turns blue
Which one would float on water?|a cork|a brick|a hammer|a coin
Why do people carry umbrellas?|to stay dry|to cook|to sleep|to run faster
What do you do first when you want to enter a locked house?|unlock the door|sit on the sofa|switch off the lamp|climb the stairs
Which of these is the heaviest?|a truck|a bicycle|a suitcase|a cat
Which of these is alive?|a mushroom|a cloud|a river|a candle flame
What do you need to send a paper letter by post?|a stamp|a ladder|a fork|a battery
A glass falls from a table onto a stone floor. What most likely happens?|it breaks|it bounces back|it melts|it floats
Where would you most likely meet a penguin in the wild?|in Antarctica|in the Sahara|in Siberia|in Mongolia
Which meal is usually eaten in the morning?|breakfast|dinner|supper|a midnight snack
What does a person who is very thirsty need most?|a drink|a blanket|a comb|a map
What is a thermometer used to measure?|temperature|weight|distance|time
Who would you call if your sink leaks?|a plumber|a dentist|a pilot|a tailor
Who repairs teeth?|a dentist|a carpenter|a baker|a judge
Why did the man bring flowers to the hospital?|to cheer up a patient|to feed a horse|to fix a car|to pay a bill
If you plant an acorn, what may grow?|an oak|a pine|a rose|a cactus
The street is wet everywhere this morning. What most likely happened?|it rained at night|the sun shone all night|a cat crossed it|a shop opened
What would you do with a dirty shirt?|wash it|eat it|plant it|read it
Which of these should not go in a microwave?|a metal fork|a bowl of soup|a paper towel|a potato
You hear thunder. What did you most likely miss seeing just before?|lightning|a rainbow|the sunrise|snow
What do you call the person who flies a plane?|a pilot|a sailor|a conductor|a driver
Which object is usually round?|a wheel|a door|a brick|a book
Tom forgot his key and nobody is home. What is his problem?|he cannot get in|he cannot get out|he is too warm|he is too early for work
A plant has dropped its leaves and the soil is dry. What should you do?|water it|paint it|put it in the oven|cut off the roots
Which of these would attract a magnet?|an iron nail|a wooden spoon|a rubber band|a glass marble
What do you use to dry your hair fastest?|a hair dryer|a comb|a fan of paper|a hat
Where do fish breathe?|under water|in the sand of a desert|in trees|in space
Which surface is the most slippery?|wet ice|dry sand|carpet|gravel
What would happen if you put a balloon on a needle?|it pops|it shrinks slowly by itself|it gets heavier|nothing at all
Which sense do you use to enjoy music?|hearing|smell|taste|touch
What do you put on toast?|butter|glue|shampoo|gravel
Which of these takes the longest?|growing up|boiling an egg|brushing teeth|watching a film
Which of these is smallest?|a grain of sand|a pea|a marble|a walnut
Why do people wear helmets on motorbikes?|to protect the head|to hear better|to go faster|to save fuel
Which tool drives a nail into wood?|a hammer|a saw|a ruler|a brush
Where is the best place to look for a book's publication year?|the copyright page|the price tag|the bookmark|the spine label of the library
You drop a stone and a feather in a vacuum. Which lands first?|both at once|the stone|the feather|neither lands
A candle burns in a sealed jar and goes out. Why?|the oxygen ran low|the jar got too cold|the wax froze|the glass absorbed the light
What casts a shadow?|an object that blocks light|an object that is hot|any object in total darkness|only living things
Why does a metal bench feel colder than a wooden one on a cold day?|metal draws heat away faster|metal is always at a lower temperature|wood makes its own heat|wood is heavier
When is your shadow outdoors the shortest?|around noon|at sunrise|at sunset|at midnight
Which of these would you take on a camping trip?|a tent|a piano|a bathtub|a wardrobe
You face north and turn right. Which way do you face?|east|west|south|north
You face east and turn left. Which way do you face?|north|south|west|east
You face south and turn right. Which way do you face?|west|east|north|south
You face west, turn right and then turn right again. Which way do you face?|east|north|south|west
You face north and turn around completely once. Which way do you face?|north|south|east|west
Anna's mother has three children: Kim, Lee and who?|Anna|Kim|Sam|nobody
A brother of your father is your what?|uncle|cousin|nephew|grandfather
The daughter of your sister is your what?|niece|aunt|cousin|sister-in-law
The son of your aunt is your what?|cousin|nephew|uncle|brother
The father of your mother is your what?|grandfather|uncle|father-in-law|great-uncle
The wife of your brother is your what?|sister-in-law|aunt|niece|cousin
The mother of your daughter's son is your what?|daughter|sister|niece|mother
A man looks at a portrait and says: 'His father is my father's son, and I have no siblings.' Who is in the portrait?|his son|his father|himself|his brother
In a race you overtake the runner in second place. What place are you in now?|second|first|third|last
A farmer has 17 sheep and all but 9 run away. How many sheep are left?|9|8|17|26
Some months have 31 days. How many have at least 28?|12|1|11|4
Which weighs more: a kilogram of iron or a kilogram of feathers?|they weigh the same|the iron|the feathers|it depends on the colour
A bat and a ball cost $1.10 together, and the bat costs $1 more than the ball. What does the ball cost?|5 cents|10 cents|1 dollar|15 cents
It takes 5 machines 5 minutes to make 5 cups. How long do 100 machines need for 100 cups?|5 minutes|100 minutes|20 minutes|1 minute
A lily patch doubles every day and covers the lake on day 48. When did it cover half of it?|day 47|day 24|day 12|day 36
Three towels dry on the line in two hours. How long do six towels need, side by side?|two hours|four hours|one hour|six hours
You have a match and enter a cold room with an oil lamp, a candle and a fireplace. What do you light first?|the match|the lamp|the candle|the fireplace
A rope ladder is cut into pieces with 4 cuts. How many pieces are there?|5|4|3|8
The trophy does not fit in the suitcase because it is too big. What is too big?|the trophy|the suitcase|the lock|the room
The trophy does not fit in the suitcase because it is too small. What is too small?|the suitcase|the trophy|the lock|the room
The dog chased the cat because it was angry at being scratched. Who was angry?|the dog|the cat|the owner|the mouse
Paul lent Mark his car because he did not need it that day. Who did not need the car?|Paul|Mark|both|the dealer
Sue thanked Jane because she had helped her move. Who had helped?|Jane|Sue|the movers|nobody
The ball broke the table because it was made of thin glass. What was made of glass?|the table|the ball|the floor|the bat
The ball broke the table because it was made of steel. What was made of steel?|the ball|the table|the floor|the cloth
Ann asked Beth for advice because she is an expert. Who is the expert?|Beth|Ann|both|neither
Tim put the milk back before he left. Where is the milk now?|in the refrigerator|in his bag|in the bath|in the car
Sally puts a ball in a basket and leaves. Anne moves it to a box. Where will Sally look for it first?|in the basket|in the box|in her pocket|under the bed
Max puts a coin in the red cup. Then he pours it from the red cup into the blue cup. Where is the coin?|in the blue cup|in the red cup|in both cups|in his hand
Bo fills a cup with coffee and turns it upside down over the sink. What is in the cup now?|almost nothing|hot coffee|cold coffee|milk
A boat has a ladder with its lowest rung at the water line. The tide rises by one metre. Where is the water line now?|at the lowest rung|one metre up the ladder|at the top of the ladder|below the keel
Which is a good reason to whisper?|a baby is asleep nearby|the music is too loud|you are on a noisy street|your friend is far away
Why would you put a wet phone in a dry place?|to let water evaporate|to charge it|to make it louder|to hide it
What is the safest thing to do in a thunderstorm?|go indoors|stand under a lone tree|fly a kite|swim in a lake
What should you do with a hot pan?|use an oven glove|grab it with bare hands|put it on a plastic bag|throw it
Which of these comes last when baking a cake?|decorating it|mixing the batter|heating the oven|buying flour
Which of these comes first when painting a wall?|cleaning the wall|the second coat|removing the tape|admiring the result
Which of these is the odd way to travel on land?|a submarine|a train|a bus|a bicycle
Which of these lasts the longest without refrigeration?|honey|fresh milk|raw fish|cut melon
Which of these rooms usually has a bathtub?|the bathroom|the garage|the attic|the hall
If all shops are closed on Sunday and today is Saturday, when should you buy bread for tomorrow?|today|tomorrow|on Monday|never
You have one hour and a bus takes 40 minutes. How much time can you spare?|20 minutes|40 minutes|100 minutes|none
Lena is shorter than Max but taller than Ola. Who is in the middle?|Lena|Max|Ola|nobody
A sign says 'No entry except residents'. Who may enter?|people who live there|nobody|everybody|tourists only
The invitation says the party starts at 8 pm. Jo arrives at 20:00. Jo is what?|on time|early|late by an hour|a day late
The recipe for 4 people needs 2 eggs. How many eggs do you need for 10 people?|5|4|8|20
A clock shows 3:00. In a mirror, what time does it seem to show?|9:00|3:00|6:00|12:00
Which of these would you find at the top of a mountain rather than the bottom?|thinner air|more oxygen|higher air pressure|warmer nights
Why do cooks put a lid on a pot of water?|it boils sooner|it boils later|it tastes sweeter|it weighs less
Which of these will dry a wet floor fastest?|an open window and a fan|a closed window|more water|a dark room
""")


def _sense(rng: Random, question: str, right: str, *wrong: str) -> Item:
    # Fewer options make an easier question.
    return choice_item(rng, question, right, rng.sample(wrong, rng.randint(1, 3)))


def commonsense(rng: Random, n: int) -> list[Question]:
    """Multiple choice about everyday life, with a share of classic traps."""
    items = [_sense(rng, *row) for row in _COMMONSENSE]
    return sample_items("commonsense", rng, n, items)


_KINDS = words(
    "bakers dancers farmers pilots poets sailors teachers singers blorks zimmels wuggs drells "
    "toves florps"
)
_TRAITS = words("green happy tall brave quiet fast rich old kind clever")
_PEOPLE = words("Ada Bo Cleo Dan Eve Finn Gus Hana Ivo Joy")
_EVENTS = table("""
it rains|the street gets wet
the alarm rings|the dog barks
the shop is open|the light is on
the train is late|Omar takes a taxi
the oven is hot|the bread is baking
it is a holiday|the school is closed
the switch is up|the fan turns
Mia is at home|her car is in the garage
the river is high|the bridge is closed
the cake is done|the timer beeps
""")

# The premises, the question and whether it follows.
_SYLLOGISMS = table("""
All {a} are {b}. All {b} are {c}.|Are all {a} {c}?|yes
All {a} are {b}. All {b} are {t}.|Are all {a} {t}?|yes
All {a} are {t}. {p} is one of the {a}.|Is {p} {t}?|yes
No {a} are {t}. {p} is one of the {a}.|Is {p} {t}?|no
All {a} are {b}. No {b} are {t}.|Are any {a} {t}?|no
No {a} are {b}. All {c} are {a}.|Are any {c} {b}?|no
All {a} are {b}. All {c} are {b}.|Must all {a} be {c}?|no
All {a} are {b}.|Must all {b} be {a}?|no
Some {a} are {b}. Some {b} are {c}.|Must some {a} be {c}?|no
Some {a} are {t}. All {t} {a} are {b}.|Are some {b} {t}?|yes
All {a} are {t}. {p} is not {t}.|Can {p} be one of the {a}?|no
All {a} are {t}. {p} is {t}.|Must {p} be one of the {a}?|no
Only {a} are {t}. {p} is {t}.|Is {p} one of the {a}?|yes
Only {a} are {t}. {p} is one of the {a}.|Must {p} be {t}?|no
Every one of the {a} is {t} or {u}. {p} is one of the {a} and is not {t}.|Is {p} {u}?|yes
Not all {a} are {t}.|Must at least one of the {a} not be {t}?|yes
""")
_CONDITIONALS = table("""
If {x}, then {y}. It is true that {x}.|Is it true that {y}?|yes
If {x}, then {y}. It is not true that {y}.|Is it true that {x}?|no
If {x}, then {y}. It is true that {y}.|Is it true that {x}?|unknown
If {x}, then {y}. It is not true that {x}.|Is it true that {y}?|unknown
Only if {x} is it true that {y}. It is true that {y}.|Is it true that {x}?|yes
Either {x} or {y}, or both. It is not true that {x}.|Is it true that {y}?|yes
Either {x} or {y}, but not both. It is true that {x}.|Is it true that {y}?|no
""")


def _syllogism(rng: Random) -> Item:
    premises, question, verdict = rng.choice(_SYLLOGISMS)
    first, second, third = rng.sample(_KINDS, 3)
    trait, other = rng.sample(_TRAITS, 2)
    names = {"a": first, "b": second, "c": third, "t": trait, "u": other}
    text = f"{premises} {question}".format(**names, p=rng.choice(_PEOPLE))
    ending = rng.choice(("Answer yes or no.", "Reply with one word: yes or no."))
    return label_item(f"{text} {ending}", verdict, ("no", "yes"))


def _conditional(rng: Random) -> Item:
    premises, question, verdict = rng.choice(_CONDITIONALS)
    cause, effect = rng.choice(_EVENTS)
    text = f"{premises} {question}".format(x=cause, y=effect)
    ending = "Answer with one word: yes, no or unknown."
    return label_item(f"{text} {ending}", verdict, ("no", "unknown", "yes"))


def logic(rng: Random, n: int) -> list[Question]:
    """Syllogisms with real and made-up nouns, and conditionals that may stay open."""
    return draw_distinct("logic", rng, n, (_syllogism, _conditional))
