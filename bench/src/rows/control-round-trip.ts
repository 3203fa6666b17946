/** Row: one small message to the peer and back on an open stream, one at a time. */
import { keepCoresAwake } from "../awake-cores.js";
import { openBarePair, openLinkPair } from "../peers/pairs.js";
import type { Measurement, Row, RunOptions } from "../row.js";
import { sampleInTurn } from "../sampling.js";

/** A ping in its batch is this long on the wire; the floor carries as many bytes. */
const PING_BYTES = 12;

/** The row. */
export const controlRoundTrip: Row = {
  name: "control-round-trip",
  what: "control round trip: an unsigned ping over a link on TaskStream, encoded and decoded, TLS",
  floor: "bare grpc-js bidirectional echo of as many bytes, TLS; the cores are kept awake for both",
  bar: { kind: "atMost", ratio: 1.3 },
  knownFloor: 52,
  measure,
};

async function measure({ isQuick }: RunOptions): Promise<readonly Measurement[]> {
  await using bare = await openBarePair({ isTuned: false });
  await using link = await openLinkPair({ role: "control" });
  using _awake = keepCoresAwake();
  const options = { count: isQuick ? 500 : 3000, sizeBytes: PING_BYTES };
  const samples = await sampleInTurn(
    {
      floor: () => bare.client.call("roundTrips", options),
      subject: () => link.client.call("roundTrips", options),
    },
    { warmUp: 2, rounds: isQuick ? 5 : 15 },
  );
  return [
    { label: "p50", unit: "us", ...samples, facts: { roundTripsASample: options.count, messageBytes: PING_BYTES } },
  ];
}
