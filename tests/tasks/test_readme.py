"""The README's example of a task is code that works."""

import re
from pathlib import Path

from flare.tasks.task import Task
from tests.tasks.facts_rows import rows

README = Path(__file__).parents[2] / "README.md"


def test_the_readmes_task_runs():
    section = README.read_text().split("## Add a task")[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    [task] = [
        value for value in names.values()
        if isinstance(value, type) and value.__module__ == "builtins" and issubclass(value, Task)
    ]  # fmt: skip
    facts = rows(2, action="done", target_distance=[0.8, 1.5], step=3)
    assert task().judge(facts).success.tolist() == [True, False]
