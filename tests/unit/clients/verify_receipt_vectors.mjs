// Runs the JavaScript verifier on the published vectors; one line of JSON says what it found.
import { readFileSync } from "node:fs";
import { checkpointOf, isAbout, isContinued, isIncluded, keysOf, verifyReceipt } from "../../../clients/javascript/verify-receipt.mjs";

const folder = process.argv[2];
const read = (name) => readFileSync(`${folder}/${name}`, "utf8");
const vectors = JSON.parse(read("vectors.json"));
const keys = keysOf(JSON.parse(read("jwks.json")));
const refusal = (work) => {
  try {
    work();
    return null;
  } catch (error) {
    return `${error.constructor.name}: ${error.message}`;
  }
};
const taken = vectors.valid.map((token) => refusal(() => verifyReceipt(token, keys)));
const refused = Object.fromEntries(vectors.invalid.map(({ why, token }) => [why, refusal(() => verifyReceipt(token, keys))]));
const flipped = [];
const token = vectors.valid[0];
for (let place = 0; place < token.length; place += 7) {
  const other = token[place] === "A" ? "B" : "A";
  const changed = token.slice(0, place) + other + token.slice(place + 1);
  if (refusal(() => verifyReceipt(changed, keys)) === null) flipped.push(place);
}
const claims = verifyReceipt(token, keys);
const [first, second] = ["checkpoint-old.txt", "checkpoint-new.txt"].map((name) => checkpointOf(read(name), keys));
const proof = JSON.parse(read("consistency.json")).proof.map((one) => Buffer.from(one, "hex"));
const wrong = [proof.slice(1), [...proof, proof[0]], [...proof].reverse(), []];
const { sequence } = claims.log.entries[0];
console.log(
  JSON.stringify({
    taken,
    refused,
    flipped,
    about: [isAbout(claims, vectors.salt, vectors.user), isAbout(claims, vectors.salt, "user-2")],
    continued: isContinued(first, second, proof),
    wrongly: wrong.map((one) => isContinued(first, second, one)),
    backwards: isContinued(second, first, proof),
    outside: isIncluded(first.root, sequence + second.size, second, proof),
  }),
);
