/**
 * Where bytes may be cut without parting a character of UTF-8. Pure; looks at three bytes, whatever the length.
 *
 * It judges the end alone: bytes that are no UTF-8 are cut like any others, and nothing is ever changed.
 */

/** What follows the first byte of a character before it is whole. */
interface CharacterStart {
  readonly sizeBytes: number;
  /** Range of the second byte; further ones are 0x80 to 0xbf. */
  readonly secondFrom: number;
  readonly secondTo: number;
}

const CONTINUATION_FROM = 0x80;
const CONTINUATION_TO = 0xbf;
const MAX_OPEN_BYTES = 3;

/**
 * Bytes at the end that begin a character and lack its rest: 0 to 3.
 *
 * @param endBytes - where the end is. @default the length
 */
export function openCharacterBytes(bytes: Uint8Array, endBytes: number = bytes.byteLength): number {
  for (let back = 1; back <= Math.min(MAX_OPEN_BYTES, endBytes); back += 1) {
    const byte = bytes[endBytes - back] ?? 0;
    if (isContinuation(byte)) continue;
    const start = startOf(byte);
    if (start === undefined || start.sizeBytes <= back) return 0;
    return back === 1 || isSecond(start, bytes[endBytes - back + 1] ?? 0) ? back : 0;
  }
  return 0;
}

/** The length of the longest part of at most `maxBytes` that ends between two characters; `maxBytes` when none does. */
export function cutBetweenCharacters(bytes: Uint8Array, maxBytes: number): number {
  if (bytes.byteLength <= maxBytes) return bytes.byteLength;
  const openBytes = isContinuation(bytes[maxBytes] ?? 0) ? openCharacterBytes(bytes, maxBytes) : 0;
  return openBytes < maxBytes ? maxBytes - openBytes : maxBytes;
}

function isContinuation(byte: number): boolean {
  return byte >= CONTINUATION_FROM && byte <= CONTINUATION_TO;
}

function isSecond({ secondFrom, secondTo }: CharacterStart, byte: number): boolean {
  return byte >= secondFrom && byte <= secondTo;
}

/** Overlong forms, surrogates and what is past the last character are no characters. */
function startOf(byte: number): CharacterStart | undefined {
  if (byte >= 0xc2 && byte <= 0xdf) return { sizeBytes: 2, secondFrom: CONTINUATION_FROM, secondTo: CONTINUATION_TO };
  if (byte >= 0xe0 && byte <= 0xef) {
    return { sizeBytes: 3, secondFrom: byte === 0xe0 ? 0xa0 : 0x80, secondTo: byte === 0xed ? 0x9f : 0xbf };
  }
  if (byte >= 0xf0 && byte <= 0xf4) {
    return { sizeBytes: 4, secondFrom: byte === 0xf0 ? 0x90 : 0x80, secondTo: byte === 0xf4 ? 0x8f : 0xbf };
  }
  return undefined;
}
