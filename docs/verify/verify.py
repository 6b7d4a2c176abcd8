#!/usr/bin/env python3
"""Checks proofs of a Largesse decision log without any part of Largesse.

    verify.py proof FILE --key KEY [--head HEAD]     one row is in the log
    verify.py consistency FILE --key KEY --head HEAD the log only grew since the head you hold
    verify.py evidence FILE --key KEY [--head HEAD]  every row of an evidence file is in the log, its policies are what they claim
    verify.py checkpoint HEAD --key KEY              a signed head is the log's

KEY is the verifier.txt you were given, HEAD a signed head you received. Exit 0: proven. Exit 3: not, and why.
Formats: c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-proof, RFC 6962. Needs Python 3.11 and `cryptography`.
"""

import argparse
import base64
import binascii
import hashlib
import json
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class NotProven(Exception):
    """Why nothing is proven."""


def need(condition, why):
    if not condition:
        raise NotProven(why)


def unbase64(text):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "base64 with bits that say nothing")
    return data


def decimal(text):
    need(text.isascii() and text.isdigit() and str(int(text)) == text, f"{text[:40]!r} is not a number")
    return int(text)


def strict(text, *names):
    """The object in a text; one with a field twice, or with others than these, says two things to two readers."""

    def fields(pairs):
        need(len(pairs) == len(dict(pairs)), "a field stands in it twice")
        return dict(pairs)

    found = json.loads(text, object_pairs_hook=fields)
    need(isinstance(found, dict) and set(found) == set(names), f"not an object of {', '.join(names)}")
    return found


def is_number(value):
    return type(value) is int  # neither true nor 1.0


# --- keys and signed notes -----------------------------------------------------------------------------------------------


class Key:
    """A public key `name+hash+base64`; the hash is the start of SHA-256(name, newline, 1, key)."""

    def __init__(self, text):
        parts = text.strip().split("+", 2)
        need(len(parts) == 3, f"{text[:80]!r} is not a public key")
        self.name, self.hash, encoded = parts
        raw = unbase64(encoded)
        need(raw[:1] == b"\x01" and len(raw) == 33, "only Ed25519 keys are known")
        self.id = hashlib.sha256(self.name.encode() + b"\n" + raw).digest()[:4]
        need(self.id.hex() == self.hash, "the key's hash does not fit the key")
        self.raw, self.identity = raw[1:], f"{self.name}+{self.hash}"

    def signed(self, note):
        """Whether this key signed the note. A wrong signature in its name is an error, not a no."""
        text, signatures = halves(note)
        for line in signatures.splitlines():
            need(line.startswith("\N{EM DASH} ") and line.count(" ") == 2, "bad signature line")
            _, name, encoded = line.split(" ")
            signature = unbase64(encoded)
            if name == self.name and signature[:4] == self.id:
                try:
                    Ed25519PublicKey.from_public_bytes(self.raw).verify(signature[4:], text.encode())
                except InvalidSignature:
                    raise NotProven(f"the signature of key {self.identity} is wrong: the note was changed") from None
                return True
        return False


def halves(note):
    """The text of a note and its signature lines."""
    text, blank, signatures = note.rpartition("\n\n")
    need(blank, "not a signed note")
    return text + "\n", signatures


ROTATION = "largesse/key-rotation/1\n"


class KeyHistory:
    """The keys of one log: the first, and from which row on each successor signs."""

    def __init__(self, text):
        first, *rotations = text.split("\n\n" + ROTATION)
        self.keys = [(0, Key(first))]
        self.follow([ROTATION + rotation.rstrip("\n") + "\n" for rotation in rotations])
        need(len(self.keys) == len(rotations) + 1, "its key rotations do not follow each other")

    def follow(self, notes):
        """Takes over each rotation that leads on from the present key: a note that the retired and the new key both signed."""
        for note in notes:
            lines = halves(note)[0].splitlines()
            need(note.startswith(ROTATION) and len(lines) == 5, "not a key rotation")
            origin, row, old, new = lines[1], decimal(lines[2]), Key(lines[3]), Key(lines[4])
            since, current = self.keys[-1]
            if old.raw == current.raw and row > since:
                need(origin == old.name == new.name == current.name, "a key rotation of another log")
                need(new.raw not in [key.raw for _, key in self.keys], "a key rotation back to a retired key")
                need(old.signed(note) and new.signed(note), "a key rotation is not signed by both keys")
                self.keys.append((row, new))

    def open(self, note):
        """The head a note states: (origin, rows, root). Only the key in force at that size may have signed it."""
        head = claimed(note)
        in_force = [key for row, key in self.keys if row <= head[1]][-1]
        if not in_force.signed(note):
            for _, key in self.keys:
                need(not key.signed(note), f"a head of {head[1]} rows is signed by key {key.identity}, which was not in force then")
            raise NotProven(f"the head carries no signature of key {in_force.identity}")
        need(head[0] == in_force.name, f"the head is of log {head[0]!r}, not {in_force.name!r}")
        return head


def claimed(note):
    """What a note states, whoever signed it."""
    lines = halves(note)[0].splitlines()
    need(len(lines) >= 3, "not the head of a log")
    root = unbase64(lines[2])
    need(len(root) == 32, "not the head of a log")
    return lines[0], decimal(lines[1]), root


# --- the tree (RFC 6962; checks as in RFC 9162, 2.1.3.2 and 2.1.4.2) --------------------------------------------------------


def parent(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def check_inclusion(leaf, index, size, path, root):
    need(index < size, f"row {index + 1} is not under a head of {size} rows")
    at, last, node = index, size - 1, leaf
    for sibling in path:
        need(last > 0, "the path is too long")
        if at & 1 or at == last:
            node = parent(sibling, node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = parent(node, sibling)
        at, last = at >> 1, last >> 1
    need(last == 0 and node == root, "the path does not reach the root")


def check_consistency(old, old_root, size, root, path):
    need(0 < old <= size, f"nothing leads from {old} rows to {size}")
    if old == size:
        return need(not path and old_root == root, "two heads of the same size differ: one is of a forked log")
    path = list(path)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    need(path, "the path is empty")
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_node = node = path[0]
    for sibling in path[1:]:
        need(last > 0, "the path is too long")
        if at & 1 or at == last:
            old_node, node = parent(sibling, old_node), parent(sibling, node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = parent(node, sibling)
        at, last = at >> 1, last >> 1
    need(last == 0 and old_node == old_root and node == root, "the newer head does not continue the older one: the log was forked")


# --- proof files -------------------------------------------------------------------------------------------------------------

COLUMNS = (
    "seq record_id kind recorded_at event_time partition epoch member event_id outcome reason segment reward touchpoint "
    "bundle models semantics debits body"
).split()
TEXTS = {"event_id", "segment", "reward", "debits", "body"}
BYTES = {"record_id", "member", "bundle", "models"}


def columns(record):
    """The public columns of a row: after a prefix, each is a length (4 bytes, FFFFFFFF when absent) and that many bytes."""
    prefix = b"largesse/record/1\n"
    need(record.startswith(prefix), "the record is not a row's canonical bytes")
    at, row = len(prefix), {}
    for name in COLUMNS:
        need(len(record) >= at + 4, "the record is cut off")
        (length,) = struct.unpack_from(">I", record, at)
        at, value = at + 4, None
        if length != 0xFFFFFFFF:
            value, at = record[at : at + length], at + length
            need(at <= len(record), "the record is cut off")
            if name in TEXTS:
                value = value.decode()
            elif name in BYTES:
                value = value.hex()
            else:
                need(length == 8, "the record is not a row's canonical bytes")
                value = int.from_bytes(value, "big", signed=True)
        row[name] = value
    need(at == len(record), "something follows the record")
    return row


def hashes(lines):
    path = [unbase64(line) for line in lines]
    need(all(len(node) == 32 for node in path), "the path is not one of hashes")
    return path


def check_proof(text, keys, pinned):
    front, blank, note = text.partition("\n\n")
    lines = front.split("\n")
    need(blank and len(lines) >= 3 and lines[0] == "c2sp.org/tlog-proof@v1", "not a tlog-proof file")
    need(lines[1].startswith("extra ") and lines[2].startswith("index "), "the proof carries no record or no index")
    extra = strict(unbase64(lines[1].removeprefix("extra ")), "v", "record", "sealed_digest", "leaf", "rotations")
    need(is_number(extra["v"]) and extra["v"] == 1, f"the proof is of form {extra['v']}, this verifier knows form 1")
    index = decimal(lines[2].removeprefix("index "))
    record, sealed = unbase64(extra["record"]), bytes.fromhex(extra["sealed_digest"] or "")
    row = columns(record)
    need(row["seq"] == index + 1, f"the leaf does not match: the record is row {row['seq']}, the proof is for row {index + 1}")
    need(len(sealed) in (0, 32), "the digest of the sealed part is no digest")
    leaf = hashlib.sha256(b"\x00" + record + sealed).digest()
    need(leaf.hex() == extra["leaf"], "the leaf does not match: the record was changed")
    keys.follow(extra["rotations"])
    origin, size, root = keys.open(note)
    if pinned:
        need(keys.open(pinned) == (origin, size, root), "the head differs from the one you hold")
    check_inclusion(leaf, index, size, hashes(lines[3:]), root)
    print(f"proven: row {row['seq']} is in log {origin} of {size} rows")
    print(json.dumps(row, indent=2))
    return row, (origin, size, root)


# What an evidence file calls rows, by the kinds of rows they may be.
KINDS = {"run": {2}, "policy": {3}, "models": {4}, "decision": {11}, "negotiation": {20}, "step": {30, 40}, "stop": {31}, "report": {47}, "people": {53}}


ROLES = {"stop": {"operator", "approver"}, "roll_back": {"operator", "approver"}, "withdraw": {"operator", "approver"}}
ROLES |= {step: {"author"} for step in ("submit", "assess", "shadow")}


def check_step(row, rows, log):
    """A row that somebody signed: the signature, that it is about this log and what the row is about, and that they were known by that
    key, and might do so, when it was judged."""
    body = json.loads(row["body"])
    if not isinstance(body, dict) or "signature" not in body:
        return  # a schedule that came due: signed before
    statement, key, by = body["statement"], body["key"], body["statement"]["by"]
    signed = "largesse-step 1\n" + json.dumps(statement, ensure_ascii=False, separators=(",", ":"))
    try:
        Ed25519PublicKey.from_public_bytes(unbase64(key)).verify(unbase64(body["signature"]), signed.encode())
    except InvalidSignature:
        raise NotProven(f"row {row['seq']}: the signature of {by} does not fit") from None
    step = statement["step"]
    need(statement["ledger"] == log, f"row {row['seq']}: what {by} signed is about log {statement['ledger']!r}")
    need(step.get("bundle", step.get("to")) == row["bundle"], f"row {row['seq']}: what {by} signed is about another policy than its row")
    known = [other for seq, other in sorted(rows.items()) if other["kind"] in KINDS["people"] and seq < row["seq"]]
    people = known and json.loads(known[-1]["body"])["people"]
    if known:
        roles = [set(who["roles"]) for who in people if (who["name"], who["key"]) == (by, key)]
        need(roles, f"row {row['seq']}: {by} was not known by that key")
        need(roles[0] & ROLES.get(step["do"], {"approver"}), f"row {row['seq']}: {by} might not {step['do']}")
    print(f"row {row['seq']}: {statement['step']['do']} signed by {by}")


def check_evidence(text, keys, pinned):
    evidence = strict(text, "v", "about", "items")
    need(is_number(evidence["v"]) and evidence["v"] == 1, f"the file is of form {evidence['v']}, this verifier knows form 1")
    items, about = evidence["items"], evidence["about"]
    need(items and about, "the file is about no decision")
    need(all(is_number(seq) for seq in [*about, *(item["row"] for item in items)]), "a row's number is none")
    need(all(set(item) == {"what", "row", "proof"} for item in items), "an item has other fields than what, row and proof")
    rows, heads = {}, set()
    for item in items:
        row, head = check_proof(item["proof"], keys, pinned)
        heads.add(head)
        need(len(heads) == 1, "its rows are proven under different heads: they may be of two logs")
        need(row["seq"] == item["row"], f"the proof given for row {item['row']} is of row {row['seq']}")
        need(row["kind"] in KINDS.get(item["what"], ()), f"row {row['seq']} is no {item['what']}, as the file calls it")
        if row["kind"] in KINDS["policy"]:
            need(hashlib.sha256(row["body"].encode()).hexdigest() == row["bundle"], f"row {row['seq']} is not the policy it names")
        rows[row["seq"]] = row
    for row in rows.values():
        if row["kind"] in KINDS["step"] | KINDS["stop"]:
            check_step(row, rows, keys.keys[0][1].identity)
    for seq in about:
        need(seq in rows and rows[seq]["kind"] in KINDS["decision"], f"decision {seq} is not in the file")
        decision = rows[seq]

        def rests_on(what, column):
            return any(row["kind"] in KINDS[what] and row[column] == decision[column] for row in rows.values())

        need(rests_on("policy", "bundle"), f"the policy of decision {seq} is not in the file")
        need(decision["models"] is None or rests_on("models", "models"), f"the models of decision {seq} are not in the file")
        need(any(row["kind"] in KINDS["run"] and row["seq"] < seq and row["epoch"] == decision["epoch"] for row in rows.values()), f"the run of decision {seq} is not in the file")
        prices = [str(row["seq"]) for row in rows.values() if row["kind"] in KINDS["negotiation"] and row["seq"] < seq]
        print(f"decision {seq}: " + (f"negotiations in the file: {', '.join(prices)}" if prices else "no negotiation in the file"))
    print(f"proven: decisions {about} with their run, models and policy; whether steps or certificates are missing only the log tells")


def check_growth(text, keys, pinned):
    front, blank, note = text.partition("\n\n")
    first, *lines = front.split("\n")
    need(blank and first.startswith("old "), "not a consistency proof")
    _, old, old_root = keys.open(pinned)
    origin, size, root = keys.open(note)
    start = decimal(first.removeprefix("old "))
    need(start == old, f"the proof starts from {start} rows, the head you hold has {old}")
    check_consistency(old, old_root, size, root, hashes(lines))
    print(f"proven: log {origin} of {size} rows begins with the {old} rows of your head")


def check_head(note, keys, _):
    origin, size, root = keys.open(note)
    print(f"proven: {size} rows of log {origin} have root {root.hex()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["proof", "evidence", "consistency", "checkpoint"])
    parser.add_argument("file")
    parser.add_argument("--key", required=True, help="the verifier.txt you were given")
    parser.add_argument("--head", help="a signed head you received earlier")
    arguments = parser.parse_args()
    if arguments.what == "consistency" and not arguments.head:
        parser.error("a consistency proof needs the head it starts from: --head")
    check = {"proof": check_proof, "evidence": check_evidence, "consistency": check_growth, "checkpoint": check_head}[arguments.what]

    def read(path):
        try:
            with open(path, encoding="utf-8", newline="") as file:
                return file.read()
        except OSError as error:
            parser.error(str(error))

    try:
        check(read(arguments.file), KeyHistory(read(arguments.key)), arguments.head and read(arguments.head))
    except NotProven as why:
        print(f"NOT PROVEN: {why}", file=sys.stderr)
        return 3
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        print(f"NOT PROVEN: not such a file ({type(error).__name__}: {error})", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
