#!/usr/bin/env python3
"""unpack.py FOLDER TARGET SEEDS CORPUS: makes a file of each input of a target, as libFuzzer wants them."""
import hashlib
import os
import sys

folder, target, seeds, corpus = sys.argv[1:]
inputs = [words[1] if len(words) > 1 else "" for words in map(str.split, open(seeds)) if words[0] == target]
if os.path.exists(corpus):
    inputs += [line.strip() for line in open(corpus) if not line.startswith("#")]
for text in inputs:
    data = bytes.fromhex(text)
    with open(os.path.join(folder, hashlib.sha1(data).hexdigest()), "wb") as f:
        f.write(data)
