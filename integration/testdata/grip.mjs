// An HTTP server on PORT that has its clients held by way of @fanoutio/grip, which is loaded from the
// directory of the first argument. The second argument is the key, and the environment has no part in it.
//
//     /wait?c=            waits for news of a channel
//     /stream?c=          is sent news of a channel
//     /here?id=           is sent a stream, and is there until it is gone
//     /left?id=           is told who is gone, and needs some time for that
//     /who                who is there
//     /publish?to=&c=&t=  publishes the text t on a channel, by way of the URL to

import http from "node:http";

const { GripInstruct, Publisher } = await import(process.argv[2] + "/node_modules/@fanoutio/grip/build/index-node.js");
const key = process.argv[3];
const verifier = new Publisher({ control_uri: "http://127.0.0.1/", verify_key: key, verify_iss: "sluice" });

const here = new Set();

async function answer(req, res) {
  const url = new URL(req.url, "http://app/");
  const q = url.searchParams;
  if (url.pathname === "/publish") {
    const publisher = new Publisher(q.get("to"));
    await publisher.publishHttpResponse(q.get("c"), q.get("t"));
    await publisher.publishHttpStream(q.get("c"), q.get("t"));
    res.end("published\n");
    return;
  }
  if (url.pathname === "/who") {
    res.end([...here].sort().join(" ") + "\n");
    return;
  }
  const { isProxied, isSigned } = await verifier.validateGripSig(req.headers["grip-sig"]);
  if (!isProxied || !isSigned) {
    res.writeHead(403).end("not signed\n");
    return;
  }
  if (url.pathname === "/left" && req.method === "POST") {
    let body = "";
    for await (const piece of req) body += piece;
    await new Promise((done) => setTimeout(done, 200));
    res.writeHead(here.delete(q.get("id") + body) ? 204 : 404).end();
    return;
  }
  const instruct = new GripInstruct(q.get("c") ?? "here");
  if (url.pathname === "/wait") {
    instruct.setHoldLongPoll(20);
  } else {
    instruct.setHoldStream();
    instruct.setKeepAlive("\n", 20);
  }
  const fields = { "Content-Type": "text/plain" };
  if (url.pathname === "/here") {
    here.add(q.get("id"));
    fields["Grip-Link"] = `</left?id=${q.get("id")}>; rel=gone`;
  }
  res.writeHead(200, instruct.toHeaders(fields));
  res.end("begin\n");
}

http
  .createServer((req, res) => answer(req, res).catch((err) => res.writeHead(500).end(String(err) + JSON.stringify(err) + "\n")))
  .listen(process.env.PORT, "127.0.0.1");
