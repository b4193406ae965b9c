// Sends one message to Trueup by Celery's protocol, straight into Redis or Valkey. Node 18 or newer, and nothing else.
//
//   node producer.mjs redis://broker:6379/0 intake.register_order '{"merchant": "shop", "order": "A-1003", ...}'
//
// Ends with status 0 once the broker has the message. `send` may as well be imported.

import { randomUUID } from "node:crypto";
import { realpathSync } from "node:fs";
import { connect as connectPlain } from "node:net";
import { connect as connectTls } from "node:tls";
import { pathToFileURL } from "node:url";

const PATIENCE_MS = 10_000;
const QUEUES = ["intake", "sanity"];

/** The name is none that Trueup reads: on another list the message would lie for ever. */
export class UnknownTask extends Error {}

/** Put a task with these fields on the queue that its name begins with; resolves when the broker has it. */
export async function send(brokerUrl, task, fields) {
  const queue = queueOf(task);
  const url = new URL(brokerUrl);
  const commands = [];
  if (url.password) {
    commands.push(["AUTH", ...(url.username ? [decodeURIComponent(url.username)] : []), decodeURIComponent(url.password)]);
  }
  commands.push(["SELECT", url.pathname.slice(1) || "0"]);
  commands.push(["LPUSH", queue, JSON.stringify(message(queue, task, fields))]);
  await converse(url, commands);
}

function queueOf(task) {
  const queue = QUEUES.find((name) => task.startsWith(`${name}.`));
  if (queue === undefined) {
    throw new UnknownTask(`a task's name begins with ${QUEUES.map((name) => `${name}.`).join(" or ")}: ${task} does not`);
  }
  return queue;
}

/** Celery's message, protocol 2, as kombu writes it into a list. */
function message(queue, task, fields) {
  const id = randomUUID();
  return {
    body: Buffer.from(JSON.stringify([[], fields, null])).toString("base64"),
    "content-type": "application/json",
    "content-encoding": "utf-8",
    headers: { task, id },
    properties: {
      body_encoding: "base64",
      correlation_id: id,
      delivery_mode: 2,
      delivery_tag: randomUUID(), // new for every message
      delivery_info: { exchange: "", routing_key: queue },
    },
  };
}

/** Say the commands at once, and wait until each is answered; the first error ends it. */
function converse(url, commands) {
  return new Promise((resolve, reject) => {
    const port = Number(url.port || 6379);
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const socket = url.protocol === "rediss:" ? connectTls({ host, port, servername: host }) : connectPlain({ host, port });
    const end = (error) => {
      socket.destroy();
      if (error) reject(error);
      else resolve();
    };
    let said = "";
    socket.setEncoding("utf8");
    socket.setTimeout(PATIENCE_MS, () => end(new Error("the broker does not answer")));
    socket.on("error", end);
    socket.on("close", () => end(new Error("the broker hung up")));
    socket.on("data", (part) => {
      said += part;
      // These commands are answered with one line each: +OK, :1, or -ERR and why.
      const answers = said.split("\r\n").slice(0, -1);
      const refused = answers.find((answer) => answer.startsWith("-"));
      if (refused) end(new Error(refused.slice(1)));
      else if (answers.length === commands.length) end();
    });
    socket.write(commands.map(encoded).join(""));
  });
}

/** A command as RESP has it: every part with its length in bytes. */
function encoded(parts) {
  return `*${parts.length}\r\n` + parts.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join("");
}

// Run, and not imported; also where a link led here.
if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  const [brokerUrl, task, fields] = process.argv.slice(2);
  if (fields === undefined) {
    console.error("usage: node producer.mjs BROKER_URL TASK FIELDS_AS_JSON");
    process.exit(2);
  }
  try {
    await send(brokerUrl, task, JSON.parse(fields));
  } catch (error) {
    console.error(`not sent: ${error.message}`);
    process.exit(error instanceof UnknownTask ? 2 : 1);
  }
}
