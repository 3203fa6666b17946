/** Reads the text format of Prometheus, strictly: what a collector might refuse or misread throws here. */

/** One line with a value. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One figure with its samples. */
export interface Family {
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram" | "summary";
  readonly samples: readonly Sample[];
}

const HELP = /^# HELP ([a-z_:][a-z0-9_:]*) (\S.*)$/;
const TYPE = /^# TYPE ([a-z_:][a-z0-9_:]*) (counter|gauge|histogram|summary)$/;
const SAMPLE = /^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (NaN|[+-]?Inf|-?[0-9.]+(?:e[+-]?[0-9]+)?)$/;
const LABEL = /^([a-z_][a-z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/;

/** Gives the families by name. */
export function parsePrometheusText(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const families = new Map<string, Family & { readonly samples: Sample[] }>();
  const blocks = text.trimEnd().split(/\n\n?(?=# HELP )/);
  for (const block of blocks) {
    const [helpLine = "", typeLine = "", ...lines] = block.split("\n").filter((line) => line !== "");
    const [, name = "", help = ""] = HELP.exec(helpLine) ?? fail("is no HELP", helpLine);
    const [, typed, type] = TYPE.exec(typeLine) ?? fail("is no TYPE", typeLine);
    if (typed !== name || families.has(name)) fail("is out of place", typeLine);
    const samples = lines.map((line) => parseSample(line, name));
    assertUnique(samples);
    if (type === "histogram") assertHistogram(name, samples);
    families.set(name, { help, type: type as Family["type"], samples });
  }
  return families;
}

function parseSample(line: string, family: string): Sample {
  const [, name = "", labelText = "", value = ""] = SAMPLE.exec(line) ?? fail("is no sample", line);
  if (!new RegExp(`^${family}(_bucket|_sum|_count)?$`).test(name)) fail(`is not of ${family}`, line);
  const labels: Record<string, string> = {};
  for (let rest = labelText; rest !== ""; ) {
    const [all, key = "", quoted = ""] = LABEL.exec(rest) ?? fail("has a broken label", line);
    if (Object.hasOwn(labels, key)) fail("repeats a label", line);
    labels[key] = quoted;
    rest = rest.slice(all.length);
  }
  return { name, labels, value: Number(value.replace("Inf", "Infinity")) };
}

function assertUnique(samples: readonly Sample[]): void {
  const keys = new Set(samples.map(({ name, labels }) => name + JSON.stringify(Object.entries(labels).sort())));
  if (keys.size !== samples.length) fail("repeats a sample", samples[0]?.name ?? "");
}

function assertHistogram(name: string, samples: readonly Sample[]): void {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const { le: _, ...labels } = sample.labels;
    const key = JSON.stringify(labels);
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  for (const [key, group] of groups) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const count = group.find((sample) => sample.name === `${name}_count`)?.value;
    const isRising = buckets.every(({ value }, at) => value >= (buckets[at - 1]?.value ?? 0));
    const last = buckets.at(-1);
    if (!isRising || last?.labels["le"] !== "+Inf" || last.value !== count) fail("is no histogram", name + key);
  }
}

function fail(what: string, line: string): never {
  throw new Error(`"${line}" ${what}`);
}
