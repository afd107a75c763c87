// Verifies a receipt in the browser: its signature, the log's checkpoint in it, and the proof of each entry (RFC 9162).
// What it does not do, the gateway does: compare each claim with the entries. Without Ed25519 the form goes there.
"use strict";
(() => {
  const TYPE = "erasure-receipt+jwt";
  const text = new TextEncoder();

  class Invalid extends Error {}

  function require(holds, otherwise) {
    if (!holds) throw new Invalid(otherwise);
  }

  const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const fromUrl = (part) => bytesOf(part.replaceAll("-", "+").replaceAll("_", "/"));
  const fromHex = (digits) => Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const same = (one, other) => one.length === other.length && one.every((byte, place) => byte === other[place]);

  function joined(...parts) {
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let place = 0;
    for (const part of parts) {
      all.set(part, place);
      place += part.length;
    }
    return all;
  }

  const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
  const leafHash = (leaf) => sha256(Uint8Array.of(0), text.encode(leaf));
  const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);

  const keyOf = ({ kty, crv, x }) => crypto.subtle.importKey("jwk", { kty, crv, x }, "Ed25519", false, ["verify"]);
  const signed = (key, signature, message) => crypto.subtle.verify("Ed25519", key, signature, message);

  async function supported() {
    if (!globalThis.crypto?.subtle) return false;
    try {
      await crypto.subtle.importKey("raw", fromHex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
        "Ed25519", false, ["verify"]);
      return true;
    } catch {
      return false;
    }
  }

  // The claims of a compact JWS that one of the keys has signed.
  async function claimsOf(token, keys) {
    const [header, payload, signature] = token.split(".");
    const said = JSON.parse(new TextDecoder().decode(fromUrl(header)));
    require(said.typ === TYPE && said.alg === "EdDSA", "it is no receipt");
    const key = keys.find((one) => one.kid === said.kid);
    require(key, "it was signed with a key that is not published");
    const holds = await signed(await keyOf(key), fromUrl(signature), text.encode(`${header}.${payload}`));
    require(holds, "its signature does not verify");
    return { claims: JSON.parse(new TextDecoder().decode(fromUrl(payload))), kid: said.kid };
  }

  // Size and root of a checkpoint: a signed note of C2SP.
  async function headOf(note, origin, keys) {
    const [head, lines] = [note.slice(0, note.indexOf("\n\n") + 1), note.slice(note.indexOf("\n\n") + 2)];
    const [name, size, root] = head.split("\n");
    require(name === origin, "its checkpoint is of another service's log");
    let holds = false;
    for (const line of lines.split("\n").filter(Boolean)) {
      const [, signer, value] = line.split(" ");
      const found = bytesOf(value);
      for (const key of keys) {
        const named = await sha256(text.encode(`${name}\n`), Uint8Array.of(1), fromUrl(key.x));
        if (signer !== name || !same(named.slice(0, 4), found.slice(0, 4))) continue;
        holds = await signed(await keyOf(key), found.slice(4), text.encode(head));
        require(holds, "the checkpoint's signature does not verify");
      }
    }
    require(holds, "the checkpoint was signed with a key that is not published");
    return { size: Number(size), root: bytesOf(root) };
  }

  // Source: RFC 9162, section 2.1.3.2.
  async function included(leaf, index, proof, { size, root }) {
    let [place, last, found] = [index, size - 1, leaf];
    if (index < 0 || index >= size) return false;
    for (const sibling of proof) {
      if (last === 0) return false;
      if (place % 2 || place === last) {
        found = await nodeHash(sibling, found);
        while (place % 2 === 0 && place !== 0) [place, last] = [place / 2, Math.floor(last / 2)];
      } else {
        found = await nodeHash(found, sibling);
      }
      [place, last] = [Math.floor(place / 2), Math.floor(last / 2)];
    }
    return last === 0 && same(found, root);
  }

  async function verified(token, keys, request, kind) {
    const { claims, kid } = await claimsOf(token, keys);
    require(claims.request === request && claims.kind === kind, "it is the receipt of another request");
    const head = await headOf(claims.log.checkpoint, claims.iss, keys);
    const actions = [];
    for (const { sequence, leaf, proof } of claims.log.entries) {
      const entry = JSON.parse(leaf);
      const holds = entry.sequence === sequence
        && await included(await leafHash(leaf), sequence - 1, proof.map(fromHex), head);
      require(holds, `entry ${sequence} is not proved to be in the log`);
      actions.push(entry.action);
    }
    const wanted = kind === "completion" ? "forget.completed" : "forget.accepted";
    require(actions.includes(wanted), `it has no entry ${wanted}`);
    return { kid, entries: actions.length, size: head.size };
  }

  async function load(address, as) {
    const answer = await fetch(address, { cache: "no-store", redirect: "error" });
    if (!answer.ok) throw new Error(`the gateway answered ${answer.status}`);
    return answer[as]();
  }

  async function verifyHere(form) {
    const { token, keys, request, kind } = form.dataset;
    const shown = document.getElementById(form.dataset.result);
    shown.textContent = "Verifying…";
    try {
      const [text, published] = await Promise.all([load(token, "text"), load(keys, "json")]);
      const { kid, entries, size } = await verified(text, published.keys, request, kind);
      shown.className = "notice good";
      shown.textContent = `✓ The receipt holds. Verified in this browser: its signature by key ${kid.slice(0, 12)}…, `
        + `the log's checkpoint, and that ${entries} ${entries === 1 ? "entry is" : "entries are"} among the `
        + `${size} of the log.`;
    } catch (error) {
      shown.className = "notice bad";
      shown.textContent = error instanceof Invalid
        ? `! The receipt does not hold: ${error.message}. Verified in this browser.`
        : `! It could not be verified: ${error.message}.`;
    }
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-token]");
    if (!form) return;
    event.preventDefault();
    if (await supported()) await verifyHere(form); else form.submit();
  });
})();
