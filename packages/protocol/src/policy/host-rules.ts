/**
 * Which hosts and ports a policy lets through: a list of rules as a set of (host, port), with one spelling for each set.
 *
 * A host is a name (`example.com`), or all names below one (`*.example.com`, which does not include `example.com`).
 * Two hosts are therefore equal, one inside the other, or apart; so the intersection of two lists is over the hosts
 * that they name. Ports absent means all. Pure; O(n * m) in the number of rules.
 */

/** Hosts of one pattern, on some ports or on all. */
export interface HostRule {
  readonly host: string;
  readonly ports?: readonly number[] | undefined;
}

/** All ports, or these. */
type Ports = "all" | ReadonlySet<number>;

const NO_PORTS: Ports = new Set<number>();

/** Whether the rules let `host` (lower case, no wildcard) through on `port`. */
export function isHostAllowed(rules: readonly HostRule[], host: string, port: number): boolean {
  const ports = portsOf(rules, host);
  return ports === "all" || ports.has(port);
}

/** The one spelling of a list: sorted, without what another rule already says. */
export function normalizeHostRules(rules: readonly HostRule[]): HostRule[] {
  return spell(rules, (host) => portsOf(rules, host));
}

/** What both lists let through, in its one spelling. */
export function intersectHostRules(left: readonly HostRule[], right: readonly HostRule[]): HostRule[] {
  return spell([...left, ...right], (host) => intersectPorts(portsOf(left, host), portsOf(right, host)));
}

function spell(rules: readonly HostRule[], portsFor: (host: string) => Ports): HostRule[] {
  const hosts = [...new Set(rules.map((rule) => rule.host))].sort();
  const all = hosts.map((host) => toRule(host, portsFor(host))).filter((rule) => rule !== undefined);
  return all.filter((rule) => {
    const wider = all.filter((other) => other.host !== rule.host && isWithin(rule.host, other.host));
    return !isSamePorts(toPorts(rule), portsOf(wider, rule.host));
  });
}

/** Everything that the rules say about a host or pattern: its own rule and those of wider patterns. */
function portsOf(rules: readonly HostRule[], host: string): Ports {
  return rules
    .filter((rule) => isWithin(host, rule.host))
    .reduce((sum, rule) => unitePorts(sum, toPorts(rule)), NO_PORTS);
}

/** Whether each name of `inner` is one of `outer`. */
function isWithin(inner: string, outer: string): boolean {
  return inner === outer || (outer.startsWith("*.") && inner.endsWith(outer.slice(1)));
}

function toPorts(rule: HostRule): Ports {
  return rule.ports === undefined ? "all" : new Set(rule.ports);
}

function toRule(host: string, ports: Ports): HostRule | undefined {
  if (ports === "all") return { host };
  return ports.size === 0 ? undefined : { host, ports: [...ports].sort((left, right) => left - right) };
}

function unitePorts(left: Ports, right: Ports): Ports {
  return left === "all" || right === "all" ? "all" : new Set([...left, ...right]);
}

function intersectPorts(left: Ports, right: Ports): Ports {
  if (left === "all") return right;
  return right === "all" ? left : new Set([...left].filter((port) => right.has(port)));
}

function isSamePorts(left: Ports, right: Ports): boolean {
  if (left === "all" || right === "all") return left === right;
  return left.size === right.size && [...left].every((port) => right.has(port));
}
