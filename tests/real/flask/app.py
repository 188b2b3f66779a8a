"""A small word counter, served by gunicorn."""
from collections import Counter

from flask import Flask, jsonify, render_template, request

app = Flask(__name__)


@app.get("/")
def index():
    return render_template("index.html", name=request.args.get("name", "world"))


@app.post("/count")
def count():
    words = Counter(request.get_data(as_text=True).split())
    return jsonify(words=dict(sorted(words.items())), total=words.total())
