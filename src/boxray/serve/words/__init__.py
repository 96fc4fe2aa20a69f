"""The words of every page, in every language, from one catalogue.

`en.json`, `es.json` and `zh.json` are flat: key -> text, with placeholders as in ``{n} of {all}``. English words that a
lower room owns (meanings of codes, names of findings, heads of tables) are not repeated in `en.json`: they are taken
from there, so that nothing is said twice.
"""

from boxray.serve.words.catalogue import LANGUAGES, Words, browser_words, language_of, words_for, words_in
from boxray.serve.words.spoken import Spoken

__all__ = ["LANGUAGES", "Spoken", "Words", "browser_words", "language_of", "words_for", "words_in"]
