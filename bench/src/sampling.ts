/** Takes samples of the floor and of our side in turn, so that whatever disturbs the machine disturbs both. */

/** What is sampled. */
export interface SamplePair {
  readonly floor: () => Promise<number>;
  readonly subject: () => Promise<number>;
}

/** How often. */
export interface SampleCounts {
  /** Rounds that are thrown away, so that both sides are compiled and connected. */
  readonly warmUp: number;
  readonly rounds: number;
}

/** Runs the rounds; who goes first changes with each, since the first of a round may find a colder machine. */
export async function sampleInTurn(
  { floor, subject }: SamplePair,
  { warmUp, rounds }: SampleCounts,
): Promise<{ readonly floor: readonly number[]; readonly subject: readonly number[] }> {
  const samples: { readonly floor: number[]; readonly subject: number[] } = { floor: [], subject: [] };
  for (let round = -warmUp; round < rounds; round += 1) {
    const isFloorFirst = round % 2 === 0;
    const first = await (isFloorFirst ? floor : subject)();
    const second = await (isFloorFirst ? subject : floor)();
    if (round < 0) continue;
    samples.floor.push(isFloorFirst ? first : second);
    samples.subject.push(isFloorFirst ? second : first);
  }
  return samples;
}
