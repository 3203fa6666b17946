/** A bare HTTP/2 client: what a peer sees of the server below gRPC. */
import { type ClientHttp2Session, connect, type Settings } from "node:http2";
import { HUB_NAME, type TestHub } from "./start-hub.js";

/** An HTTP/2 connection to a hub. */
export interface RawSession extends AsyncDisposable {
  readonly session: ClientHttp2Session;
  /** Resolves with the next settings of the server that satisfy `isWanted`, also ones that came already. */
  settings(isWanted: (settings: Settings) => boolean): Promise<Settings>;
  /** Opens a TaskStream and resolves with the status code of the answer, or why it was refused. */
  request(headers?: Readonly<Record<string, string>>): Promise<number | string>;
}

/** Connects to `hub`. */
export function openRawSession(hub: TestHub): RawSession {
  const session = connect(`https://127.0.0.1:${hub.port}`, { ca: hub.certificates.caPem, servername: HUB_NAME });
  session.on("error", () => {});
  return {
    session,
    settings: (isWanted) =>
      new Promise((resolve) => {
        const check = (settings: Settings): void => {
          if (isWanted(settings)) resolve(settings);
        };
        session.on("remoteSettings", check);
        session.once("connect", () => check(session.remoteSettings));
      }),
    request: (headers = {}) =>
      new Promise((resolve) => {
        const stream = session.request({
          ":method": "POST",
          ":path": "/cortex.agent.v1.AgentOrchestrator/TaskStream",
          "content-type": "application/grpc",
          te: "trailers",
          ...headers,
        });
        stream.on("response", (response) => resolve(response[":status"] ?? 0));
        stream.on("error", (error) => resolve(error.message));
        stream.on("close", () => resolve(`closed with ${stream.rstCode}`));
      }),
    async [Symbol.asyncDispose]() {
      session.destroy();
    },
  };
}
