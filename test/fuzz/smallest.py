#!/usr/bin/env python3
"""smallest.py CONTROL_FILE CORPUS: of the inputs that libFuzzer has looked at, those that reach most with few bytes, into the
corpus. Lines that begin with # in it, and those after them to the next empty line, are findings of before and stay.

A control file is what libFuzzer writes when it merges: names of files, then for each its features: FT number feature..."""
import os
import sys

MOST_INPUTS, MOST_BYTES = 50, 50000

control, corpus = sys.argv[1:]
with open(control) as f:
    lines = f.read().split("\n")
names = lines[2:2 + int(lines[0])]
features = {}
for line in lines[2 + len(names):]:
    words = line.split()
    if words and words[0] == "FT":
        features[names[int(words[1])]] = set(words[2:])
inputs = {name: open(name, "rb").read() for name in features}

reached, chosen, size = set(), [], 0
while len(chosen) < MOST_INPUTS:
    # the most that is new for a byte: long inputs must earn their place
    worth, name = max(((len(features[n] - reached) / (len(inputs[n]) + 20), n) for n in features), default=(0, ""))
    if worth == 0 or size + len(inputs[name]) > MOST_BYTES:
        break
    reached |= features[name]
    size += len(inputs[name])
    chosen.append(inputs[name].hex())

kept = []
if os.path.exists(corpus):
    with open(corpus) as f:
        kept = [part for part in f.read().split("\n\n") if part.startswith("#")]
with open(corpus, "w") as f:
    f.write("".join(part.strip() + "\n\n" for part in kept) + "".join(line + "\n" for line in sorted(chosen, key=lambda c: (len(c), c))))
everything = set().union(*features.values()) if features else set()
print("%d features, %d of them by %d inputs kept" % (len(everything), len(reached), len(chosen)))
