import { isUtf8 } from "node:buffer";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type OutputPiece, planEvents } from "../../src/tasks/output-plan.js";

const MAX_EVENT_BYTES = 64 * 1024;

function pieceOf(kind: OutputPiece["kind"], bytes: Uint8Array, index: number): OutputPiece {
  return { seq: index + 1, kind, atMs: 0, bytes, data: null };
}

/** The bytes of each event, as a reader gets them. */
function eventBytes(pieces: readonly OutputPiece[]): { readonly kind: string; readonly bytes: Buffer }[] {
  const { events, writes } = planEvents(pieces, { stdoutBytes: 0, stderrBytes: 0 });
  const files = new Map(writes.map(({ stream, chunks }) => [stream as string, Buffer.concat(chunks)]));
  return events.map(({ kind, offset, length }) => ({
    kind,
    bytes: files.get(kind)?.subarray(offset, offset + length) ?? Buffer.alloc(0),
  }));
}

describe("records that become events", () => {
  it("E2: a record over the length of an event becomes several, cut between two characters", () => {
    const text = "€".repeat(80_000);
    const events = eventBytes([pieceOf("stdout", Buffer.from(text), 0)]);
    expect(events.length).toBe(Math.ceil(240_000 / MAX_EVENT_BYTES));
    for (const { bytes } of events) expect(isUtf8(bytes) && bytes.byteLength <= MAX_EVENT_BYTES).toBe(true);
    expect(Buffer.concat(events.map(({ bytes }) => bytes)).toString()).toBe(text);
  });

  it("E2: a character that two records share is in one event", () => {
    const first = Buffer.from(`${"a".repeat(60_000)}€`).subarray(0, -1);
    const second = Buffer.concat([Buffer.from("€").subarray(-1), Buffer.from("b".repeat(10_000))]);
    const events = eventBytes([pieceOf("stdout", first, 0), pieceOf("stdout", second, 1)]);
    expect(events.map(({ bytes }) => bytes.toString())).toEqual(["a".repeat(60_000), `€${"b".repeat(10_000)}`]);
  });

  it("E2: a record without bytes does not put the next one into the other stream", () => {
    const pieces = [
      pieceOf("stdout", Buffer.from("out"), 0),
      pieceOf("stderr", Buffer.alloc(0), 1),
      pieceOf("stderr", Buffer.from("err"), 2),
    ];
    const events = eventBytes(pieces).map(({ kind, bytes }) => `${kind} ${bytes.toString()}`);
    expect(events).toEqual(["stdout out", "stderr err"]);
  });

  it("E2: whatever the records are, every byte is in one event of its stream, in order and of the right length", () => {
    const sizes = fc.constantFrom(0, 1, 2, 3, 100, 65_535, 65_536, 65_537, 262_144);
    const piece = fc.record({
      kind: fc.constantFrom("stdout" as const, "stderr" as const),
      size: sizes,
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (list) => {
        const pieces = list.map(({ kind, size, seed }, index) => {
          const bytes = Uint8Array.from({ length: size }, (_, at) => (0xe2 + ((at * seed) % 0x1e)) & 0xff);
          return pieceOf(kind, bytes, index);
        });
        const events = eventBytes(pieces);
        for (const kind of ["stdout", "stderr"]) {
          const planned = Buffer.concat(events.filter((event) => event.kind === kind).map(({ bytes }) => bytes));
          const sent = Buffer.concat(pieces.filter((each) => each.kind === kind).map(({ bytes }) => bytes));
          expect(Buffer.compare(planned, sent)).toBe(0);
        }
        for (const { bytes } of events) expect(bytes.byteLength).toBeLessThanOrEqual(MAX_EVENT_BYTES);
      }),
      { numRuns: 50 },
    );
  });
});
