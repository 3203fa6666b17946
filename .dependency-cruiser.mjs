/**
 * Who may import whom: between packages exactly the listed arrows, inside a package only rooms of a lower floor.
 *
 * Rooms of one floor do not know each other, unless the floor is marked as shared. A room is a folder of `src`, or a
 * file there (without `.ts`); every file must belong to a room that is listed here.
 */

/** Package -> packages it may import. Complete. */
const PACKAGE_ARROWS = {
  protocol: [],
  "orchestrator-sdk": ["protocol"],
  "node-sdk": ["protocol"],
  testing: ["protocol", "orchestrator-sdk", "node-sdk"],
};

/**
 * Package -> floors, top first.
 *
 * @type {Record<string, { rooms: string[], isShared?: boolean }[]>}
 */
const FLOORS = {
  protocol: [
    { rooms: ["log", "grpc", "portable"] },
    { rooms: ["skill", "policy", "signing"] },
    {
      rooms: [
        "errors",
        "ids",
        "id-source",
        "limits",
        "version",
        "clock",
        "link",
        "encoding",
        "canonical-json",
        "invite",
        "printable",
      ],
      isShared: true,
    },
    { rooms: ["gen"] },
  ],
  "orchestrator-sdk": [
    { rooms: ["hub", "hub-core", "hub-close", "hub-parts", "hub-events", "hub-logger", "data-lock"], isShared: true },
    { rooms: ["http", "link", "client", "metrics"] },
    { rooms: ["operations"] },
    { rooms: ["tasks"] },
    { rooms: ["nodes", "sessions"] },
    { rooms: ["feed"] },
    { rooms: ["conformance"] },
    { rooms: ["access"] },
    { rooms: ["store"] },
    { rooms: ["wake"] },
  ],
  "node-sdk": [
    { rooms: ["node"] },
    { rooms: ["link"] },
    { rooms: ["runner"] },
    { rooms: ["inbox", "skills"] },
    { rooms: ["sandbox"] },
    { rooms: ["health", "state"] },
  ],
};

/** @param {readonly string[]} names */
const anyOf = (names) => (names.length === 0 ? "(?!)" : `(${names.join("|")})`);

/** @param {string} name @param {readonly string[]} rooms */
const inRooms = (name, rooms) => `^packages/${name}/src/${anyOf(rooms)}(/|\\.ts$)`;

function packageRules() {
  return Object.entries(PACKAGE_ARROWS).map(([name, allowed]) => ({
    name: `arrow-${name}`,
    comment: `${name} may import only: ${allowed.join(", ") || "no other package"}`,
    severity: "error",
    from: { path: `^packages/${name}/src/` },
    to: { path: "^(packages|examples|bench|test|scripts)/", pathNot: `^packages/${anyOf([name, ...allowed])}/` },
  }));
}

function testRules() {
  return Object.entries(PACKAGE_ARROWS).map(([name, allowed]) => ({
    name: `test-arrow-${name}`,
    comment: `the tests of ${name} may import it, what it may import, and testing`,
    severity: "error",
    from: { path: `^packages/${name}/test/` },
    to: { path: "^(packages|examples|bench|test)/", pathNot: `^packages/${anyOf([name, "testing", ...allowed])}/` },
  }));
}

function floorRules() {
  return Object.entries(FLOORS).flatMap(([name, floors]) =>
    floors.flatMap(({ rooms, isShared = false }, at) => {
      const lower = floors.slice(at + 1).flatMap((floor) => floor.rooms);
      return (isShared ? [rooms] : rooms.map((room) => [room])).map((own) => ({
        name: `floor-${name}-${isShared ? "base" : own[0]}`,
        comment: `${own.join(", ")} may import only rooms of lower floors: ${lower.join(", ") || "none"}`,
        severity: "error",
        from: { path: inRooms(name, own) },
        to: { path: `^packages/${name}/src/`, pathNot: inRooms(name, [...own, ...lower]) },
      }));
    }),
  );
}

function roomRules() {
  return Object.entries(FLOORS).flatMap(([name, floors]) => {
    const listed = inRooms(
      name,
      floors.flatMap(({ rooms }) => rooms),
    );
    const unlisted = { path: `^packages/${name}/src/`, pathNot: [listed, `^packages/${name}/src/index\\.ts$`] };
    const comment = "a new room is listed here first, with its floor";
    return [
      { name: `room-${name}`, comment, severity: "error", from: unlisted, to: {} },
      { name: `room-${name}-used`, comment, severity: "error", from: {}, to: unlisted },
    ];
  });
}

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    ...packageRules(),
    ...testRules(),
    ...floorRules(),
    ...roomRules(),
    {
      name: "no-cycles",
      severity: "error",
      from: { pathNot: "/gen/" },
      to: { circular: true },
    },
    {
      name: "no-own-index",
      comment: "index.ts is the public entry; inside a package, import the file that has it",
      severity: "error",
      from: { path: "^(packages/[^/]+)/src/", pathNot: "/src/gen/" },
      to: { path: ["^$1/src/index\\.ts$", "^$1/src/.+/index\\.ts$"], pathNot: "/src/gen/" },
    },
    {
      name: "resolvable",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "no-development-dependency-in-source",
      severity: "error",
      from: { path: "^(packages|examples)/[^/]+/src/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], dependencyTypesNot: ["type-only"] },
    },
    {
      name: "programs-use-public-entries",
      comment: "examples and benches see of a package what its users see",
      severity: "error",
      from: { path: "^(examples|bench)/" },
      to: { path: "^packages/[^/]+/src/" },
    },
  ],
  options: {
    doNotFollow: { path: "(^|/)(node_modules|dist)/" },
    exclude: { path: "(^|/)(coverage|\\.cache)/|tsup\\.config\\.ts$" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.base.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "default", "types"],
      extensions: [".ts", ".js", ".mjs", ".json"],
    },
  },
};
