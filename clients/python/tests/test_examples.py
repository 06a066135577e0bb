"""The code of docs/python.md works, from its first line to its last."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_examples_work(url, folder, tmp_path, monkeypatch):
    text = PAGE.read_text()
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) >= 6
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOONGATE_URL", url)
    names = {}
    for block in blocks:
        line = text[: block.start(1)].count("\n")
        # Folders of the page are made below that of this test; the address is that of its gateway.
        code = block.group(1).replace("127.0.0.1:8888", url.removeprefix("moongate://"))
        code = code.replace("/train", f"{folder}/train").replace("/tables", f"{folder}/tables")
        exec(compile("\n" * line + code, str(PAGE), "exec"), names)  # noqa: S102: it is our own page
