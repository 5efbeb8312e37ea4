"""``python -m tests.fuzz --count 2000 --seed 1``: a table of what came of damaged files."""

import argparse

from tests.fuzz.run import outcomes, summary

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--count", type=int, default=2000)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--first", type=int, default=0, help="the case to begin with")
arguments = parser.parse_args()
print(summary(list(outcomes(arguments.count, arguments.seed, arguments.first))))
