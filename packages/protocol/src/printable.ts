/**
 * Text from outside as it may be shown: on a terminal, in a log, in a message for people.
 *
 * What others choose (names, messages of errors, output) may hold characters that forge lines, move the cursor or turn the
 * order of what follows. They are written as escapes here (CWE-117), which are also those of JSON.
 */

/** Control and format characters, and the separators of lines and paragraphs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Gives the text with everything that does not print as an escape; it is one line then. */
export function toPrintable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => SHORT_ESCAPES[character] ?? escapeUnits(character));
}

function escapeUnits(character: string): string {
  let escaped = "";
  for (let at = 0; at < character.length; at++) {
    escaped += `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`;
  }
  return escaped;
}

/** Invites and bearer tokens of Cortex, tokens of nodes (JWT), private keys; the lines of a key may be written as escapes. */
const SECRETS =
  /cx[a-z]_[A-Za-z0-9_-]{16,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[A-Za-z0-9+/=\s]|\\[nr])*(?:-----END [A-Z ]*PRIVATE KEY-----)?/g;

/**
 * Cuts out what has the form of a secret of Cortex. The last line of defence: whoever writes a log hands it none.
 *
 * For text, not for JSON as a whole: there a secret may begin inside an escape.
 */
export function withoutSecrets(text: string): string {
  return text.replace(SECRETS, "[secret]");
}
