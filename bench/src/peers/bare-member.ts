/** The floor of a fleet: bare grpc-js with as many connections, streams and heartbeats, echoed and not looked at. */
import { Client, type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import { BARE_SERVICE } from "./bare-service.js";
import { type FleetConnection, type FleetEndpoint, type FleetMember, HEARTBEAT_MS } from "./fleet-member.js";

/** As long as a heartbeat of Cortex. */
const HEARTBEAT_BYTES = 80;

type BareCall = ClientDuplexStream<Buffer, Buffer>;

/** Makes a member; there is nothing to enrol. */
export async function makeBareMember(endpoint: FleetEndpoint): Promise<FleetMember> {
  return { connect: () => connect(endpoint) };
}

async function connect(endpoint: FleetEndpoint): Promise<FleetConnection> {
  const control = dial(endpoint);
  try {
    return await openStreams(endpoint, control);
  } catch (error) {
    control.close();
    throw error;
  }
}

async function openStreams(endpoint: FleetEndpoint, control: Client): Promise<FleetConnection> {
  const tasks = openCall(control);
  await firstEcho(tasks);
  const health = openCall(control);
  let answers = 0;
  health.on("data", () => {
    answers += 1;
  });
  const message = Buffer.alloc(HEARTBEAT_BYTES, 1);
  health.write(message);
  const timer = setInterval(() => health.write(message), HEARTBEAT_MS);
  let data: Client | undefined;
  const lost = new Promise<void>((resolve) => {
    for (const call of [tasks, health]) call.once("error", resolve).once("end", resolve);
  });
  return {
    async openData() {
      data = dial(endpoint);
      const log = openCall(data);
      await firstEcho(log);
      log.once("end", () => control.close());
    },
    get answers() {
      return answers;
    },
    lost: lost.then(() => {
      clearInterval(timer);
      control.close();
      data?.close();
    }),
    close() {
      control.close();
      data?.close();
    },
  };
}

function dial({ address, caPem, serverName }: FleetEndpoint): Client {
  return new Client(address, credentials.createSsl(Buffer.from(caPem)), {
    "grpc.ssl_target_name_override": serverName,
    // A connection of its own, as each node has.
    "grpc.use_local_subchannel_pool": 1,
  });
}

function openCall(client: Client): BareCall {
  const { path, requestSerialize, responseDeserialize } = BARE_SERVICE.echo;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  // Told through `lost`; without a listener an error would end the process.
  call.on("error", () => undefined);
  return call;
}

function firstEcho(call: BareCall): Promise<void> {
  return new Promise((resolve, reject) => {
    call.once("data", () => resolve());
    call.once("error", reject);
    call.write(Buffer.alloc(HEARTBEAT_BYTES, 1));
  });
}
