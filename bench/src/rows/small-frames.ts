/** Row: small frames one way, as many as go. The link packs them into messages, the floor writes each alone. */
import { openBarePair, openLinkPair } from "../peers/pairs.js";
import type { Measurement, Row, RunOptions } from "../row.js";
import { sampleInTurn } from "../sampling.js";

const FRAME_BYTES = 100;

/** The row. */
export const smallFrames: Row = {
  name: "small-frames",
  what: "frames of 100 bytes one way over a control link, batched, TLS, received and counted",
  floor: "bare grpc-js, one message a frame, drain honoured, TLS",
  bar: { kind: "atLeast", ratio: 5 },
  knownFloor: 25_151,
  measure,
};

async function measure({ isQuick }: RunOptions): Promise<readonly Measurement[]> {
  await using bare = await openBarePair({ isTuned: false });
  await using link = await openLinkPair({ role: "control" });
  // Enough for about half a second on either side: their rates are far apart.
  const sized = (count: number) => ({ totalBytes: count * FRAME_BYTES, messageBytes: FRAME_BYTES });
  const floorCount = isQuick ? 10_000 : 40_000;
  const subjectCount = floorCount * 10;
  const samples = await sampleInTurn(
    {
      floor: async () => (await bare.client.call<number>("upload", sized(floorCount))) / FRAME_BYTES,
      subject: () => link.client.call("frames", sized(subjectCount)),
    },
    { warmUp: 2, rounds: isQuick ? 3 : 15 },
  );
  const facts = { frameBytes: FRAME_BYTES, framesASampleFloor: floorCount, framesASampleSubject: subjectCount };
  return [{ label: "one way", unit: "frames/s", ...samples, facts }];
}
