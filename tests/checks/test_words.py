"""What the program says: whole sentences that a reader in a hurry can take in."""

import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SOURCES = sorted([*REPO.glob("lib/*.c"), *REPO.glob("daemon/**/*.c")])
LONGEST = 40  # words of one text
ODD = re.compile(
    # "is not a number" is understood by more readers than "is no number"
    r"\b(?<!there )is no (?!longer\b)(?:\w+ )?\w+\b"
    r"|\b(?i:mend|mended)\b|\bblanks?\b|\bin the clear\b"
)  # correct, repair or remove; space; unencrypted
# "1 readings wait": text_s() gives the noun its end
MANY = re.compile(
    r"(?<!than )(?<!in )%(?:zu|u|d|s)? (?:more )?(?:readings|messages|alerts|values|devices|subscriptions)\b"
)


def texts(path):
    """(line, text) of each string literal of a file, pieces that stand one behind another as one; SQL is none."""
    code = re.sub(r"/\*.*?\*/", lambda comment: re.sub(r"[^\n]", " ", comment[0]), path.read_text(), flags=re.S)
    for match in re.finditer(r'(?:"(?:[^"\\\n]|\\.)*"\s*(?:PRI\w+\s*)?)+', code):
        text = "".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', match[0]))
        if not re.match(r"(CREATE|SELECT|INSERT|DELETE|UPDATE|WITH|PRAGMA) ", text):
            for part in text.split("\\n"):
                yield code[: match.start()].count("\n") + 1, part


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPO)))
def test_sentences_are_short_and_plain(path):
    for line, text in texts(path):
        assert len(text.split()) <= LONGEST, f"{path.name}:{line}: {len(text.split())} words: {text}"
        assert not ODD.search(text) and not MANY.search(text), f"{path.name}:{line}: {text}"


# What the glossary has another word for: 送信箱, 測定値, デバイス, アラート, 秘密情報, 対応は不要です, 隔離
FORMER = re.compile(r"アウトボックス|送信待ち|計測値|読み取り値|機器|警報|シークレットファイル|対処は不要|拒否用")
JAPANESE = [
    REPO / "README.ja.md",
    *REPO.glob("docs/ja/*.md"),
    REPO / "systemd/sensorqd.ja.catalog",
    REPO / "daemon/page/texts.js",
    REPO / "daemon/verbs/init-text.c",
    REPO / "daemon/sinks/alert-text.c",
    REPO / "docs/RECIPES.md",
]


@pytest.mark.parametrize("path", JAPANESE, ids=lambda path: str(path.relative_to(REPO)))
def test_one_japanese_word_for_one_thing(path):
    assert not FORMER.findall(path.read_text())


def test_the_glossary_has_both_languages():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", (REPO / "docs" / "GLOSSARY.md").read_text(), re.M)[2:]
    assert len(rows) > 25 and all(re.search(r"[぀-ヿ一-鿿]", japanese) for _, japanese in rows)
    words = [word for word, _ in rows]
    assert words == sorted(words, key=str.lower)
