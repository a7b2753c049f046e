"""Slow and simple counterparts of what a space counts, and random spaces to compare them on."""

from __future__ import annotations

import fnmatch
import itertools

from hypothesis import strategies as st

from medpipe_core import (
    Group,
    Limit,
    Operation,
    OperationChoice,
    Ref,
    Repeat,
    SearchSpace,
    Shared,
    ValueChoice,
)
from medpipe_core.space import SpaceError

NAMES = ["a", "b", "c"]
VALUES, PARTS = ["s", "t"], ["u", "w"]


def members(node, path=""):
    """Return the choices of every combination under a node, in the order of ranks."""

    def below(name):
        return f"{path}/{name}" if path else name

    def together(parts):
        for combination in itertools.product(*(members(part, where) for part, where in parts)):
            yield {k: v for chosen in combination for k, v in chosen.items()}

    match node:
        case ValueChoice():
            return [{path: key} for key in node.keys]
        case Operation():
            return list(together([(c, below(n)) for n, c in node.choices.items()]))
        case OperationChoice():
            inner = {k: members(c, below(k)) for k, c in node.candidates.items()}
            return [{path: key, **m} for key, found in inner.items() for m in found]
        case Repeat():
            return [
                {path: str(count), **chosen}
                for count in node.counts
                for chosen in together(
                    [(node.template, below(f"item{i + 1}")) for i in range(count)]
                )
            ]
        case Group():
            return list(together([(c, below(n)) for n, c in node.children.items()]))
        case Shared():
            shared = [(part, below(name)) for name, part in node.parts.items()]
            return list(together([*shared, (node.body, path)]))
        case Ref():
            return [{}]
    raise AssertionError(node)


def keeps(limit, chosen):
    """Say whether choices keep a limit."""
    hits = [
        path
        for path, key in chosen.items()
        if any(fnmatch.fnmatchcase(path, p) and key in keys for p, keys in limit.keys.items())
    ]
    most = len(hits) if limit.at_most is None else limit.at_most
    return limit.at_least <= len(hits) <= most


def function(node, chosen, path="", names=None):
    """Return something that is equal for genotypes that do the same."""
    names = names or {}

    def below(name):
        return f"{path}/{name}" if path else name

    match node:
        case ValueChoice():
            return chosen[path]
        case Operation():
            found = {n: chosen[below(n)] for n in node.choices}
            for name, reference in node.references.items():
                found[name] = chosen[names[reference.name][1]]
            neutral = node.neutral
            if neutral is not None and all(found[n] == str(v) for n, v in neutral.items()):
                return "nothing"
            return tuple(sorted(found.items()))
        case OperationChoice():
            key = chosen[path]
            return key, function(node.candidates[key], chosen, below(key), names)
        case Repeat():
            return tuple(
                function(node.template, chosen, below(f"item{i + 1}"), names)
                for i in range(int(chosen[path]))
            )
        case Group():
            return tuple(
                function(child, chosen, below(name), names) for name, child in node.children.items()
            )
        case Shared():
            for name, part in node.parts.items():
                names = {**names, name: (part, below(name), names)}
            return function(node.body, chosen, path, names)
        case Ref():
            part, where, known = names[node.name]
            return function(part, chosen, where, known)
    raise AssertionError(node)


def free(node):
    """Return the names that a node refers to and does not share itself."""
    match node:
        case Operation():
            return {reference.name for reference in node.references.values()}
        case OperationChoice():
            return {name for child in node.candidates.values() for name in free(child)}
        case Group():
            return {name for child in node.children.values() for name in free(child)}
        case Repeat():
            return free(node.template)
        case Ref():
            return {node.name}
        case Shared():
            known, found = set(), set()
            for name, part in node.parts.items():
                found |= free(part) - known
                known.add(name)
            return found | (free(node.body) - known)
    return set()


def choices_of_values():
    return st.integers(1, 3).map(lambda n: ValueChoice(*range(n)))


def parameters():
    return st.one_of(choices_of_values(), st.sampled_from(VALUES).map(Ref))


def operations():
    def build(found, can_be_neutral):
        named = dict(zip(["p", "left", "right"], found, strict=False))
        neutral = {"p": 0} if can_be_neutral and "p" in named else None
        return Operation("block", "op", {"fixed": 7, **named}, neutral)

    return st.builds(build, st.lists(parameters(), max_size=3), st.booleans())


def close(node, wanted, values, part, other):
    """Share what a node refers to, as far as it is wanted."""
    offered = {"s": values[0], "t": values[1], "u": part, "w": other}
    shared: dict = {}
    body_needs = free(node) & wanted
    for name in reversed(offered):
        needed = body_needs | {n for m in shared.values() for n in free(m)} & wanted
        if name in needed:
            shared = {name: offered[name], **shared}
    return Shared(shared, node) if shared else node


def closed(inner, wanted):
    values = st.tuples(choices_of_values(), choices_of_values())
    first = st.one_of(
        operations(),
        st.lists(operations(), min_size=1, max_size=2).map(_choice),
        choices_of_values(),
    )
    second = st.one_of(operations(), st.just(Group({"x": Ref("u"), "y": Ref("u")})))
    return st.builds(close, inner, wanted, values, first, second)


def _choice(nodes):
    return OperationChoice(dict(zip(NAMES, nodes, strict=False)))


def nodes():
    def compound(children):
        named = st.lists(children, min_size=1, max_size=3).map(
            lambda found: dict(zip(NAMES, found, strict=False))
        )
        kinds = st.one_of(
            named.map(Group),
            named.map(OperationChoice),
            st.builds(Repeat, children, st.sampled_from([(0, 1), (1,), (2, 1), (0, 2)])),
        )
        return st.one_of(kinds, closed(kinds, st.sets(st.sampled_from(VALUES + PARTS))))

    leaves = st.one_of(operations(), st.sampled_from(PARTS + PARTS + VALUES).map(Ref))
    return st.recursive(leaves, compound, max_leaves=6)


def roots(largest=600):
    named = st.dictionaries(st.sampled_from(NAMES), nodes(), min_size=1, max_size=3).map(Group)
    everything = st.just(set(VALUES + PARTS))
    return closed(named, everything).filter(lambda root: _usable(root, largest))


def _usable(root, largest):
    try:
        return SearchSpace("random", root).size() <= largest
    except SpaceError as error:
        if "a scope around it shares already" in str(error):
            return False
        raise


@st.composite
def limits(draw, space):
    paths = list(space.choices)
    if not paths:
        return []
    patterns = [*paths, "*", *{f"*/{path.rpartition('/')[2]}" for path in paths if "/" in path}]
    found = []
    for _ in range(draw(st.integers(0, 3))):
        keys = {}
        for pattern in draw(st.lists(st.sampled_from(patterns), min_size=1, max_size=3)):
            matched = fnmatch.filter(paths, pattern)
            known = sorted({key for path in matched for key in space.choices[path].keys})
            keys[pattern] = draw(
                st.lists(st.sampled_from(known), min_size=1, max_size=2, unique=True)
            )
        least = draw(st.integers(0, 2))
        most = draw(st.one_of(st.integers(least, 4), st.none() if least else st.just(least)))
        found.append(Limit(keys, at_least=least, at_most=most))
    return found


@st.composite
def constrained(draw, largest=600):
    """Draw a description with constraints; whether anything keeps them is open."""
    root = draw(roots(largest))
    return root, draw(limits(SearchSpace("free", root)))
