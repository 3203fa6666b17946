/** Row: bytes over a link of 40 ms, each way. What counts is how much may be under way, not how fast the machine is. */
import { openBarePair, openLinkPair, type PeerPair } from "../peers/pairs.js";
import { spawnPeer } from "../peers/peer.js";
import type { Measurement, Row, RunOptions } from "../row.js";
import { sampleInTurn } from "../sampling.js";

const DELAY_MS = 20;
const CHUNK_BYTES = 252 * 1024;
const MEGABYTE = 1_000_000;
/** Transfers of one megabyte before the first sample: what the floor waits for is the link, so they cost it a second each. */
const WARM_UP_TRANSFERS = 6;

/** The row. */
export const longLink: Row = {
  name: "long-link",
  what: "transfers over a link of 40 ms round trip: Transfer stream of a data channel, TLS",
  floor: "bare grpc-js with its default windows, the same bytes through the same kind of proxy, TLS",
  bar: { kind: "atLeast", ratio: 40 },
  measure,
};

async function measure({ isQuick }: RunOptions): Promise<readonly Measurement[]> {
  await using floorProxy = spawnPeer("delay-proxy");
  await using subjectProxy = spawnPeer("delay-proxy");
  const through = (proxy: typeof floorProxy) => (port: number) =>
    proxy.call<number>("start", { port, delayMs: DELAY_MS });
  await using bare = await openBarePair({ isTuned: false }, through(floorProxy));
  await using link = await openLinkPair({ role: "data" }, through(subjectProxy));
  const options = { totalBytes: (isQuick ? 3 : 8) * MEGABYTE, messageBytes: CHUNK_BYTES };
  const measurements: Measurement[] = [];
  for (const method of ["upload", "download"] as const) {
    const sample = (pair: PeerPair) => async () => (await pair.client.call<number>(method, options)) / MEGABYTE;
    for (let count = 0; count < WARM_UP_TRANSFERS; count += 1) {
      for (const pair of [bare, link]) await pair.client.call(method, { ...options, totalBytes: MEGABYTE });
    }
    const pair = { floor: sample(bare), subject: sample(link) };
    const samples = await sampleInTurn(pair, { warmUp: 0, rounds: isQuick ? 2 : 5 });
    const facts = { transferBytes: options.totalBytes, chunkBytes: CHUNK_BYTES, roundTripMs: 2 * DELAY_MS };
    measurements.push({ label: method, unit: "MB/s", ...samples, facts });
  }
  return measurements;
}
