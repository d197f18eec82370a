// Token ids and n-gram keys by the rule in pyclassify/text/transform.py and ngrams.py, from a checkpoint's files alone.
//
//   node tests/tokeniser.mjs FOLDER < request.json > answer.json
//
// FOLDER holds config.json and vocab.txt. The request is {"texts": [...], "characters": [...]}; the answer has for each
// text its tokens, its ids and the keys of its n-grams (null where it is empty), and of the characters those that this
// program's Unicode does not know.

import { readFileSync } from "node:fs";

const folder = process.argv[2];
const config = JSON.parse(readFileSync(`${folder}/config.json`, "utf8"));
const { tokens, lowercase, max_tokens } = config.transform;
const ids = new Map(readFileSync(`${folder}/vocab.txt`, "utf8").split("\n").map((token, id) => [token, id]));

const SPACES = "\\x00-\\x20\\x7f-\\xa0\\u1680\\u2000-\\u200b\\u2028\\u2029\\u202f\\u205f\\u2060\\u3000\\ufeff";
const LINE_BREAK = new RegExp(`<[bB][rR][${SPACES}]*/?>`, "gu");
const WORD = new RegExp(`[\\p{L}\\p{N}\\p{M}_]+(?:'[\\p{L}\\p{N}\\p{M}_]+)*|[^${SPACES}]`, "gu");
const MANY_SPACES = new RegExp(`[${SPACES}]+`, "gu");

function tokenise(text) {
  text = text.replace(/\p{Cs}/gu, "\ufffd").replace(/(\p{M}{100})\p{M}+/gu, "$1").normalize("NFC");
  text = text.replaceAll("\u2019", "'").replace(LINE_BREAK, " ");
  if (lowercase) text = text.toLowerCase();
  if (tokens === "words") return text.match(WORD) ?? [];
  text = text.replace(MANY_SPACES, " ").replace(/^ | $/g, "");
  return text ? [" ", ...text, " "] : [];
}

function cut(found) {
  if (found.length <= max_tokens) return found;
  return tokens === "words" ? found.slice(0, max_tokens) : [...found.slice(0, max_tokens - 1), " "];
}

// Numbers are doubles: every product stays below 2^53, so no BigInt is needed.
const [PRIME, STEP, SPREAD, RIVALS] = [2147483647, 1000003, 1299709, 16];

// For each n-gram bucket * RIVALS + fingerprint: all of one token, then all of two, and so on.
function keys(list, { buckets, order }) {
  const found = [];
  for (let size = 1; size <= order; size += 1) {
    for (let start = 0; start + size <= list.length; start += 1) {
      let hash = 0;
      for (const id of list.slice(start, start + size)) hash = (hash * STEP + id) % PRIME;
      found.push(((hash * SPREAD) % PRIME) % (buckets * RIVALS));
    }
  }
  return found;
}

const request = JSON.parse(readFileSync(0, "utf8"));
const answers = request.texts.map((text) => {
  const found = cut(tokenise(text));
  const list = found.map((token) => ids.get(token) ?? 1);
  return found.length ? { tokens: found, ids: list, keys: keys(list, config.network.arguments) } : null;
});
const unknown = request.characters.filter((character) => /\p{Cn}/u.test(character));
process.stdout.write(JSON.stringify({ answers, unknown }));
