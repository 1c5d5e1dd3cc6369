"use strict";
// Some of the routes of this package (see doc.go) as a Node server. It listens at PORT, or on the
// socket that socket activation hands it.

const fs = require("node:fs/promises");
const http = require("node:http");

const routes = {
	async hello() {
		return "hello\n";
	},
	async token(request, query) {
		return query.get("t");
	},
	async echo(request) {
		const parts = [];
		for await (const part of request) parts.push(part);
		return Buffer.concat(parts);
	},
	async wait(request, query) {
		const go = await fs.open(`${query.get("gate")}/go`, "r");
		const entered = await fs.open(`${query.get("gate")}/in`, "w");
		await entered.write("i");
		await entered.close();
		await go.read(Buffer.alloc(1), 0, 1, null);
		await go.close();
		return "waited\n";
	},
};

const server = http.createServer(async (request, response) => {
	const url = new URL(request.url, "http://app");
	const route = routes[url.pathname.split("/")[1]];
	const body = route ? await route(request, url.searchParams) : "no such route\n";
	response.writeHead(route ? 200 : 404, { "Content-Type": "text/plain" });
	response.end(body);
});

const activated = process.env.LISTEN_PID === String(process.pid) && process.env.LISTEN_FDS === "1";
server.listen(activated ? { fd: 3 } : { port: process.env.PORT });
