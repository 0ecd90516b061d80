"""What documents tell people to type, in words, and the arguments that it gives to framewatch."""

import re
import shlex


def blocks(page: str, language: str) -> list[str]:
    """What stands between fences of this *language*."""
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def lines(page: str) -> list[list[str]]:
    """Every line of a shell block, without comments."""
    found = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [words for line in found if (words := shlex.split(line, comments=True))]


def inline(page: str) -> list[list[str]]:
    """Arguments of every command of framewatch within a sentence or a table, also where it breaks over lines."""
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    return [arguments for code in re.findall(r"`([^`]+)`", text) if (arguments := given(code.split()))]


def given(words: list[str]) -> list[str] | None:
    """The arguments for framewatch, in a container too; None where *words* call something else."""
    if words[:3] == ["docker", "compose", "run"]:
        return words[words.index("daemon") + 1 :]
    if words[:3] == ["docker", "compose", "exec"]:
        words = words[words.index("daemon") + 1 :]
    return words[1:] if words and words[0].rpartition("/")[2] == "framewatch" else None
