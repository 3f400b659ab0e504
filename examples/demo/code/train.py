"""Learns to write like the Python documentation, from the copy of it that every Python carries (pydoc_data).

Takes a few seconds on one core, and is honest: one page in ten is held out, never learned from and only judged by.
"""

from __future__ import annotations

import gzip
import json
import os
import textwrap
import zlib
from pathlib import Path
from pydoc_data.topics import topics

from model import Letters

ORDER = 6  # characters of context that are judged by
ROUNDS = 8
LEARN_FROM, JUDGE_BY = 240_000, 20_000  # characters


def pages() -> tuple[str, str]:
    """The text to learn from and the text to judge by, of different pages; a paragraph that two share counts once."""
    seen: set[str] = set()
    learned, held_out = "", ""
    for name in sorted(topics, key=lambda name: zlib.crc32(name.encode())):
        paragraphs = [" ".join(text.split()) for text in topics[name].encode("ascii", "replace").decode().split("\n\n")]
        page = "\n".join(text for text in dict.fromkeys(paragraphs) if text not in seen) + "\n"
        seen.update(paragraphs)
        if zlib.crc32(name.encode()) % 10 == 0:
            held_out += page
        else:
            learned += page
    return learned[:LEARN_FROM], held_out[:JUDGE_BY]


def main() -> None:
    text, held_out = pages()
    letters_only = Letters(order=0)
    letters_only.learn(text)
    print(f"learning from {len(text):,} characters, judged by {len(held_out):,} others")
    frequencies = letters_only.bits_per_letter(held_out)
    print(f"bits a character: 7.00 without any knowledge, {frequencies:.2f} with the frequencies of letters alone")
    model = Letters(ORDER)
    history = []
    for number in range(1, ROUNDS + 1):
        model.learn(text[len(text) * (number - 1) // ROUNDS : len(text) * number // ROUNDS])
        history.append(model.bits_per_letter(held_out))
        bar = "#" * round(history[-1] * 12)
        print(f"round {number} of {ROUNDS}: held-out loss {history[-1]:.3f} bits a character  {bar}")

    output = Path(os.environ.get("BOOTSTRAP_OUTPUT_DIR", "output"))
    output.mkdir(parents=True, exist_ok=True)
    # The longest contexts are most of the model and of little use to others: four characters are enough to write with.
    kept = {context: counts for context, counts in model.followers.items() if len(context) <= 4}
    with gzip.open(output / "model.json.gz", "wt") as file:
        json.dump({"order": 4, "followers": kept}, file)
    sample = model.write(280, seed=7)
    (output / "metrics.json").write_text(json.dumps({"held_out_bits_per_character": history}, indent=1) + "\n")
    (output / "sample.txt").write_text(sample + "\n")
    print("what it writes now:")
    print(textwrap.indent(textwrap.fill(sample, 100), "    "))


if __name__ == "__main__":
    main()
