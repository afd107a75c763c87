#!/usr/bin/env node
// Verifies Lethe's receipts and checkpoints offline, with nothing but Node. docs/reference/receipts.md has the rules.
//
//   node verify-receipt.mjs jwks.json RECEIPT.jwt [SALT USER-ID]
//   node verify-receipt.mjs jwks.json --checkpoints OLD.txt NEW.txt CONSISTENCY.json
// Prints what holds and ends with 0, or what does not and ends with 1.
import { createHash, createPublicKey, verify as verifySignature } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { isDeepStrictEqual } from "node:util";

const TYPE = "erasure-receipt+jwt";
// The keys' DER form is this prefix and the 32 bytes of the key.
const DER = Buffer.from("302a300506032b6570032100", "hex");
const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
const utf8 = (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);
const node = (left, right) => sha256(Buffer.of(1), left, right);

export class Refused extends Error {}

function need(holds, otherwise) {
  if (!holds) throw new Refused(otherwise);
}

// The one text of these bytes: a lenient decoder would take others too.
function decoded(text, form) {
  const bytes = Buffer.from(text, form);
  need(bytes.toString(form) === text, `it is not canonical ${form}`);
  return bytes;
}

// A key set as a map of `kid` to the raw key and the key that verifies.
export function keysOf(jwks) {
  const keys = new Map();
  for (const { kty, crv, x, kid } of jwks.keys) {
    need(kty === "OKP" && crv === "Ed25519", "the set has a key that is no Ed25519 key");
    const raw = decoded(x, "base64url");
    need(raw.length === 32, "a key has not 32 bytes");
    keys.set(kid, { raw, key: createPublicKey({ key: Buffer.concat([DER, raw]), format: "der", type: "spki" }) });
  }
  return keys;
}

// A checkpoint { origin, size, root }, whose signature under the log's own name verifies.
export function checkpointOf(note, keys) {
  const found = /^([^\n]+)\n(0|[1-9][0-9]{0,15})\n([^\n]+)\n\n((?:\u2014 [^\n]+\n)+)$/.exec(note);
  need(found, "the checkpoint cannot be read");
  const [, origin, size, root, lines] = found;
  const text = Buffer.from(`${origin}\n${size}\n${root}\n`);
  const hash = (raw) => sha256(Buffer.from(`${origin}\n`), Buffer.of(1), raw).subarray(0, 4);
  let ours = false;
  for (const line of lines.trimEnd().split("\n")) {
    const space = line.lastIndexOf(" ");
    const signed = decoded(line.slice(space + 1), "base64");
    for (const { raw, key } of keys.values()) {
      if (line.slice(2, space) !== origin || !signed.subarray(0, 4).equals(hash(raw))) continue;
      need(verifySignature(null, text, key, signed.subarray(4)), "the checkpoint's signature does not verify");
      ours = true;
    }
  }
  need(ours, "none of the keys signed the checkpoint");
  const tree = { origin, size: Number(size), root: decoded(root, "base64") };
  need(tree.root.length === 32 && Number.isSafeInteger(tree.size), "the checkpoint cannot be read");
  return tree;
}

// RFC 9162, section 2.1.3.2. Sizes stay below 2^53, so they are halved by division and not by a shift of 32 bits.
export function isIncluded(leaf, index, { size, root }, proof) {
  if (!(Number.isSafeInteger(index) && 0 <= index && index < size)) return false;
  let [place, last, found] = [index, size - 1, leaf];
  const half = () => ([place, last] = [Math.floor(place / 2), Math.floor(last / 2)]);
  for (const sibling of proof) {
    if (last === 0) return false;
    if (place % 2 || place === last) {
      found = node(sibling, found);
      while (place % 2 === 0 && place) half();
    } else found = node(found, sibling);
    half();
  }
  return last === 0 && found.equals(root);
}

// RFC 9162, section 2.1.4.2.
export function isContinued(first, second, proof) {
  if (first.size === 0 || first.size > second.size) return false;
  if (first.size === second.size) return !proof.length && first.root.equals(second.root);
  const hashes = Number.isInteger(Math.log2(first.size)) ? [first.root, ...proof] : [...proof];
  if (!hashes.length) return false;
  let [place, last] = [first.size - 1, second.size - 1];
  const half = () => ([place, last] = [Math.floor(place / 2), Math.floor(last / 2)]);
  while (place % 2) half();
  let [old, now] = [hashes[0], hashes[0]];
  for (const sibling of hashes.slice(1)) {
    if (last === 0) return false;
    if (place % 2 || place === last) {
      [old, now] = [node(sibling, old), node(sibling, now)];
      while (place % 2 === 0 && place) half();
    } else now = node(now, sibling);
    half();
  }
  return last === 0 && old.equals(first.root) && now.equals(second.root);
}

// The claims of a receipt that holds: signature, checkpoint, proofs, and that it says what the entries say.
export function verifyReceipt(token, keys) {
  const parts = token.split(".");
  need(parts.length === 3, "it is no compact JWS");
  const [head, payload, signature] = parts.map((part) => decoded(part, "base64url"));
  const header = JSON.parse(utf8(head));
  need(header.alg === "EdDSA" && header.typ === TYPE, `its header does not say ${TYPE} and EdDSA`);
  need(isDeepStrictEqual(Object.keys(header).sort(), ["alg", "kid", "typ"]), "its header says more than it may");
  need(keys.has(header.kid), "it was signed with a key that is not in the set");
  const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
  need(verifySignature(null, signed, keys.get(header.kid).key, signature), "its signature does not verify");
  const claims = JSON.parse(utf8(payload));
  const tree = checkpointOf(claims.log.checkpoint, keys);
  need(tree.origin === claims.iss, "its checkpoint is of another service's log");
  const entries = claims.log.entries.map(({ sequence, leaf, proof }) => {
    const hash = sha256(Buffer.of(0), Buffer.from(leaf, "ascii"));
    const content = JSON.parse(leaf);
    const siblings = proof.map((one) => decoded(one, "hex"));
    const holds = content.sequence === sequence && isIncluded(hash, sequence - 1, tree, siblings);
    need(holds, `entry ${sequence} is not proved to be in the log`);
    return content;
  });
  const check = { acceptance, completion }[claims.kind];
  need(check, "it says neither acceptance nor completion");
  check(claims, (action) => entries.filter((entry) => entry.action === action));
  return claims;
}

function agree(claims, name, logged) {
  need(claims[name] !== undefined && isDeepStrictEqual(claims[name], logged ?? null), `${name} is not what the log says`);
}

function acceptance(claims, of) {
  const [{ data }, ...more] = of("forget.accepted");
  need(!more.length, "it must have one entry forget.accepted");
  for (const name of ["request", "due_at", "subject_commitment", "selected_events"]) agree(claims, name, data[name]);
  agree(claims, "scope", data.scope ?? "user");
  agree(claims, "suppression_epoch", claims.scope === "user" ? data.epoch : null);
}

function completion(claims, of) {
  const [{ data }, ...more] = of("forget.completed");
  need(!more.length && data.requests.includes(claims.request), "the log does not say that it was completed");
  for (const name of ["run", "version", "parts", "completed_at"]) agree(claims, name, data[name]);
  agree(claims, "outcome", data.outcomes?.[claims.request]);
  const claimed = of("run.claimed").filter((entry) => entry.data.run === claims.run).at(-1);
  need(claimed, "the log does not say that its run was claimed");
  for (const name of ["policy_hash", "code"]) agree(claims, name, claimed.data[name]);
  agree(claims, "parent_version", of("version.published").filter((one) => one.data.run === claims.run).at(-1)?.data.parent);
  agree(claims, "destroyed_versions", of("version.destroyed").map((one) => ({ version: one.data.version, at: one.recorded_at })));
  const told = of("replicas.acknowledged").at(-1);
  const { replicas, version } = told?.data ?? {};
  agree(claims, "replicas_acknowledged", told && { at: told.recorded_at, replicas, version });
  for (const attempt of claims.attempts) {
    const same = ({ data: one }) => one.run === attempt.run && one.fence === attempt.fence;
    const numbered = ({ data: one }) => one.step === attempt.step && [null, attempt.number].includes(one.number);
    const [logged, ...others] = of("run.attempted").filter((one) => same(one) && numbered(one));
    need(logged && !others.length, "the log does not have one of its attempts");
    for (const name of ["method", "decision", "accepted", "policy_hash"]) agree(attempt, name, logged.data[name]);
    const before = ({ data: one, sequence }) => one.policy_hash === attempt.policy_hash && sequence < logged.sequence;
    need(of("run.claimed").some((one) => same(one) && before(one)), "the policy of an attempt was not in the log before it");
  }
}

export function isAbout(claims, salt, user) {
  return claims.subject_commitment === sha256(decoded(salt, "hex"), Buffer.from(user)).toString("hex");
}

function main([jwks, file, ...rest]) {
  const read = (name) => readFileSync(name, "utf8");
  const keys = keysOf(JSON.parse(read(jwks)));
  if (file === "--checkpoints") {
    const [first, second] = rest.slice(0, 2).map((name) => checkpointOf(read(name), keys));
    const proof = JSON.parse(read(rest[2])).proof.map((one) => decoded(one, "hex"));
    need(first.origin === second.origin && isContinued(first, second, proof), "the second log does not continue the first");
    return `entries 1 to ${first.size} are the first ones of ${second.size}`;
  }
  const claims = verifyReceipt(read(file).trimEnd(), keys);
  need(!rest.length || isAbout(claims, ...rest), "it is about somebody else, or the salt is another one");
  return claims.statement;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const given = process.argv.slice(2);
  if (given[1] === "--checkpoints" ? given.length !== 5 : ![2, 4].includes(given.length)) {
    console.error("usage: verify-receipt.mjs JWKS RECEIPT [SALT USER-ID] | JWKS --checkpoints OLD NEW CONSISTENCY");
    process.exit(2);
  }
  try {
    console.log(main(given));
  } catch (error) {
    // Whatever a receipt makes fail, it does not hold.
    console.error(`does not hold: ${error instanceof Refused ? error.message : "it cannot be read"}`);
    process.exit(1);
  }
}
