"""A model of letters: which character comes next, judged by up to the last few characters."""

from __future__ import annotations

import math
import random
from collections import defaultdict

ALPHABET = 128  # plain ASCII; what is outside is read as a question mark


class Letters:
    """Counts what followed each context of 0 to ``order`` characters, and mixes the contexts as Witten and Bell do:
    the more different characters followed a context, the more a shorter one has to say."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.followers: dict[str, dict[str, int]] = defaultdict(dict)
        self.totals: dict[str, int] = defaultdict(int)

    def learn(self, text: str) -> None:
        for place, letter in enumerate(text):
            for length in range(min(self.order, place) + 1):
                context = text[place - length : place]
                counts = self.followers[context]
                counts[letter] = counts.get(letter, 0) + 1
                self.totals[context] += 1

    def probability(self, letter: str, before: str) -> float:
        """Of ``letter`` after the text ``before``: above 0 for every letter, and 1 over all of them."""
        answer = 1 / ALPHABET
        for length in range(min(self.order, len(before)) + 1):
            context = before[len(before) - length :]
            counts = self.followers.get(context)
            if counts is None:
                break  # a longer context was never seen either
            kinds = len(counts)
            answer = (counts.get(letter, 0) + kinds * answer) / (self.totals[context] + kinds)
        return answer

    def bits_per_letter(self, text: str) -> float:
        """How surprised the model is by ``text``: 7 bits without any knowledge, less is better."""
        bits = 0.0
        for place, letter in enumerate(text):
            bits -= math.log2(self.probability(letter, text[max(0, place - self.order) : place]))
        return bits / len(text)

    def write(self, length: int, seed: int) -> str:
        """Text of the model's own."""
        dice = random.Random(seed)
        text = "\n"
        letters = sorted(self.followers[""])
        while len(text) <= length:
            weights = [self.probability(letter, text[-self.order :]) for letter in letters]
            text += dice.choices(letters, weights)[0]
        return text[1:]
