"""The projects: how each is asked, and what it must answer."""
import json
import os

from engine import Failure, fetch
from report import equal

HERE = os.path.dirname(os.path.abspath(__file__))


def ask_jq(engine, image):
    facts = json.dumps({"layers": [{"id": "b", "size": 30}, {"id": "a", "size": 12}], "name": "aaab"})
    equal("a sum", "42\n", engine.run(image, "[.layers[].size] | add", input=facts))
    equal("a sorted list", '["a","b"]\n', engine.run(image, "-c", "[.layers | sort_by(.id)[] | .id]", input=facts))
    # The regular expressions come from the library that the final stage installs.
    equal("a match", "true\n", engine.run(image, '.name | test("^a+b$")', input=facts))


def ask_flask(engine, image):
    with engine.serving(image) as address:
        page = fetch(address + "/?name=%3Crbuild%3E")
        if "<h1>Hello, &lt;rbuild&gt;!</h1>" not in page:
            raise Failure(f"the page does not greet: {page!r}")
        counted = json.loads(fetch(address + "/count", data=b"to be or not to be"))
        equal("the count", {"words": {"be": 2, "not": 1, "or": 1, "to": 2}, "total": 6}, counted)


def ask_express(engine, image):
    with engine.serving(image) as address:
        answer = json.loads(fetch(address + "/fibonacci/100"))
        equal("the number", {"n": 100, "value": "354224848179261915075"}, answer)


class Project:
    def __init__(self, name, ask):
        self.name = name
        self.folder = os.path.join(HERE, name)
        self.image = f"real/{name}:test"
        self.ask = ask


PROJECTS = [Project("jq", ask_jq), Project("flask", ask_flask), Project("express", ask_express)]
