#!/usr/bin/env python3
"""Holds a node's page of metrics against Prometheus' text format 0.0.4, strictly, and against the reference page.

  metrics.py check URL...           each page alone, and that no counter falls from one look to the next
  metrics.py sum NAME[{LABELS}] URL...   the sum of these series over all pages; LABELS as they stand on the page

A fault is printed with its line; the exit status is 1 then.
"""
import math
import pathlib
import re
import sys
import urllib.request

PAGE = pathlib.Path(__file__).resolve().parent.parent.parent / 'docs/reference/metrics.md'
NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf'({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ([0-9]+(?:\.[0-9]+)?|\+Inf)$')
SUFFIXES = ('_bucket', '_sum', '_count')


class Fault(Exception):
    """What is wrong with a page."""


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        kind = answer.headers['Content-Type']
        if kind != 'text/plain; version=0.0.4; charset=utf-8':
            raise Fault(f'Content-Type is {kind}')
        return answer.read().decode()


def documented():
    """name -> (kind, greatest number of series), as the reference says."""
    rows = re.findall(r'^\| `(\w+)` \| (\w+) \| [^|]* \| (\d+) \|', PAGE.read_text(), re.M)
    return {name: (kind, int(most)) for name, kind, most in rows}


def base_of(name, kinds):
    for suffix in SUFFIXES:
        if name.endswith(suffix) and kinds.get(name[:-len(suffix)]) == 'histogram':
            return name[:-len(suffix)]
    return name


def parse(text):
    """(kinds by metric, value by (name, labels) in the page's order)."""
    kinds, helps, samples, closed, current = {}, set(), {}, set(), None
    if not text.endswith('\n'):
        raise Fault('the last line has no end')
    for line in text[:-1].split('\n'):
        head = re.match(rf'# (HELP|TYPE) ({NAME}) (.+)$', line)
        if head:
            word, name, rest = head.groups()
            if name != current:
                if name in closed or word != 'HELP':
                    raise Fault(f'{name} comes twice, or without HELP first: {line}')
                closed.add(current)
                current = name
            if word == 'HELP' and (name in helps or re.search(r'\\[^\\n]', rest)):
                raise Fault(f'a second HELP, or a wrong escape: {line}')
            if word == 'TYPE' and (name in kinds or rest not in ('counter', 'gauge', 'histogram')):
                raise Fault(f'a second TYPE, or an unknown one: {line}')
            helps.add(name)
            if word == 'TYPE':
                kinds[name] = rest
            continue
        sample = SAMPLE.match(line)
        if not sample:
            raise Fault(f'no sample: {line}')
        name, labels, value = sample.groups()
        if current not in kinds or base_of(name, kinds) != current:
            raise Fault(f'it stands under {current}: {line}')
        keys = re.findall(r'([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"', labels or '')
        if len(keys) != len(set(keys)) or (name, labels or '') in samples:
            raise Fault(f'twice: {line}')
        samples[(name, labels or '')] = float(value)
    return kinds, samples


def check_histogram(metric, samples):
    series = {}
    for (name, labels), value in samples.items():
        if name == metric + '_bucket':
            rest, bound = re.fullmatch(r'(.*?),?le="([^"]+)"', labels).groups()
            series.setdefault(rest, []).append((math.inf if bound == '+Inf' else float(bound), value))
    for rest, buckets in series.items():
        bounds, counts = [one[0] for one in buckets], [one[1] for one in buckets]
        if bounds != sorted(set(bounds)) or bounds[-1] != math.inf or counts != sorted(counts):
            raise Fault(f'{metric}{{{rest}}} is not cumulative: {buckets}')
        if samples.get((metric + '_count', rest)) != counts[-1]:
            raise Fault(f'{metric}_count{{{rest}}} is not the last bucket')
        if (metric + '_sum', rest) not in samples:
            raise Fault(f'{metric}_sum{{{rest}}} is missing')


def check(text):
    kinds, samples = parse(text)
    known, counts = documented(), {}
    if set(kinds) != set(known):
        raise Fault(f'only on one of page and reference: {set(kinds) ^ set(known)}')
    for metric, kind in kinds.items():
        if kind != known[metric][0] or (kind == 'counter') != metric.endswith('_total'):
            raise Fault(f'{metric} is a {kind}')
        if kind == 'histogram':
            check_histogram(metric, samples)
    for name, _ in samples:
        metric = base_of(name, kinds)
        counts[metric] = counts.get(metric, 0) + 1
    for metric, count in counts.items():
        if count > known[metric][1]:
            raise Fault(f'{metric} has {count} series, more than {known[metric][1]}')
    return kinds, samples


def check_twice(url):
    kinds, before = check(fetch(url))
    _, after = check(fetch(url))
    for key, value in before.items():
        if kinds[base_of(key[0], kinds)] != 'gauge' and after.get(key, -1) < value:
            raise Fault(f'{key} fell from {value} to {after.get(key)}')
    return len(after)


def total(wanted, urls):
    name, labels = re.fullmatch(rf'({NAME})(?:\{{(.*)\}})?', wanted).groups()
    value = 0
    for url in urls:
        _, samples = parse(fetch(url))
        value += sum(v for (n, text), v in samples.items() if n == name and labels in (None, text))
    return value


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ('check', 'sum'):
        sys.exit(__doc__)
    try:
        if sys.argv[1] == 'check':
            for url in sys.argv[2:]:
                print(f'{url}: {check_twice(url)} series')
        else:
            print(f'{total(sys.argv[2], sys.argv[3:]):g}')
    except Fault as fault:
        sys.exit(f'{sys.argv[1]}: {fault}')


if __name__ == '__main__':
    main()
